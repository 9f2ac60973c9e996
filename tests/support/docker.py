"""The built image, run by `docker run` as a user would; what a test starts, it ends."""

import contextlib
import functools
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from support.job import PATIENCE, Job, Result

DOCKER = os.environ.get("DOCKER", "docker")
IMAGE = "factorization-machines:latest"
OTHER_USER = ("--user", "12345:12345")
READ_ONLY = ("--read-only", "--tmpfs", "/tmp")
OFFLINE = ("--network", "none")
_LABEL = ("--label", "local-factorization-machines=test")


def docker(*arguments: str, check: bool = True, timeout: float = PATIENCE) -> Result:
    """Run a docker command to its end."""
    done = subprocess.run(
        [DOCKER, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
    )
    # Not as text: that makes a line's end of a carriage return, which tells a progress bar.
    stdout, stderr = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    assert not check or done.returncode == 0, f"docker {' '.join(arguments)}: {stderr}"
    return Result(done.returncode, stdout, stderr)


@functools.cache
def missing(image: str = IMAGE) -> str | None:
    """Return what is not there to run the image with, or None."""
    if shutil.which(DOCKER) is None:
        return f"no {DOCKER} command"
    if docker("version", "--format", "{{.Server.Version}}", check=False).code != 0:
        return "no Docker engine answers"
    if docker("image", "inspect", image, check=False).code != 0:
        return f"no image {image} (./build.sh image makes it)"
    return None


def opt_ml(job: Job, model: str = "rw") -> list[str]:
    """Return the mounts of a job: its input read-only, model and output writable for anybody."""
    for folder in (job.model, job.output):
        folder.chmod(0o777)
    return [
        *("-v", f"{job.base / 'input'}:/opt/ml/input:ro"),
        *("-v", f"{job.model}:/opt/ml/model:{model}"),
        *("-v", f"{job.output}:/opt/ml/output"),
    ]


def run(
    *options: str,
    command: tuple[str, ...] = (),
    check: bool = False,
    timeout: float = PATIENCE,
) -> Result:
    """Run a container to its end, and remove it even if the client fails."""
    name = _new_name()
    arguments = ("run", "--rm", "--name", name, *_LABEL, *options, IMAGE, *command)
    try:
        return docker(*arguments, check=check, timeout=timeout)
    finally:
        docker("rm", "-f", name, check=False)


@dataclass(frozen=True)
class Container:
    """A container that runs in the background."""

    name: str

    @property
    def running(self) -> bool:
        """Return whether it has not ended."""
        state = docker("inspect", "--format", "{{.State.Running}}", self.name).stdout
        return state.strip() == "true"

    @property
    def code(self) -> int:
        """Return the exit code."""
        return int(docker("inspect", "--format", "{{.State.ExitCode}}", self.name).stdout)

    def logs(self) -> str:
        """Return standard output and error."""
        logs = docker("logs", self.name)
        return logs.stdout + logs.stderr

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return once the condition holds; fail if the container ends before."""
        until = time.monotonic() + PATIENCE
        while not condition():
            assert self.running, f"it ended with {self.code}: {self.logs()}"
            assert time.monotonic() < until, f"not within {PATIENCE} s: {self.logs()}"
            time.sleep(0.05)

    def port(self, inner: int = 8080) -> int:
        """Return the port of 127.0.0.1 behind which a port of the container is."""
        return int(docker("port", self.name, str(inner)).stdout.splitlines()[0].rpartition(":")[2])


@contextlib.contextmanager
def started(*options: str, command: tuple[str, ...] = ()) -> Iterator[Container]:
    """Start a container in the background and remove it at the end."""
    container = Container(_new_name())
    try:
        docker("run", "-d", "--name", container.name, *_LABEL, *options, IMAGE, *command)
        yield container
    finally:
        docker("rm", "-f", container.name, check=False)


def curl(*arguments: str) -> tuple[int, str]:
    """Return status and body of what the real curl was answered; 0 without an answer."""
    done = subprocess.run(
        [
            "curl",
            "--silent",
            "--show-error",
            "-w",
            "\n%{http_code}",
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def ping(port: int) -> int:
    """Return the status of GET /ping, 0 if nothing answers within the service's two seconds."""
    return curl("--max-time", "2", f"http://127.0.0.1:{port}/ping")[0]


def post(port: int, body: str, content_type: str = "application/json") -> tuple[int, str]:
    """Return status and body of POST /invocations."""
    return curl(
        *("-H", f"Content-Type: {content_type}", "--data-binary", body),
        f"http://127.0.0.1:{port}/invocations",
    )


_count = 0


def _new_name() -> str:
    global _count
    _count += 1
    return f"fm-test-{os.getpid()}-{_count}"
