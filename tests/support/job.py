"""A job's /opt/ml tree in a folder of the test, and `train` and `serve` on it as real processes."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from support import train_server

PATIENCE = 300.0  # seconds: far more than anything takes, so that a hang ends the test


@dataclass(frozen=True)
class Result:
    """What a process left."""

    code: int
    stdout: str
    stderr: str


def command(name: str) -> list[str]:
    """Return how to run one of our commands: the installed script, else the function behind it."""
    script = Path(sys.executable).parent / name
    if script.exists():
        return [str(script)]
    function = name.removeprefix("fm-")
    return [sys.executable, "-c", f"from sagemaker_container.cli import {function}; {function}()"]


def limited(statement: str) -> list[str]:
    """Return what, put before a command, runs a Python statement and becomes the command."""
    return [
        sys.executable,
        "-c",
        f"import os, sys; {statement}; os.execvp(sys.argv[1], sys.argv[1:])",
    ]


# Root may write everywhere: without CAP_DAC_OVERRIDE (1) and CAP_DAC_READ_SEARCH (2), which the
# next exec takes away, permissions count for it as for everybody.
UNPRIVILEGED = limited(
    "import ctypes; libc = ctypes.CDLL(None); "
    "os.geteuid() or [libc.prctl(24, cap, 0, 0, 0) and sys.exit('prctl') for cap in (1, 2)]"
)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on.

    It is taken from ports that the system does not give to clients, and at random, because tests
    run in parallel and use the port only seconds later.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)  # hypothesis seeds plain random
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Job:
    """The tree below one base folder, laid out as the service does."""

    def __init__(self, base: Path):
        self.base = base
        self.config = base / "input" / "config"
        self.data = base / "input" / "data"
        self.model = base / "model"
        self.output = base / "output"
        for folder in (self.config, self.data, self.model, self.output):
            folder.mkdir(parents=True, exist_ok=True)

    def hyperparameters(self, **values: object) -> None:
        """Write hyperparameters.json, every value a string."""
        self.configure("hyperparameters", {name: str(value) for name, value in values.items()})

    def configure(self, name: str, content: object) -> None:
        """Write one of the configuration files."""
        (self.config / f"{name}.json").write_text(json.dumps(content))

    def channel(self, name: str, content: bytes | Mapping[str, bytes]) -> None:
        """Write a channel's files, named by their paths in it."""
        files = {"part-0": content} if isinstance(content, bytes) else content
        (self.data / name).mkdir(exist_ok=True)
        for path, data in files.items():
            file = self.data / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)

    @property
    def failure(self) -> str | None:
        """Return the failure text, None where there is no such file."""
        path = self.output / "failure"
        return path.read_text() if path.exists() else None

    @property
    def left(self) -> list[str]:
        """Return the names of what lies in the model folder."""
        return sorted(path.name for path in self.model.iterdir())

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment of a process on this tree."""
        return {**os.environ, "SAGEMAKER_BASE_DIR": str(self.base), **(extra or {})}

    def train(
        self, before: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> Result:
        """Run `train` to its end.

        The installed command runs only where something is put before it or into its environment.
        Otherwise a fork of a process that has imported it does the same, seconds earlier.
        """
        if not before and not environment:
            with tempfile.TemporaryDirectory() as folder:
                return Result(*train_server.train(self.environment(), Path(folder), PATIENCE))
        done = subprocess.run(
            [*before, *command("train")],
            env=self.environment(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    @contextlib.contextmanager
    def started(self, **options: Any) -> Iterator[subprocess.Popen[str]]:
        """Start `train` with its streams as pipes, and end it in any case."""
        with subprocess.Popen(
            command("train"),
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    @contextlib.contextmanager
    def served(
        self,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = (),
        loaded: bool = True,
    ) -> Iterator["Endpoint"]:
        """Start `serve`, or another program, wait for its model or answer, end it in any case."""
        port = free_port()
        log = self.base / "serve.log"
        extra = {"SAGEMAKER_BIND_TO_PORT": str(port), **(environment or {})}
        with open(log, "wb") as stream:
            process = subprocess.Popen(
                list(program) or command("serve"),
                env=self.environment(extra),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        endpoint = Endpoint(process, port, log)
        try:
            endpoint.wait(loaded)
            yield endpoint
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


@dataclass(frozen=True)
class Endpoint:
    """A running `serve`."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def wait(self, loaded: bool = True) -> None:
        """Return at the first answer of /ping, or if `loaded` at one that is not "wait"."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise AssertionError(f"serve ended: {self.log.read_text()}")
            try:
                said = self.ping().content
                if not loaded or b'"Loading"' not in said:
                    return
            except requests.ConnectionError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"no answer from serve: {self.log.read_text()}")

    def ping(self) -> requests.Response:
        """GET /ping."""
        return requests.get(f"{self.url}/ping", timeout=PATIENCE)

    def invoke(
        self,
        body: object,
        content_type: str | None = "application/json",
        accept: str | None = None,
    ) -> requests.Response:
        """POST /invocations; a body that is no bytes goes as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": content_type} if content_type else {}
        if accept:
            headers["Accept"] = accept
        return requests.post(
            f"{self.url}/invocations", data=data, headers=headers, timeout=PATIENCE
        )
