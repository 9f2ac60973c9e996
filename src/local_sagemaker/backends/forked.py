"""Commands of the container in processes that are forked from one that has loaded their code.

That process is Python's own fork server, which starts once for this process and ends with it. Only
Linux has it here: on macOS a process that has loaded Apple's frameworks cannot be forked safely.
"""

import contextlib
import importlib
import multiprocessing
import multiprocessing.connection
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

_context = multiprocessing.get_context("forkserver")
_ready = threading.Event()  # whether the fork server has loaded the code
# Starting a process also polls the others, and two polls at once can lose an exit code.
_lock = threading.Lock()


def prepare() -> None:
    """Start the fork server in the background."""
    if sys.platform == "linux":
        _context.set_forkserver_preload(["sagemaker_container.preload"])
        threading.Thread(target=_wait_until_ready, daemon=True).start()


def is_ready() -> bool:
    """Return whether a process can be forked at once."""
    return _ready.is_set()


class ForkedProcess:
    """A command in a process of its own session; has the part of subprocess.Popen that is used.

    The differences from a new process: /proc shows the fork server's environment and arguments, and
    what libraries read from the environment when they are loaded is the fork server's.
    """

    def __init__(self, command: str, env: Mapping[str, str]):
        """Start `train` or `serve`, with `env` as its whole environment.

        Raises: OSError if the fork server has ended; a new one is started for later processes.
        """
        output, write_end = _context.Pipe(duplex=False)
        self._process = _context.Process(target=_run, args=(command, dict(env), write_end))
        try:
            with _lock:
                self._process.start()
            write_end.close()
            self.stdout = os.fdopen(os.dup(output.fileno()), "rb")
            output.close()
            if not self.stdout.readline():
                raise EOFError
        except (EOFError, OSError) as error:
            _ready.clear()
            prepare()
            raise OSError("the fork server has ended") from error
        self.pid = self._process.pid or 0

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or None while the process runs."""
        with _lock:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once the process has ended.

        Raises: subprocess.TimeoutExpired.
        """
        if not multiprocessing.connection.wait([self._process.sentinel], timeout):
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return self.poll() or 0


def _wait_until_ready() -> None:
    """Start the fork server, and wait until it has forked a process that does nothing."""
    with contextlib.suppress(EOFError, OSError), _lock:
        process = _context.Process(target=int)
        process.start()
        process.join()
        _ready.set()


def _run(command: str, env: dict[str, str], output: Connection) -> None:
    """Run a command as a new process would, in a forked one."""
    os.setsid()
    os.umask(0o022)
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    output.close()
    for number in map(int, os.listdir("/proc/self/fd")):
        if number > 2:  # among them what keeps the fork server running
            with contextlib.suppress(OSError):
                os.close(number)
    os.write(1, b"\n")  # from here on signals to the process group arrive
    sys.stdin = open(0, closefd=False)
    sys.stdout = open(1, "w", buffering=1, closefd=False)
    sys.stderr = open(2, "w", buffering=1, closefd=False, errors="backslashreplace")
    os.environ.clear()
    os.environ.update(env)
    sys.argv = [command]
    multiprocessing.set_start_method(None, force=True)
    Path("/proc/self/comm").write_text(command)  # the name that ps shows
    getattr(importlib.import_module("sagemaker_container.cli"), command)()
