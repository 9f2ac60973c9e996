"""The lab: ratings, S3, the example script in the SDK's environment, and the report."""

import contextlib
import os
import re
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local_sagemaker.backends import docker_engine
from local_sagemaker.backends.child_process import Child
from local_sagemaker.errors import LocalError
from local_sagemaker.lab.download import movielens
from local_sagemaker.lab.generated import generate
from local_sagemaker.lab.ratings import Ratings, read_folder, write_folder
from local_sagemaker.lab.report import Result
from local_sagemaker.s3server import s3_server
from local_sagemaker.sdk import ROOT_VARIABLE, SERVE_VARIABLE, TRAIN_VARIABLE

REGION = "us-east-1"
NO_TELEMETRY = """\
SchemaVersion: '1.0'
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
"""


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    root: Path  # of the checkout
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
    if not script.is_file():
        raise LocalError(f"There is no {script}: run this in the checkout, or name it with --root.")
    if not os.access(options.sdk_python, os.X_OK):
        raise LocalError(
            f"SageMaker's SDK is looked for at {options.sdk_python}, and is not there:"
            " run ./build.sh lab, which makes it, or name another with --sdk-python."
        )
    backend = choose_backend(options.backend)
    with _work_folder(options.root / "build", backend) as work:
        folder, ratings = _find_ratings(options, work)
        with s3_server() as s3:
            say(f"lab: S3 answers at {s3} until the lab ends")
            env = _environment(work, s3)
            command = [str(options.sdk_python), str(script), str(folder), backend]
            output = _follow(command, env)
    result = Result.of_output(output)
    comparable = ratings.is_movielens()
    picture = options.out / f"learning-curve-{backend}.png"
    result.draw(picture)
    say("\n" + "\n".join(result.lines(comparable)) + f"\nlearning curve: {picture}")
    if options.scores_json:
        options.scores_json.parent.mkdir(parents=True, exist_ok=True)
        options.scores_json.write_text(result.as_json(backend=backend, movielens=comparable))


def choose_backend(wanted: str) -> str:
    """Return docker or process, and say which and why.

    Raises: LocalError if docker is asked for and cannot be used.
    """
    problem = None if wanted == "process" else docker_engine.problem()
    if wanted == "docker" and problem:
        raise LocalError(f"--backend docker cannot be used: {problem}.")
    if wanted != "auto":
        chosen, why = wanted, "as asked"
    elif problem:
        chosen, why = "process", f"because {problem} to use docker"
    else:
        chosen, why = "docker", "because the engine, compose and the image are there"
    say(f"lab: backend {chosen}, {why}")
    return chosen


def say(text: str) -> None:
    """Print it now."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _find_ratings(options: Options, work: Path) -> tuple[Path, Ratings]:
    if options.data is not None:
        folder, ratings = options.data, read_folder(options.data)
        say(f"lab: ratings from {folder}: {len(ratings.train):,} and {len(ratings.test):,}")
        return folder, ratings
    try:
        folder = movielens(options.root / "build" / "ml-100k")
    except LocalError as error:
        folder = work / "generated"
        folder.mkdir()
        write_folder(generate(), folder)
        say(f"\nlab: NOT MOVIELENS: the ratings are GENERATED, of the same shape ({error}).\n")
    else:
        say(f"lab: MovieLens-100k in {folder}, from GroupLens")
    return folder, read_folder(folder)


@contextlib.contextmanager
def _work_folder(parent: Path, backend: str) -> Iterator[Path]:
    """Yield a folder for the run's files, and leave nothing of it or of containers behind."""
    # In the checkout, not in /tmp: an engine in a virtual machine can mount this one.
    parent.mkdir(exist_ok=True)
    keep_network = backend == "docker" and docker_engine.has_network()
    with tempfile.TemporaryDirectory(dir=parent, prefix="lab-", ignore_cleanup_errors=True) as name:
        work = Path(name)
        (work / "local").mkdir()
        try:
            yield work
        finally:
            if backend == "docker":
                docker_engine.clean_up(work / "local", keep_network)


def _environment(work: Path, s3: str) -> dict[str, str]:
    """Return the script's environment: this machine's, with AWS and SDK settings of its own."""
    settings = work / "sagemaker.yaml"
    settings.write_text(NO_TELEMETRY)
    bin_folder = Path(sys.executable).parent
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("AWS_", "SAGEMAKER_")) and key not in ("PYTHONHOME", "VIRTUAL_ENV")
    }
    no_proxy = ",".join(filter(None, [os.environ.get("no_proxy"), "127.0.0.1", "localhost"]))
    return {
        TRAIN_VARIABLE: shlex.quote(str(bin_folder / "train")),
        SERVE_VARIABLE: shlex.quote(str(bin_folder / "serve")),
        **inherited,
        ROOT_VARIABLE: str(work / "local"),
        "TMPDIR": str(work),
        "PYTHONUNBUFFERED": "1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        # The second catches every other service: nothing is asked of AWS itself.
        "AWS_ENDPOINT_URL_S3": s3,
        "AWS_ENDPOINT_URL": s3,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "COLUMNS": "5000",  # the SDK's tracebacks wrap their message at this width
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
        "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": str(settings),
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(settings),
        "no_proxy": no_proxy,
        "NO_PROXY": no_proxy,
    }


def _follow(command: list[str], env: dict[str, str]) -> list[str]:
    """Run the script, pass its output on as it comes, and return it."""
    output: list[str] = []
    muted = False

    def sink(line: str) -> None:
        output.append(line)
        if not muted:
            say(line)

    # SIGINT, so that Python in there runs its own endings before the rest is killed.
    with Child(command, env, sink, grace=30.0, end_signal=signal.SIGINT) as child:
        try:
            code = child.wait()
        except KeyboardInterrupt:
            muted = True  # the tracebacks of an interrupted SDK help nobody
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
