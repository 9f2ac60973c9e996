"""The console script local-sagemaker: `lab`, `up`, `notebook` and `down`."""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from local_sagemaker.errors import LocalError
from sagemaker_container.contract.untrusted import printable

if TYPE_CHECKING:  # forked jobs import the main module, which is this one for the console script
    from local_sagemaker.context import Settings

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run the command and return its exit code: 0, 1 for a failure, 130 when interrupted."""
    arguments = _parser().parse_args()
    # SIGINT too: a shell starts background jobs with SIGINT ignored, which children inherit.
    for number in _STOP_SIGNALS:
        signal.signal(number, _interrupt)
    try:
        arguments.run(arguments)
    except (LocalError, OSError) as error:
        text = printable(str(error), keep="\n")
        sys.stderr.write(f"{arguments.command}: {text}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"{arguments.command}: interrupted; what it started has ended.\n")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="local-sagemaker", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    lab = commands.add_parser("lab", help="SageMaker Workshop's Lab 2, on this machine")
    lab.set_defaults(run=_lab)
    lab.add_argument("--scores-json", type=Path, metavar="FILE", help="also write the results here")
    lab.add_argument("--sdk-python", type=Path, metavar="FILE", help="Python with SageMaker's SDK")

    up = commands.add_parser("up", help="start the local SageMaker service")
    up.set_defaults(run=_up)
    up.add_argument("--env", action="store_true", help="in the background; print lines to eval")
    up.add_argument("--endpoint-url", action="store_true", help="with --env: no proxy, a URL")

    notebook = commands.add_parser("notebook", help="the lab as a notebook, on the service")
    notebook.set_defaults(run=_notebook)
    notebook.add_argument("--execute", action="store_true", help="run it whole, with no browser")

    down = commands.add_parser("down", help="end the service")
    down.set_defaults(run=_down)

    for command in (lab, up, notebook):
        command.add_argument("--backend", choices=("auto", "docker", "process"), default="auto")
    for command in (lab, notebook):
        command.add_argument("--data", type=Path, metavar="DIR", help="a MovieLens-100k folder")
        command.add_argument("--out", type=Path, metavar="DIR", help="for pictures (./out)")
    for command in (up, notebook):
        _add_service_options(command)
    for command in (up, down, notebook):
        command.add_argument("--state", type=Path, metavar="DIR", help="kept data (./.service)")
    for command in (lab, up, down, notebook):
        command.add_argument("--root", type=Path, help="the checkout, if not this folder")
    return parser


def _add_service_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=5860, help="of 127.0.0.1; 0 is a free one")
    parser.add_argument("--host", default="127.0.0.1", help="to listen on; others are exposed")
    parser.add_argument("--cores", type=_positive, default=os.cpu_count() or 1, help="jobs at once")


def _lab(arguments: argparse.Namespace) -> None:
    from local_sagemaker.lab import lab

    root = _root(arguments)
    lab.run(
        lab.Options(
            root=root,
            sdk_python=arguments.sdk_python or root / ".sdk" / "v2" / "bin" / "python",
            backend=arguments.backend,
            data=arguments.data and arguments.data.resolve(),
            out=arguments.out or root / "out",
            scores_json=arguments.scores_json,
        )
    )


def _up(arguments: argparse.Namespace) -> None:
    from local_sagemaker import up

    settings = _settings(arguments)
    if arguments.env:
        up.env(settings, arguments.endpoint_url)
    else:
        up.run(settings)


def _notebook(arguments: argparse.Namespace) -> None:
    from local_sagemaker.lab import notebook

    root = _root(arguments)
    options = notebook.Options(
        root=root,
        data=arguments.data and arguments.data.resolve(),
        out=(arguments.out or root / "out").resolve(),
        execute=arguments.execute,
    )
    notebook.run(options, _settings(arguments))


def _down(arguments: argparse.Namespace) -> None:
    from local_sagemaker import up

    up.down(_state(arguments))


def _settings(arguments: argparse.Namespace) -> "Settings":
    from local_sagemaker.context import Settings

    loopback = arguments.host in ("127.0.0.1", "localhost")
    return Settings(
        state=_state(arguments),
        host=arguments.host,
        port=arguments.port,
        backend=arguments.backend,
        cores=arguments.cores,
        names=() if loopback else (arguments.host,),
    )


def _state(arguments: argparse.Namespace) -> Path:
    state: Path = arguments.state or _root(arguments) / ".service"
    return state.resolve()


def _root(arguments: argparse.Namespace) -> Path:
    """Return the checkout: --root, or this folder, or else the one that the package is in."""
    if arguments.root:
        return Path(arguments.root).resolve()
    here = Path.cwd()
    return here if (here / "examples" / "lab2.py").is_file() else Path(__file__).parents[2]


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1; got {value}")
    return value


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # A second signal must not interrupt the cleanup that the first one causes.
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
