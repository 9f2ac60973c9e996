"""Child processes that are watched: output line by line, an orderly end, and no orphan."""

import atexit
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from local_sagemaker.errors import LocalError

_running: set["Child"] = set()


class Child:
    """A process in a group of its own, whose output goes to `sink` line by line.

    As a context manager it ends with the block; in any case it ends with this process.
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        sink: Callable[[str], Any],
        grace: float = 10.0,
        end_signal: signal.Signals = signal.SIGTERM,
    ):
        """Start the command.

        Args:
            command: program and arguments; no shell.
            env: the whole environment.
            sink: called from a thread with each line of output, without its end.
            grace: seconds between the end signal and SIGKILL.
            end_signal: what asks the group to end.
        """
        self._grace, self._end_signal = grace, end_signal
        try:
            self._process = subprocess.Popen(
                list(command),
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise LocalError(f"Cannot start {command[0]}: {error.strerror}.") from error
        self._reader = threading.Thread(target=self._read, args=(sink,), daemon=True)
        self._reader.start()
        _running.add(self)

    @property
    def pid(self) -> int:
        """The process id, which is also the group's."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        return self._process.poll()

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once it has ended and its output has been passed on.

        Raises: subprocess.TimeoutExpired.
        """
        code = self._process.wait(timeout)
        self._reader.join(5.0)  # a grandchild may hold the pipe open for ever
        return code

    def stop(self, grace: float | None = None) -> int:
        """Ask the group to end, kill what is left after the grace, and return the exit code.

        Args:
            grace: seconds, where it is not to be the one that it was started with.
        """
        if self.poll() is None:
            self._signal(self._end_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self._grace if grace is None else grace)
        self._signal(signal.SIGKILL)
        _running.discard(self)
        return self.wait()

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _signal(self, number: signal.Signals) -> None:
        # PermissionError: macOS, for a group of which only a zombie is left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _read(self, sink: Callable[[str], Any]) -> None:
        stream = self._process.stdout
        if stream is not None:
            with stream:
                for line in stream:
                    sink(line.decode(errors="replace").rstrip("\r\n"))


@atexit.register
def _stop_all() -> None:
    for child in list(_running):
        child.stop()


def end_orphan(pid: int, mark: str) -> None:
    """Kill the process group of a process that another run of ours started.

    Args:
        pid: its id, which another program's may be by now.
        mark: what its environment holds, if it is the one.
    """
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return
        # macOS: the environment follows the command.
        shown = subprocess.run(
            ["ps", "-Eww", "-o", "command=", "-p", str(pid)], capture_output=True
        )
        environment = shown.stdout
    except OSError:
        return
    if mark.encode() in environment:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Polled(Protocol):
    """What can be asked whether it still runs."""

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""


def wait_for_ping(child: Polled, port: int, timeout: float = 60.0) -> None:
    """Return once GET /ping on 127.0.0.1 answers 200.

    Raises: LocalError if the process ends before that, or the time is over.
    """
    deadline = time.monotonic() + timeout
    answer = "no answer"
    while time.monotonic() < deadline:
        code = child.poll()
        if code is not None:
            raise LocalError(f"serve ended with exit code {code} before /ping answered 200.")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)
        try:
            connection.request("GET", "/ping")
            status = connection.getresponse().status
            if status == 200:
                return
            answer = f"status {status}"
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.05)
    raise LocalError(f"/ping did not answer 200 within {timeout:g} s (last: {answer}).")
