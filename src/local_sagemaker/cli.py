"""Command line: `python -m local_sagemaker lab`, `up` and `down`."""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from local_sagemaker.errors import LocalError


def main() -> int:
    """Run the command and return its exit code: 0, 1 for a failure, 130 when interrupted."""
    arguments = _parser().parse_args()
    # SIGINT too: a shell's background job starts with it ignored, and so would all children.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        if arguments.command != "lab":
            _service(arguments)
            return 0
        from local_sagemaker.lab import lab

        root = (arguments.root or _checkout()).resolve()
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
    except (LocalError, OSError) as error:
        sys.stderr.write(f"{arguments.command}: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"{arguments.command}: interrupted; what it started has ended.\n")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local_sagemaker", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    lab = commands.add_parser("lab", help="SageMaker Workshop's Lab 2, on this machine")
    lab.add_argument("--data", type=Path, metavar="DIR", help="a MovieLens-100k folder")
    lab.add_argument("--backend", choices=("auto", "docker", "process"), default="auto")
    lab.add_argument("--out", type=Path, metavar="DIR", help="for the learning curve (./out)")
    lab.add_argument("--scores-json", type=Path, metavar="FILE", help="also write the results here")
    lab.add_argument("--sdk-python", type=Path, metavar="FILE", help="Python with SageMaker's SDK")
    up = commands.add_parser("up", help="the local SageMaker service")
    up.add_argument("--env", action="store_true", help="in the background; print lines to eval")
    up.add_argument("--backend", choices=("auto", "docker", "process"), default="auto")
    up.add_argument("--port", type=int, default=5860, help="of 127.0.0.1; 0 is a free one")
    up.add_argument("--host", default="127.0.0.1", help="to listen on; any other is your risk")
    up.add_argument("--cores", type=_positive, default=os.cpu_count() or 1, help="jobs at once")
    notebook = commands.add_parser("notebook", help="the lab as a notebook, on the service")
    notebook.add_argument("--data", type=Path, metavar="DIR", help="a MovieLens-100k folder")
    notebook.add_argument("--out", type=Path, metavar="DIR", help="for --execute (./out)")
    notebook.add_argument("--execute", action="store_true", help="run it whole, with no browser")
    notebook.add_argument("--backend", choices=("auto", "docker", "process"), default="auto")
    notebook.add_argument("--port", type=int, default=5860, help=argparse.SUPPRESS)
    notebook.add_argument("--host", default="127.0.0.1", help=argparse.SUPPRESS)
    notebook.add_argument("--cores", type=_positive, default=os.cpu_count() or 1)
    down = commands.add_parser("down", help="end the service")
    for one in (lab, up, down, notebook):
        one.add_argument("--root", type=Path, help="the checkout, if not this folder")
    for one in (up, down, notebook):
        one.add_argument("--state", type=Path, metavar="DIR", help="what it keeps (./.service)")
    return parser


def _service(arguments: argparse.Namespace) -> None:
    from local_sagemaker.context import Settings
    from local_sagemaker.server import up

    state = (arguments.state or (arguments.root or _checkout()) / ".service").resolve()
    if arguments.command == "down":
        up.down(state)
        return
    names = () if arguments.host in ("127.0.0.1", "localhost") else (arguments.host,)
    settings = Settings(
        state, arguments.host, arguments.port, arguments.backend, arguments.cores, names
    )
    if arguments.command == "notebook":
        from local_sagemaker.lab import notebook

        root = (arguments.root or _checkout()).resolve()
        out = (arguments.out or root / "out").resolve()
        data = arguments.data and arguments.data.resolve()
        notebook.run(notebook.Options(root, data, out, arguments.execute), settings)
    (up.env if arguments.env else up.run)(settings)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1; got {value}")
    return value


def _checkout() -> Path:
    """Return the checkout: this folder, or else the one that the package lies in."""
    here = Path.cwd()
    return here if (here / "examples" / "lab2.py").is_file() else Path(__file__).parents[2]


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
