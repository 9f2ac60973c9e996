"""The lab's notebook, with the local service running and the environment set."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local_sagemaker.backends.runner import clean_environment
from local_sagemaker.context import Settings
from local_sagemaker.errors import LocalError
from local_sagemaker.lab.download import movielens
from local_sagemaker.lab.generated import generate
from local_sagemaker.lab.ratings import read_folder, write_folder
from local_sagemaker.server import up
from local_sagemaker.server.environment import variables


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    root: Path  # of the checkout
    data: Path | None
    out: Path
    execute: bool  # run it whole, without a browser


def run(options: Options, settings: Settings) -> None:
    """Open the notebook in JupyterLab, or run it and write what came of it; never returns.

    What is only run leaves no service behind that was not there before.

    Raises: LocalError if something is missing.
    """
    jupyter = options.root / ".sdk" / "notebook" / "bin" / "jupyter"
    notebook = options.root / "examples" / "lab2.ipynb"
    for file in (jupyter, notebook):
        if not file.is_file():
            raise LocalError(f"There is no {file}: ./build.sh lab --notebook makes it.")
    before = up.running(settings.state)
    known = before or up.ensure(settings)
    up.say(f"notebook: the service is at {known['url']}, its console at {known['url']}/console")
    env = {
        **clean_environment(),
        **variables(settings.state, known["url"]),
        "LAB_DATA": str(_ratings(options)),
    }
    if not options.execute:
        up.say("notebook: ./build.sh down ends the service, after JupyterLab")
        os.execve(jupyter, [str(jupyter), "lab", str(notebook)], env)  # noqa: S606
    options.out.mkdir(parents=True, exist_ok=True)
    command = ["nbconvert", "--to", "html", "--execute", "--output-dir", str(options.out)]
    try:
        done = subprocess.run([str(jupyter), *command, str(notebook)], env=env, check=False)
    finally:
        if before is None:
            up.down(settings.state)
    raise SystemExit(done.returncode)


def _ratings(options: Options) -> Path:
    """Return a folder of ratings: those given, MovieLens', or made-up ones, and say which."""
    if options.data is not None:
        read_folder(options.data)
        up.say(f"notebook: ratings from {options.data}")
        return options.data
    try:
        folder = movielens(options.root / "build" / "ml-100k")
        up.say(f"notebook: MovieLens-100k in {folder}, from GroupLens")
    except LocalError as error:
        folder = options.root / "build" / "generated"
        folder.mkdir(parents=True, exist_ok=True)
        write_folder(generate(), folder)
        up.say(f"notebook: NOT MOVIELENS: the ratings are GENERATED, of the same shape ({error}).")
    return folder
