"""What a backend offers: a Runner starts Tasks, and each start gives a Running."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sagemaker_container.contract.paths import DEFAULT_BASE

BIND_TO_PORT = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"
"""The label of an image that listens on SAGEMAKER_BIND_TO_PORT."""
Sink = Callable[[str], Any]


def in_container(text: str, base: Path) -> str:
    """Return a text with the paths of a container in place of those of its folder `base`."""
    return text.replace(str(base), str(DEFAULT_BASE))


def ending(code: int | None, out_of_memory: bool) -> str:
    """Return a text for an exit code, for messages."""
    reason = ": the kernel killed a process of it because memory ran out" if out_of_memory else ""
    return f"exit code {code}{reason}"


@dataclass(frozen=True)
class Task:
    """One container to run."""

    image: str
    command: str  # train, serve, or empty for the image's own command
    base: Path  # the container's /opt/ml
    env: Mapping[str, str]
    port: int | None = None  # of 127.0.0.1; forwarded to the container's own port
    container_port: int = 8080
    host: str = "algo-1"
    network: str | None = None
    entrypoint: Sequence[str] = field(default=())
    arguments: Sequence[str] = field(default=())
    grace: float = 120.0  # seconds between SIGTERM and SIGKILL; the service's own value

    @property
    def own_command(self) -> list[str]:
        """What runs in place of the image's command; empty if that runs."""
        return [*self.entrypoint, *self.arguments]


class Running(Protocol):
    """A started task."""

    def poll(self) -> int | None:
        """Return the exit code, or None while the task runs."""

    def ending(self) -> str:
        """Return how the ended task ended: its exit code, and whether memory ran out."""

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once the task has ended and all its output is in the sink."""

    def stop(self, grace: float | None = None) -> int:
        """End the task and return the exit code.

        Args:
            grace: seconds between SIGTERM and SIGKILL; None means the task's own.
        """


class Runner(Protocol):
    """A way to run containers."""

    name: str
    has_network: bool  # whether the hosts of a job can find each other by name
    reaches_service: bool  # whether a task can connect to the service's port of 127.0.0.1

    def prepare(self) -> None:
        """Do in the background what lets later tasks start sooner."""

    def problem(self, image: str, command: Sequence[str] | None = None) -> str | None:
        """Return why an image cannot be run, or None.

        Args:
            image: its name.
            command: what a job runs in place of the image's train and serve; None for these.
        """

    def binds_to_port(self, image: str) -> bool:
        """Return whether an image that can be run listens on SAGEMAKER_BIND_TO_PORT."""

    def start(self, task: Task, sink: Sink) -> Running:
        """Start a task; the sink is called with each line of its output."""

    def network(self, isolated: bool) -> str | None:
        """Create the network of a job's hosts; return its name, or None if none is needed.

        Args:
            isolated: the hosts reach each other only.
        """

    def remove_network(self, name: str) -> None:
        """Remove a network."""

    def remove(self, folder: Path) -> None:
        """Remove a folder that a task wrote to."""

    def clear(self) -> None:
        """End the tasks that an earlier service on the same state folder left running."""
