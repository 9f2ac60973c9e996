"""The backend `docker`: any image that the Docker engine has, with a folder as /opt/ml."""

import contextlib
import os
import shutil
import subprocess
import time
import uuid
from pathlib import Path

from local_sagemaker.backends.base import Running, Sink, Task
from local_sagemaker.backends.process import ChildProcess
from local_sagemaker.builtin import is_ours, problem_of_other
from local_sagemaker.errors import LocalError

LOCAL_IMAGE = "factorization-machines:latest"
LABEL = "local-sagemaker"
_COMMAND_SECONDS = 60.0
_RETRY_SECONDS = 1.0


class DockerRunner:
    """Runs images that the engine has; it pulls none."""

    name = "docker"
    has_network = True

    def __init__(self, state: Path):
        """Use the service's state folder as the containers' label."""
        self._label = f"{LABEL}={state}"

    def problem(self, image: str) -> str | None:
        """Return why an image cannot be run: the engine does not have it."""
        if _resolve(image) is not None:
            return None
        remedy = "./build.sh image builds it" if is_ours(image) else "build or pull it"
        missing = f"the Docker engine has no image {image}; nothing is pulled: {remedy}"
        return problem_of_other(image) or missing

    def start(self, task: Task, sink: Sink) -> Running:
        """Start a container; `docker run` forwards signals to it.

        Raises: LocalError if the engine does not have the image.
        """
        image = _resolve(task.image)
        if image is None:
            raise LocalError(f"The Docker engine has no image {task.image}.")
        name = f"{LABEL}-{uuid.uuid4().hex[:12]}"
        options = ["--rm", "--name", name, "--label", self._label]
        options += ["-v", f"{task.base}:/opt/ml", "--hostname", task.host]
        if task.network:
            options += ["--network", task.network, "--network-alias", task.host]
        if task.port is not None:
            options += ["-p", f"127.0.0.1:{task.port}:8080"]
        for key, value in task.env.items():
            options += ["-e", f"{key}={value}"]
        arguments = list(task.arguments)
        if task.entrypoint:
            options += ["--entrypoint", task.entrypoint[0]]
            arguments = [*task.entrypoint[1:], *arguments]
        elif not arguments:
            arguments = [task.command]
        command = ["docker", "run", *options, image, *arguments]
        return _Container(ChildProcess(command, os.environ, sink), name, task.grace)

    def network(self, name: str, isolated: bool) -> str | None:
        """Create a network, from which an isolated job does not reach other networks.

        Raises: LocalError if the engine refuses it.
        """
        options = ["--internal"] if isolated else []
        if docker("network", "create", *options, name) is None:
            raise LocalError(f"The Docker network {name} could not be made.")
        return name

    def remove_network(self, name: str) -> None:
        """Remove a network."""
        docker("network", "rm", name)

    def remove(self, folder: Path) -> None:
        """Remove a folder; a container removes the files that this user may not remove."""
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            mount = f"{folder}:/root-owned"
            docker(
                *("run", "--rm", "--network", "none", "--user", "0", "-v", mount),
                *("--entrypoint", "find", LOCAL_IMAGE, "/root-owned", "-mindepth", "1", "-delete"),
            )
            shutil.rmtree(folder, ignore_errors=True)

    def clear(self) -> None:
        """Remove the containers with the label of this state folder."""
        containers = docker("ps", "-aq", "--filter", f"label={self._label}") or ""
        for container in containers.split():
            docker("rm", "-f", "-v", container)


class _Container:
    """A running `docker run` and its container."""

    def __init__(self, child: ChildProcess, name: str, grace: float):
        self._child, self._name, self._grace = child, name, grace

    def poll(self) -> int | None:
        return self._child.poll()

    def wait(self, timeout: float | None = None) -> int:
        return self._child.wait(timeout)

    def stop(self, grace: float | None = None) -> int:
        deadline = time.monotonic() + (self._grace if grace is None else grace)
        # The first process of a container loses a signal for which it has no handler yet.
        while self._child.poll() is None and (left := deadline - time.monotonic()) > 0:
            docker("kill", "--signal", "TERM", self._name)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(min(left, _RETRY_SECONDS))
        code = self._child.stop(0)
        # If `docker run` had to be killed, the container still runs.
        docker("rm", "-f", "-v", self._name)
        return code


def engine_problem() -> str | None:
    """Return why the Docker engine cannot be used, or None."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    return None if docker("info") is not None else "the Docker engine does not answer"


def docker(*arguments: str) -> str | None:
    """Return what a docker command printed, or None if it failed."""
    try:
        result = subprocess.run(
            ["docker", *arguments],
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout if result.returncode == 0 else None


def _resolve(image: str) -> str | None:
    """Return the name under which the engine has an image; ours may have its local name only."""
    names = [image, LOCAL_IMAGE] if is_ours(image) else [image]
    for name in names:
        if docker("image", "inspect", "--format", "{{.Id}}", name) is not None:
            return name
    return None
