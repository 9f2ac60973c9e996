"""Command line: `python -m local_sagemaker lab`."""

import argparse
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
        from local_sagemaker import lab

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
        sys.stderr.write(f"lab: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("lab: interrupted; what it started has ended.\n")
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
    lab.add_argument("--root", type=Path, metavar="DIR", help="the checkout, if not this folder")
    return parser


def _checkout() -> Path:
    """Return the checkout: this folder, or else the one that the package lies in."""
    here = Path.cwd()
    return here if (here / "examples" / "lab2.py").is_file() else Path(__file__).parents[2]


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
