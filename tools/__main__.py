"""Run a command of build.sh: `python -m tools COMMAND`."""

import argparse
import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path

from local_sagemaker.build import environments
from local_sagemaker.build.environments import version_of
from local_sagemaker.build.image import add_arguments, build, need_engine, wheels
from local_sagemaker.build.run import CommandError, misuse, replaced_by, say
from tools import checks
from tools.lock import lock
from tools.setup import PYTHON
from tools.setup import setup as make_venv

_USAGE = """usage: ./build.sh COMMAND

  lab [--data DIR] [--backend auto|docker|process]
             run the workshop's lab end to end: train, deploy, predict
  lab --notebook [--data DIR] [--execute]
             the lab as a notebook in JupyterLab, on the local service; --execute runs all cells
  test [ARGS]  lint, types and all tests; ARGS go to pytest (-n 0: one test at a time)
  check      lint, types and unit tests only
  coverage [ARGS]
             the tests that need no container, and the share of src that they run; ARGS go to pytest
  up [--env] [--backend auto|docker|process] [--port N] [--state DIR]
             the local SageMaker service, until Ctrl-C; with --env in the background, and prints
             what a shell evals so that code written for SageMaker runs on it
  status [--state DIR] [--url URL] [--wait [SECONDS]]
             say whether the service is healthy; exit code 1 if it is not
  down [--state DIR]
             end the service that up --env started
  bench [--data DIR] [--only PART ...] [--repeats N] [--picture FILE] [--soak-seconds N]
             performance of this machine, each figure beside a peer's (about nine minutes)
  fuzz [SECONDS]
             hostile bytes for the decoders and the artifact reader, by atheris (300 s)
  setup      make .venv: the package, its tools, CPU torch
  image [--region R] [--all-regions] [--service]
             build the container image, with the name that the SDK looks up in R (us-east-1);
             with --service also local-sagemaker, the image of the local service
  sdk 1|2|3|mxnet|notebook ...
             make .sdk/vN: a real SageMaker Python SDK in its own environment; .sdk/mxnet: the
             mxnet that public code reads models with
  wheels     fill build/wheelhouse with what the image installs
  lock [--upgrade]
             resolve docker/requirements.lock and docker/service.lock again
  clean      remove .venv, .sdk, .bench and build

settings: PYTHON (3.10 or newer), TORCH_INDEX (where the CPU build of torch is; empty: the plain
build, from pip's own sources), DOCKER (the client), BASE_IMAGE (of the container image),
CC (bench's C compiler), LIBFM (libFM's program or a checkout, for bench to measure as well)
"""


def lab(arguments: list[str]) -> None:
    """Run the lab or its notebook, which make what they need."""
    parser = argparse.ArgumentParser("./build.sh lab", allow_abbrev=False, add_help=False)
    parser.add_argument("--backend", choices=("auto", "docker", "process"), default="auto")
    parser.add_argument("--notebook", action="store_true")
    options, others = parser.parse_known_args(arguments)
    if options.backend == "docker":
        need_engine("; --backend process needs none")  # before .venv is made
    make_venv()
    command = "notebook" if options.notebook else "lab"
    _local_sagemaker(command, "--backend", options.backend, *others)


def image(arguments: list[str]) -> None:
    """Build the container images."""
    parser = argparse.ArgumentParser("./build.sh image", allow_abbrev=False)
    add_arguments(parser)
    build(parser.parse_args(arguments))


def up(arguments: list[str]) -> None:
    """Start the local service; standard output is only for lines that a shell evals."""
    with contextlib.redirect_stdout(sys.stderr):
        make_venv()
    _local_sagemaker("up", *arguments)


def down(arguments: list[str]) -> None:
    """End the local service."""
    _of_service("down", arguments)


def status(arguments: list[str]) -> None:
    """Say whether the local service is healthy."""
    _of_service("status", arguments)


def bench(arguments: list[str]) -> None:
    """Measure; the SDK v2 is a peer, and bench makes the environments of the other peers."""
    make_venv()
    environments.sdk("2")
    replaced_by(PYTHON, "-m", "bench", *arguments)


def setup() -> None:
    """Make .venv and say so."""
    make_venv()
    say(f".venv is ready: Python {version_of(PYTHON)}")


def sdk(arguments: list[str]) -> None:
    """Make the environments of SDKs."""
    for name in arguments or ("",):
        environments.sdk(name)


def clean() -> None:
    """Remove what the other commands make, except the state of the service."""
    for folder in (".venv", ".sdk", ".bench", "build"):
        shutil.rmtree(folder, ignore_errors=True)


def _of_service(command: str, arguments: list[str]) -> None:
    if not Path(PYTHON).exists():
        raise CommandError("there is no .venv, so no service was started from here")
    _local_sagemaker(command, *arguments)


def _local_sagemaker(command: str, *arguments: str) -> None:
    replaced_by(PYTHON, "-m", "local_sagemaker", command, *arguments)


_COMMANDS = {"lab": lab, "up": up, "down": down, "bench": bench, "sdk": sdk, "image": image}
_COMMANDS |= {"lock": lock, "test": checks.test, "coverage": checks.coverage, "fuzz": checks.fuzz}
_COMMANDS |= {"status": status}
_WITHOUT_ARGUMENTS = {"setup": setup, "check": checks.check, "wheels": wheels, "clean": clean}


def main(arguments: list[str]) -> int:
    """Run a command and return its exit code: 2 for a wrong command line."""
    name, *others = arguments or ["help"]
    # pip compiles nothing here. Without byte code each process would compile torch again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        if name in ("help", "-h", "--help"):
            say(_USAGE.rstrip())
        elif command := _COMMANDS.get(name):
            command(others)
        elif name not in _WITHOUT_ARGUMENTS:
            misuse(f"unknown command '{name}'; ./build.sh alone lists the commands")
        elif others:
            misuse(f"{name} takes no '{others[0]}'")
        else:
            _WITHOUT_ARGUMENTS[name]()
    except (CommandError, OSError) as error:
        if str(error):
            sys.stderr.write(f"build.sh: {error}\n")
        return error.code if isinstance(error, CommandError) else 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end quietly in `./build.sh | head`
    sys.exit(main(sys.argv[1:]))
