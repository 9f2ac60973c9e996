"""The lab: examples/lab2.py on a local service that runs for as long as the script."""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local_sagemaker import up
from local_sagemaker.backends.base import Runner
from local_sagemaker.backends.docker import LOCAL_IMAGE
from local_sagemaker.backends.process import ChildProcess, clean_environment
from local_sagemaker.backends.selection import choose
from local_sagemaker.errors import LocalError
from local_sagemaker.lab.download import find_ratings
from local_sagemaker.lab.report import Result
from local_sagemaker.server.environment import variables
from local_sagemaker.settings import Settings
from local_sagemaker.up import say


@dataclass(frozen=True)
class Options:
    """The options of the command line."""

    root: Path  # of the project's files
    sdk_python: Path
    backend: str  # auto, docker or process
    data: Path | None
    out: Path
    scores_json: Path | None


def run(options: Options) -> None:
    """Run the lab and print its report.

    Raises: LocalError if something is missing or any step fails.
    """
    script = options.root / "examples" / "lab2.py"
    if not (options.sdk_python.is_file() and os.access(options.sdk_python, os.X_OK)):
        raise LocalError(
            f"There is no Python at {options.sdk_python}: --sdk-python takes one that has"
            " SageMaker's SDK v2."
        )
    build = options.root / "build"
    with _work_folder(build, options.backend) as (work, runner):
        folder, ratings, description = find_ratings(
            options.data, build / "ml-100k", work / "generated"
        )
        say(f"lab: {description}")
        settings = Settings(state=work / "state", port=0, backend=runner.name)
        with up.temporary(settings) as service:
            say(f"lab: the local SageMaker service answers at {service.url} until the lab ends")
            command = [str(options.sdk_python), str(script), str(folder)]
            output = _run_script(command, _environment(work, settings.state, service.url))
    result = Result.of_output(output)
    comparable = ratings.is_movielens()
    picture = options.out / f"learning-curve-{runner.name}.png"
    result.draw(picture)
    say("\n" + "\n".join(result.lines(comparable)) + f"\nlearning curve: {picture}")
    if options.scores_json:
        options.scores_json.parent.mkdir(parents=True, exist_ok=True)
        options.scores_json.write_text(result.as_json(backend=runner.name, movielens=comparable))


@contextlib.contextmanager
def _work_folder(parent: Path, backend: str) -> Iterator[tuple[Path, Runner]]:
    """Yield a folder and the runner for the service in it; remove what they leave afterwards."""
    # In the checkout, not in /tmp: a Docker engine in a virtual machine can mount the checkout.
    parent.mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=parent, prefix="lab-")).resolve()
    try:
        runner, reason = choose(backend, work / "state", LOCAL_IMAGE)
    except BaseException:
        work.rmdir()
        raise
    try:
        say(reason)
        yield work, runner
    finally:
        runner.clear()
        runner.remove(work)


def _environment(work: Path, state: Path, url: str) -> dict[str, str]:
    """Return the script's environment: this process's, with the service in place of AWS."""
    return {
        **clean_environment(),
        **variables(state, url),
        "TMPDIR": str(work),
        "PYTHONUNBUFFERED": "1",
        "COLUMNS": "5000",  # the SDK wraps the messages of its tracebacks at this width
    }


def _run_script(command: list[str], env: dict[str, str]) -> list[str]:
    """Run the script, print its output line by line, and return it."""
    output: list[str] = []

    def sink(line: str) -> None:
        output.append(line)
        say(line)

    with ChildProcess(command, env, sink) as child:
        try:
            code = child.wait()
        except KeyboardInterrupt:
            say("lab: ending …")
            raise
    if code != 0:
        raise LocalError(f"examples/lab2.py ended with exit code {code}: {_last_error(output)}")
    return output


def _last_error(output: list[str]) -> str:
    """Return the message at the end of a traceback as one line, or else the last line."""
    lines = [line.strip() for line in output if line.strip()] or ["no output"]
    starts = [i for i, line in enumerate(lines) if re.match(r"[\w.]+(Error|Exception): ", line)]
    return " ".join(lines[starts[-1] if starts else -1 :])
