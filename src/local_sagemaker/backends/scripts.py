"""A job's own command as a process, for images that an environment of this machine stands in for.

On Linux the process has its own /opt/ml, in a mount namespace of its user. Elsewhere its command
names the job's folder in place of /opt/ml.
"""

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local_sagemaker.backends.base import Sink, Task
from local_sagemaker.builtin import is_ours, is_reference, repository
from local_sagemaker.errors import LocalError
from sagemaker_container.contract.paths import DEFAULT_BASE

# Arguments: the folder, the command. A user may not create /opt/ml: a new /opt with the content of
# the old one takes its place. It is built in place of /tmp, which is there again after that.
_WITH_OPT_ML = """
set -e
base=$1
shift
if [ ! -d /opt/ml ]; then
    mount -t tmpfs tmpfs /tmp
    mkdir /tmp/ml
    for entry in /opt/*; do
        copy="/tmp/${entry##*/}"
        if [ -L "$entry" ]; then
            cp -P "$entry" "$copy"
        elif [ -d "$entry" ]; then
            mkdir "$copy"
            mount --rbind "$entry" "$copy"
        elif [ -e "$entry" ]; then
            : > "$copy"
            mount --bind "$entry" "$copy"
        fi
    done
    mount -n --move /tmp /opt  # -n: a user may not write the table of mounts
fi
mount --bind "$base" /opt/ml
cd /opt/ml
exec "$@"
"""
_IN_FOLDER = 'cd "$1"; shift; exec "$@"'
_VERSIONS = """
import importlib.metadata, platform, sys
packages = [f"{name} {importlib.metadata.version(name)}" for name in sys.argv[1:]]
print(", ".join([f"Python {platform.python_version()}", *packages]))
"""


def is_sklearn(image: str) -> bool:
    """Return whether an image has the name of AWS's scikit-learn images."""
    return is_reference(image) and repository(image) == "sagemaker-scikit-learn"


@dataclass(frozen=True)
class StandIn:
    """The Python that stands in for an image, and the packages that it must have."""

    python: Path
    packages: tuple[str, ...]

    def versions(self) -> str:
        """Return the versions of Python and of the packages.

        Raises: LocalError if one is missing.
        """
        command = [str(self.python), "-c", _VERSIONS, *self.packages]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise LocalError(f"{self.python} cannot be run: {error.strerror}") from error
        if done.returncode:
            reason = done.stderr.strip().rpartition("\n")[2]
            raise LocalError(f"{self.python}: {reason}")
        return done.stdout.strip()


def stand_in(image: str, sklearn_python: Path) -> StandIn | None:
    """Return what stands in for an image, or None."""
    if is_ours(image):
        return StandIn(Path(sys.executable), ("numpy", "scipy", "torch"))
    if is_sklearn(image):
        return StandIn(sklearn_python, ("scikit-learn", "pandas", "numpy"))
    return None


def problem(image: str, command: Sequence[str], sklearn_python: Path) -> str | None:
    """Return why a command cannot be run in place of an image, or None."""
    environment = stand_in(image, sklearn_python)
    if environment is None:
        return (
            "the backend 'process' runs the commands of jobs with the images sagemaker-scikit-learn"
            f" and factorization-machines alone, not with {image}; with --backend docker the"
            " service runs the images that the Docker engine has"
        )
    if not command:
        return (
            f"the backend 'process' needs a ContainerEntrypoint, such as python3 and a script: it"
            f" does not have the image {image}, whose own command is to run"
        )
    try:
        environment.versions()
    except LocalError as error:
        return (
            f"no environment stands in for {image}: {error}. Install what is missing with pip"
            " install 'local-factorization-machines[processing]', or start the service with"
            " --sklearn-python and a Python that has scikit-learn and pandas"
        )
    return None


@functools.cache
def namespace_problem() -> str | None:
    """Return why a process cannot have its own /opt/ml on this machine, or None."""
    with tempfile.TemporaryDirectory() as folder:
        command = _in_namespace(Path(folder), ["true"], isolated=True)
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            return f"{command[0]}: {error.strerror}"
    return (done.stderr.strip() or f"exit code {done.returncode}") if done.returncode else None


def prepare(task: Task, sklearn_python: Path, sink: Sink) -> tuple[list[str], dict[str, str]]:
    """Return what runs a task's own command, and environment variables for it; log what it is.

    Raises: LocalError if the task is to be isolated from the network and cannot be.
    """
    environment = stand_in(task.image, sklearn_python)
    if environment is None:
        raise LocalError(f"No environment of this machine stands in for {task.image}.")
    sink(f"{environment.versions()} of this machine stand in for the image {task.image}.")
    command = task.own_command
    if reason := namespace_problem():
        if task.network is not None:
            raise LocalError(f"EnableNetworkIsolation needs --backend docker here: {reason}")
        sink(
            f"This machine gives a process no /opt/ml of its own ({reason}): in the command,"
            " /opt/ml is replaced by the folder that SAGEMAKER_BASE_DIR names. A script that opens"
            " a path of /opt/ml itself does not find it; --backend docker has no such limit."
        )
        command = [word.replace(str(DEFAULT_BASE), str(task.base)) for word in command]
        command = ["sh", "-c", _IN_FOLDER, "sh", str(task.base), *command]
    else:
        command = _in_namespace(task.base, command, task.network is not None)
    packages = str(task.base / "packages")  # `pip install` must not change the environment
    return command, {
        "PATH": f"{environment.python.parent}:{task.env.get('PATH') or os.environ.get('PATH', '')}",
        "PIP_TARGET": packages,
        "PYTHONPATH": f"{packages}:{task.env.get('PYTHONPATH', '')}".rstrip(":"),
    }


def _in_namespace(base: Path, command: Sequence[str], isolated: bool) -> list[str]:
    """Return a command that runs another one with a folder as /opt/ml."""
    options = ["--map-root-user", "--mount", *(["--net"] if isolated else [])]
    return ["unshare", *options, "sh", "-c", _WITH_OPT_ML, "sh", str(base), *command]
