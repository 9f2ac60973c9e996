"""The lab's notebook in JupyterLab, or executed, with the local service in its environment."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local_sagemaker import up
from local_sagemaker.backends.process import clean_environment
from local_sagemaker.build import project
from local_sagemaker.errors import LocalError
from local_sagemaker.lab.download import find_ratings
from local_sagemaker.server.environment import variables
from local_sagemaker.settings import Settings
from local_sagemaker.status import RunningService
from local_sagemaker.up import say


@dataclass(frozen=True)
class Options:
    """The options of the command line."""

    root: Path  # of the project's files
    data: Path | None
    out: Path
    execute: bool  # run all cells, without a browser


def run(options: Options, settings: Settings) -> None:
    """Open the notebook in JupyterLab, or execute it and write it as HTML.

    JupyterLab replaces this process, and the service goes on after it. After an execution the
    service ends, unless it ran before.

    Raises: LocalError if something is missing or a cell fails.
    """
    jupyter = options.root / ".sdk" / "notebook" / "bin" / "jupyter"
    notebook = options.root / "examples" / "lab2.ipynb"
    if options.execute:
        with up.temporary(settings) as service:
            _execute(jupyter, notebook, options, _environment(options, settings, service))
        return
    env = _environment(options, settings, up.ensure(settings))
    say(f"notebook: {project.command()} down ends the service, after JupyterLab")
    os.execve(jupyter, [str(jupyter), "lab", str(notebook)], env)  # noqa: S606


def _environment(options: Options, settings: Settings, service: RunningService) -> dict[str, str]:
    """Return the notebook's environment: the service in place of AWS, and the ratings."""
    say(f"notebook: the service is at {service.url}, its console at {service.url}/console")
    build = options.root / "build"
    folder, _, description = find_ratings(options.data, build / "ml-100k", build / "generated")
    say(f"notebook: {description}")
    return {
        **clean_environment(),
        **variables(settings.state, service.url),
        "LAB_DATA": str(folder),
    }


def _execute(jupyter: Path, notebook: Path, options: Options, env: dict[str, str]) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    command = [str(jupyter), "nbconvert", "--to", "html", "--execute", str(notebook)]
    command += ["--output-dir", str(options.out)]
    if subprocess.run(command, env=env, check=False).returncode != 0:
        raise LocalError("a cell of the notebook failed; its output is above")
    say(f"notebook: {options.out / 'lab2.html'}")
