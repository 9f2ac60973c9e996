"""The console script local-sagemaker: the lab, the local SageMaker service, the images."""

import argparse
import os
import re
import signal
import sys
from pathlib import Path
from types import FrameType

from local_sagemaker.account import KEY_ID, SECRET
from local_sagemaker.build import environments, image, project
from local_sagemaker.build.run import CommandError
from local_sagemaker.errors import LocalError
from local_sagemaker.settings import S3_KEY_ID, S3_SECRET, S3Endpoint, Settings
from sagemaker_container.contract.untrusted import printable

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run the command and return its exit code.

    0; 1 for a failure; 2 for a wrong command line; 130 when interrupted.
    """
    arguments = _parser().parse_args()
    # SIGINT too: a shell starts background jobs with SIGINT ignored, which children inherit.
    for number in _STOP_SIGNALS:
        signal.signal(number, _interrupt)
    try:
        arguments.run(arguments)
    except (LocalError, CommandError, OSError, ModuleNotFoundError) as error:
        text = printable(_explained(error), keep="\n")
        sys.stderr.write(f"{arguments.command}: {text}\n")
        return error.code if isinstance(error, CommandError) else 1
    except KeyboardInterrupt:
        sys.stderr.write(f"{arguments.command}: interrupted; what it started has ended.\n")
        return 130
    return 0


def _explained(error: Exception) -> str:
    """Return an error's message; of a package that is missing, also what brings it."""
    if not isinstance(error, ModuleNotFoundError):
        return str(error)
    remedy = "pip install 'local-factorization-machines[service]'"
    return f"{error.name} is not installed; the extra 'service' brings it: {remedy}"


def _parser() -> argparse.ArgumentParser:
    description = "The built-in Factorization Machines of Amazon SageMaker, on this machine"
    parser = argparse.ArgumentParser(prog="local-sagemaker", description=description)
    commands = parser.add_subparsers(dest="command", required=True)

    lab = commands.add_parser("lab", help="SageMaker Workshop's Lab 2, on this machine")
    lab.set_defaults(run=_lab)
    lab.add_argument("--scores-json", type=Path, metavar="FILE", help="also write the results here")
    lab.add_argument("--sdk-python", type=Path, metavar="FILE", help="Python with SageMaker's SDK")

    up = commands.add_parser("up", help="start the local SageMaker service")
    up.set_defaults(run=_up)
    up.add_argument("--env", action="store_true", help="in the background; print lines to eval")

    notebook = commands.add_parser("notebook", help="the lab as a notebook, on the service")
    notebook.set_defaults(run=_notebook)
    notebook.add_argument("--execute", action="store_true", help="run it whole, with no browser")

    env = commands.add_parser("env", help="print lines to eval, for a service elsewhere")
    env.set_defaults(run=_env)
    env.add_argument("--url", required=True, help="of the service, such as that of a container")

    status = commands.add_parser("status", help="say whether the service is healthy")
    status.set_defaults(run=_status)
    status.add_argument("--url", help="of a service, also of another machine; not --state")
    status.add_argument(
        *("--wait",), nargs="?", const=60.0, default=0.0, type=float, metavar="SECONDS",
        help="until it is healthy, for 60 seconds at most unless they are given",
    )  # fmt: skip

    down = commands.add_parser("down", help="end the service")
    down.set_defaults(run=_down)

    images = commands.add_parser("image", help="build the container image, for the backend docker")
    images.set_defaults(run=_image)
    image.add_arguments(images)

    for command in (lab, up, notebook):
        command.add_argument("--backend", choices=("auto", "docker", "process"), default="auto")
    for command in (up, env):
        command.add_argument("--endpoint-url", action="store_true", help="no proxy, a URL")
    for command in (lab, notebook):
        command.add_argument("--data", type=Path, metavar="DIR", help="a MovieLens-100k folder")
        command.add_argument("--out", type=Path, metavar="DIR", help="for pictures (./out)")
    for command in (up, notebook):
        _add_service_options(command)
    for command in (up, status, down, notebook):
        command.add_argument("--state", type=Path, metavar="DIR", help="kept data (./.service)")
    return parser


def _add_service_options(parser: argparse.ArgumentParser) -> None:
    port = os.environ.get("LOCAL_SAGEMAKER_PORT", "5860")
    parser.add_argument("--port", type=int, default=port, help=f"0 is a free one ({port})")
    parser.add_argument(
        *("--s3-endpoint",), metavar="URL", default=os.environ.get("LOCAL_SAGEMAKER_S3_ENDPOINT"),
        help="another S3 in place of the service's own, such as MinIO",
    )  # fmt: skip
    python = os.environ.get("LOCAL_SAGEMAKER_SKLEARN_PYTHON") or sys.executable
    parser.add_argument(
        *("--sklearn-python",), type=Path, metavar="FILE", default=python,
        help="Python with scikit-learn and pandas, for processing jobs of the backend process",
    )  # fmt: skip
    hosts = os.environ.get("LOCAL_SAGEMAKER_ALLOWED_HOSTS", "").split()
    parser.add_argument(
        *("--allowed-host",), action="append", default=hosts, metavar="NAME",
        help="a name by which clients reach the service, in addition to localhost and AWS's",
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="to listen on; others are exposed")
    parser.add_argument("--cores", type=_positive, default=os.cpu_count() or 1, help="jobs at once")


def _lab(arguments: argparse.Namespace) -> None:
    from local_sagemaker.lab import lab

    sdk_python = arguments.sdk_python and arguments.sdk_python.absolute()
    data = arguments.data and arguments.data.resolve()
    out = (arguments.out or Path("out")).resolve()
    scores_json = arguments.scores_json and arguments.scores_json.resolve()
    root = _enter_project()
    if arguments.backend == "docker":
        image.need_engine("; --backend process needs none")
    if not sdk_python:
        environments.sdk("2")
    if arguments.backend != "process" and image.engine():
        image.build(argparse.Namespace(region="us-east-1", service=False))
    lab.run(
        lab.Options(
            root=root,
            sdk_python=sdk_python or root / ".sdk" / "v2" / "bin" / "python",
            backend=arguments.backend,
            data=data,
            out=out,
            scores_json=scores_json,
        )
    )


def _image(arguments: argparse.Namespace) -> None:
    _enter_project()
    image.build(arguments)


def _enter_project() -> Path:
    """Make the folder of the project's files this process's folder, and return it."""
    root = project.root()
    os.chdir(root)
    return root


def _up(arguments: argparse.Namespace) -> None:
    from local_sagemaker import up

    settings = _settings(arguments)
    if arguments.env:
        up.env(settings, arguments.endpoint_url)
    else:
        up.run(settings)


def _env(arguments: argparse.Namespace) -> None:
    from local_sagemaker import up

    up.elsewhere(arguments.url, arguments.endpoint_url)


def _notebook(arguments: argparse.Namespace) -> None:
    from local_sagemaker.lab import notebook

    settings = _settings(arguments)
    data = arguments.data and arguments.data.resolve()
    out = (arguments.out or Path("out")).resolve()
    root = _enter_project()
    environments.sdk("notebook")
    notebook.run(notebook.Options(root, data, out, arguments.execute), settings)


def _status(arguments: argparse.Namespace) -> None:
    from local_sagemaker import status

    status.run(arguments.url or _state(arguments), arguments.wait)


def _down(arguments: argparse.Namespace) -> None:
    from local_sagemaker import up

    up.down(_state(arguments))


def _settings(arguments: argparse.Namespace) -> Settings:
    loopback = arguments.host in ("127.0.0.1", "localhost")
    names = () if loopback else (arguments.host,)
    return Settings(
        state=_state(arguments),
        host=arguments.host,
        port=arguments.port,
        backend=arguments.backend,
        cores=arguments.cores,
        sklearn_python=arguments.sklearn_python.absolute(),
        s3=_s3_endpoint(arguments.s3_endpoint),
        names=tuple({*names, *map(str.lower, arguments.allowed_host)}),
    )


def _s3_endpoint(url: str | None) -> S3Endpoint | None:
    if not url:
        return None
    if not re.fullmatch(r"https?://[^/?#@]+/?", url):
        raise LocalError(f"--s3-endpoint must look like http://127.0.0.1:9000; got {url!r}")
    return S3Endpoint(
        url.rstrip("/"),
        os.environ.get(S3_KEY_ID) or KEY_ID,
        os.environ.get(S3_SECRET) or SECRET,
    )


def _state(arguments: argparse.Namespace) -> Path:
    state: Path = arguments.state or Path(".service")
    return state.resolve()


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
