"""The backend `docker`: any image that the Docker engine has, with a folder as /opt/ml."""

import contextlib
import csv
import io
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from local_sagemaker.backends import scripts
from local_sagemaker.backends.base import BIND_TO_PORT, Running, Sink, Task, ending
from local_sagemaker.backends.process import ChildProcess, remove_tree
from local_sagemaker.build import project
from local_sagemaker.builtin import is_ours, is_reference, problem_of_name
from local_sagemaker.errors import LocalError

LOCAL_IMAGE = "factorization-machines:latest"
LABEL = "local-sagemaker"
_COMMAND_SECONDS = 60.0
_RETRY_SECONDS = 1.0


class DockerRunner:
    """Runs images that the engine has; it pulls none."""

    name = "docker"
    has_network = True
    reaches_service = False

    def __init__(self, state: Path):
        """Use the service's state folder as the containers' label."""
        self._label = f"{LABEL}={state}"

    def prepare(self) -> None:
        """No-op."""

    def problem(self, image: str, command: Sequence[str] | None = None) -> str | None:
        """Return why an image cannot be run: the engine does not have it."""
        if _resolve(image) is not None:
            return None
        if problem := problem_of_name(image):
            return problem
        remedy = f"{project.command()} image builds it" if is_ours(image) else "build or pull it"
        if scripts.is_sklearn(image):
            remedy += ", or run it in processing jobs with --backend process"
        return f"the Docker engine has no image {image}; nothing is pulled: {remedy}"

    def binds_to_port(self, image: str) -> bool:
        """Return whether an image has the label that says so."""
        label = f'{{{{index .Config.Labels "{BIND_TO_PORT}"}}}}'
        found = docker("image", "inspect", "--format", label, _resolve(image) or image)
        return (found or "").strip() == "true"

    def start(self, task: Task, sink: Sink) -> Running:
        """Start a container; `docker run` forwards signals to it.

        Raises: LocalError if the engine does not have the image.
        """
        image = _resolve(task.image)
        if image is None:
            raise LocalError(f"The Docker engine has no image {task.image}.")
        name = f"{LABEL}-{uuid.uuid4().hex[:12]}"
        # Without --rm: the engine tells of an ended container whether memory ran out.
        options = ["--name", name, "--label", self._label]
        options += ["--mount", _mount(task.base, "/opt/ml"), "--hostname", task.host]
        if task.network:
            options += ["--network", task.network, "--network-alias", task.host]
        if task.port is not None:
            options += ["-p", f"127.0.0.1:{task.port}:{task.container_port}"]
        # The image may run as another user. The state folder keeps this machine's users out.
        subprocess.run(["chmod", "-R", "a+rX", task.base], check=False)
        variables, multiline = _environment(task.env)
        options += ["--env-file", "/dev/stdin", *(f"--env={key}" for key in multiline)]
        arguments = list(task.arguments)
        if task.entrypoint:
            options += ["--entrypoint", task.entrypoint[0]]
            arguments = [*task.entrypoint[1:], *arguments]
        elif task.command and not arguments:
            arguments = [task.command]
        command = ["docker", "run", *options, image, *arguments]
        with variables:
            child = ChildProcess(command, {**os.environ, **multiline}, sink, stdin=variables)
        return _Container(child, name, task.grace)

    def network(self, isolated: bool) -> str | None:
        """Create a network, from which an isolated job does not reach other networks.

        Raises: LocalError if the engine refuses it.
        """
        name = f"{LABEL}-{uuid.uuid4().hex[:12]}"
        options = ["--label", self._label, *(["--internal"] if isolated else [])]
        if docker("network", "create", *options, name) is None:
            raise LocalError("The Docker engine did not create a network for the job.")
        return name

    def remove_network(self, name: str) -> None:
        """Remove a network."""
        docker("network", "rm", name)

    def remove(self, folder: Path) -> None:
        """Remove a folder; a container removes the files that this user may not remove."""
        remove_tree(folder)
        if folder.exists():
            mount = _mount(folder, "/root-owned")
            docker(
                *("run", "--rm", "--network", "none", "--user", "0", "--mount", mount),
                *("--entrypoint", "find", LOCAL_IMAGE, "/root-owned", "-mindepth", "1", "-delete"),
            )
            remove_tree(folder)

    def clear(self) -> None:
        """Remove the containers and the networks with the label of this state folder."""
        label = ("--filter", f"label={self._label}")
        for container in (docker("ps", "-aq", *label) or "").split():
            docker("rm", "-f", "-v", container)
        for network in (docker("network", "ls", "-q", *label) or "").split():
            docker("network", "rm", network)


class _Container:
    """A running `docker run` and its container."""

    def __init__(self, child: ChildProcess, name: str, grace: float):
        self._child, self._name, self._grace = child, name, grace
        self._out_of_memory = False

    def poll(self) -> int | None:
        return self._child.poll()

    def ending(self) -> str:
        if self.poll() and not self._out_of_memory:
            killed = docker("inspect", "--format", "{{.State.OOMKilled}}", self._name)
            self._out_of_memory = (killed or "").strip() == "true"
        return ending(self.poll(), self._out_of_memory)

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
        self.ending()  # asks the engine while it has the container
        # If `docker run` had to be killed, the container still runs.
        docker("rm", "-f", "-v", self._name)
        return code


def _environment(env: Mapping[str, str]) -> tuple[IO[bytes], dict[str, str]]:
    """Return a file for --env-file, and the variables that it cannot hold: those with line ends.

    `ps` shows neither: the file has no name, and the others go through the environment of docker.
    """
    multiline = {key: value for key, value in env.items() if {"\n", "\r"} & set(value)}
    lines = [f"{key}={value}\n" for key, value in env.items() if key not in multiline]
    file = tempfile.TemporaryFile()
    file.write("".join(lines).encode())
    file.seek(0)
    return file, multiline


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


def _mount(folder: Path, target: str) -> str:
    """Return the value of --mount, which is a line of CSV; -v would end the folder at a colon."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(
        ["type=bind", f"source={folder}", f"target={target}"]
    )
    return line.getvalue()


def _resolve(image: str) -> str | None:
    """Return the name under which the engine has an image; ours may have its local name only."""
    if not is_reference(image):
        return None  # docker would take it for options
    names = [image, LOCAL_IMAGE] if is_ours(image) else [image]
    for name in names:
        if docker("image", "inspect", "--format", "{{.Id}}", name) is not None:
            return name
    return None
