"""Two ways to run a container's command: with Docker, or our own image's as a process."""

import os
import shutil
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from local_sagemaker.backends import docker_engine
from local_sagemaker.backends.child_process import Child, end_orphan
from local_sagemaker.builtin import is_ours
from local_sagemaker.errors import LocalError

LOCAL_IMAGE = "factorization-machines:latest"
LABEL = "local-sagemaker"
Sink = Callable[[str], Any]


@dataclass(frozen=True)
class Task:
    """One container to run."""

    image: str
    command: str  # train or serve
    base: Path  # what is /opt/ml in there
    env: Mapping[str, str]
    port: int | None = None  # of 127.0.0.1, for what the container serves on 8080
    host: str = "algo-1"
    network: str | None = None
    entrypoint: Sequence[str] = field(default=())
    arguments: Sequence[str] = field(default=())
    grace: float = 120.0  # seconds between SIGTERM and SIGKILL, the service's own


class Running(Protocol):
    """A container, or what stands for one."""

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code when it has ended and its output was passed on."""

    def stop(self, grace: float | None = None) -> int:
        """End it and return the exit code."""


class Runner(Protocol):
    """A way to run containers."""

    name: str
    has_network: bool  # whether the hosts of a job can find each other by name

    def problem(self, image: str) -> str | None:
        """Return why an image cannot be run, or None."""

    def start(self, task: Task, sink: Sink) -> Running:
        """Start a task; its output goes to the sink, line by line."""

    def network(self, name: str) -> str | None:
        """Return a network of this name for a job on several hosts, or None where none is used."""

    def remove_network(self, name: str) -> None:
        """Remove the network again."""

    def remove(self, folder: Path) -> None:
        """Remove a folder that a task wrote to."""

    def clear(self) -> None:
        """End what an earlier service on the same state left running when it was killed."""


class ProcessRunner:
    """Runs our own image's train and serve as processes of this machine."""

    name = "process"
    has_network = False

    def __init__(self, state: Path):
        """Take the folder in which the processes are noted."""
        self._notes = state / "processes"

    def problem(self, image: str) -> str | None:
        """Return why an image cannot be run: it is not ours."""
        if is_ours(image):
            return None
        return (
            f"the backend 'process' runs the factorization-machines image alone, not {image};"
            " start the service with --backend docker"
        )

    def start(self, task: Task, sink: Sink) -> Running:
        """Start it with its folder as SAGEMAKER_BASE_DIR."""
        env = {**clean_environment(), "PYTHONUNBUFFERED": "1", **task.env}
        env["SAGEMAKER_BASE_DIR"] = str(task.base)
        if task.port is not None:
            env["SAGEMAKER_BIND_TO_PORT"] = str(task.port)
        child = Child(_program(task.command), env, sink, grace=task.grace)
        self._notes.mkdir(parents=True, exist_ok=True)
        (self._notes / str(child.pid)).write_text(str(task.base))
        return child

    def network(self, name: str) -> str | None:
        """Return None: processes share this machine's."""

    def remove_network(self, name: str) -> None:
        """Do nothing."""

    def remove(self, folder: Path) -> None:
        """Remove the folder."""
        shutil.rmtree(folder, ignore_errors=True)

    def clear(self) -> None:
        """Kill the noted processes that still run on the folder that they were given."""
        for note in self._notes.glob("*"):
            end_orphan(int(note.name), note.read_text())
            note.unlink()


class DockerRunner:
    """Runs any image that the engine has, with its folder as /opt/ml."""

    name = "docker"
    has_network = True

    def __init__(self, state: Path):
        """Take the folder by which the containers are known."""
        self._label = f"{LABEL}={state}"

    def problem(self, image: str) -> str | None:
        """Return why an image cannot be run: the engine has it not."""
        if self._resolve(image) is None:
            return f"the Docker engine has no image {image}; nothing is pulled: build or pull it"
        return None

    def start(self, task: Task, sink: Sink) -> Running:
        """Start it; the client's signals reach the container."""
        image = self._resolve(task.image)
        if image is None:
            raise LocalError(f"The Docker engine has no image {task.image}.")
        name = f"{LABEL}-{uuid.uuid4().hex[:12]}"
        command = ["docker", "run", "--rm", "--name", name, "--label", self._label]
        command += ["-v", f"{task.base}:/opt/ml", "--hostname", task.host]
        if task.network:
            command += ["--network", task.network, "--network-alias", task.host]
        if task.port is not None:
            command += ["-p", f"127.0.0.1:{task.port}:8080"]
        for key, value in task.env.items():
            command += ["-e", f"{key}={value}"]
        if task.entrypoint:
            command += ["--entrypoint", task.entrypoint[0]]
        command.append(image)
        command += (
            [*task.entrypoint[1:], *task.arguments]
            if task.entrypoint
            else ([*task.arguments] or [task.command])
        )
        return _Container(Child(command, os.environ, sink, grace=task.grace), name)

    def network(self, name: str) -> str | None:
        """Make the network."""
        if docker_engine.docker("network", "create", name) is None:
            raise LocalError(f"The Docker network {name} could not be made.")
        return name

    def remove_network(self, name: str) -> None:
        """Remove it."""
        docker_engine.docker("network", "rm", name)

    def remove(self, folder: Path) -> None:
        """Remove the folder, by a container where its files are not ours to remove."""
        docker_engine.remove_folder(folder, LOCAL_IMAGE)

    def clear(self) -> None:
        """Remove the containers of this state folder."""
        found = docker_engine.docker("ps", "-aq", "--filter", f"label={self._label}") or ""
        for container in found.split():
            docker_engine.docker("rm", "-f", "-v", container)

    @staticmethod
    def _resolve(image: str) -> str | None:
        names = [image, *([LOCAL_IMAGE] if is_ours(image) else [])]
        return next((name for name in names if docker_engine.has_image(name)), None)


class _Container:
    """A running `docker run`, and the container behind it."""

    def __init__(self, child: Child, name: str):
        self._child, self._name = child, name

    def poll(self) -> int | None:
        return self._child.poll()

    def wait(self, timeout: float | None = None) -> int:
        return self._child.wait(timeout)

    def stop(self, grace: float | None = None) -> int:
        code = self._child.stop(grace)
        docker_engine.docker(
            "rm", "-f", "-v", self._name
        )  # a client that was killed leaves it running
        return code


def clean_environment() -> dict[str, str]:
    """Return this process's environment without AWS's settings and proxies."""
    return {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("AWS_", "SAGEMAKER_")) and not key.lower().endswith("_proxy")
    }


def choose(wanted: str, state: Path) -> tuple[Runner, str]:
    """Return the runner for docker, process or auto, and why it was chosen.

    Raises: LocalError if docker is asked for and does not answer.
    """
    if wanted == "process":
        return ProcessRunner(state), "as asked"
    if shutil.which("docker") is None:
        problem: str | None = "there is no docker command"
    else:
        problem = (
            None
            if docker_engine.docker("info") is not None
            else "the Docker engine does not answer"
        )
    if problem is None:
        return DockerRunner(state), "as asked" if wanted == "docker" else "since an engine answers"
    if wanted == "docker":
        raise LocalError(f"--backend docker cannot be used: {problem}.")
    return ProcessRunner(state), f"since {problem}"


def _program(command: str) -> list[str]:
    script = Path(sys.executable).parent / command
    if script.is_file():
        return [str(script)]
    return [sys.executable, "-c", f"from sagemaker_container.cli import {command}; {command}()"]
