"""The backend `process`: our own image's commands, and scripts, as processes of this machine."""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from local_sagemaker.backends import forked, scripts
from local_sagemaker.backends.base import Running, Sink, Task, ending, in_container
from local_sagemaker.builtin import is_ours, problem_of_name
from local_sagemaker.errors import LocalError
from sagemaker_container.contract import memory_limit

_MAX_LINE = 1 << 18  # bytes; the rest of a longer line is the next one
# Variables that `train` and `serve` read when they run, and no library reads.
_READ_LATER = ("SAGEMAKER_", "TRAINING_JOB_", "AWS_")
_running: set["ChildProcess"] = set()


class ChildProcess:
    """A process in its own process group, whose output goes to a sink line by line.

    The process ends with the `with` block, and in any case when this process exits.
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        sink: Sink,
        grace: float = 10.0,
        stdin: IO[bytes] | int = subprocess.DEVNULL,
    ):
        """Start the command.

        Args:
            command: program and arguments; no shell.
            env: the whole environment.
            sink: called in a thread with each line of output, without its line end.
            grace: seconds between SIGTERM and SIGKILL.
            stdin: what the process reads from its standard input.

        Raises: LocalError if the program cannot be started.
        """
        self._grace = grace
        self._kills_before = memory_limit.kills()
        self._process = self._start(command, env, stdin)
        self._reader = threading.Thread(target=self._read, args=(sink,), daemon=True)
        self._reader.start()
        _running.add(self)

    @property
    def pid(self) -> int:
        """The process id, which is also the process group's id."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        return self._process.poll()

    def ending(self) -> str:
        """Return the exit code in words; it is negative for a signal."""
        killed = self.poll() == -signal.SIGKILL
        return ending(self.poll(), killed and memory_limit.kills() > self._kills_before)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once the process has ended and its output is in the sink.

        Raises: subprocess.TimeoutExpired.
        """
        code = self._process.wait(timeout)
        self._reader.join(5.0)  # not for ever: a grandchild may hold the pipe open
        return code

    def stop(self, grace: float | None = None) -> int:
        """Send SIGTERM to the group, SIGKILL after the grace, and return the exit code.

        Args:
            grace: seconds; None means the grace that was passed to the constructor.
        """
        if self.poll() is None:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self._grace if grace is None else grace)
        self._signal(signal.SIGKILL)
        _running.discard(self)
        return self.wait()

    def __enter__(self) -> "ChildProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(
        self, command: Sequence[str], env: Mapping[str, str], stdin: IO[bytes] | int
    ) -> "subprocess.Popen[bytes] | forked.ForkedProcess":
        try:
            return subprocess.Popen(
                list(command),
                env=dict(env),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o022,  # not the service's own: others read what a model.tar.gz holds
            )
        except OSError as error:
            raise LocalError(f"Cannot start {command[0]}: {error.strerror}.") from error

    def _signal(self, number: signal.Signals) -> None:
        # macOS raises PermissionError if only a zombie of the group is left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _read(self, sink: Sink) -> None:
        stream = self._process.stdout
        if stream is not None:
            with stream:
                for line in iter(lambda: stream.readline(_MAX_LINE), b""):
                    sink(line.decode(errors="replace").rstrip("\r\n"))


class _TaskProcess(ChildProcess):
    """The process of a task, with a file that identifies it until it has ended."""

    def __init__(
        self, task: Task, program: Sequence[str], env: Mapping[str, str], sink: Sink, records: Path
    ):
        """Start the task, forked if that makes no difference; write the file to a folder."""
        self._task = task
        super().__init__(program, env, sink, task.grace)
        self._file = records / str(self.pid)
        self._file.write_text(f"{task.base}\n{_started(self.pid)}")

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, as ChildProcess does, and remove the file."""
        code = super().wait(timeout)
        self._file.unlink(missing_ok=True)
        return code

    def _start(
        self, command: Sequence[str], env: Mapping[str, str], stdin: IO[bytes] | int
    ) -> "subprocess.Popen[bytes] | forked.ForkedProcess":
        # Other variables, such as OMP_NUM_THREADS, are read when libraries are loaded.
        is_own = bool(self._task.own_command)
        if (
            not is_own
            and forked.is_ready()
            and all(name.startswith(_READ_LATER) for name in self._task.env)
        ):
            with contextlib.suppress(OSError):
                return forked.ForkedProcess(self._task.command, env)
        return super()._start(command, env, stdin)


@atexit.register
def _stop_all() -> None:
    for child in list(_running):
        child.stop()


class ProcessRunner:
    """Runs `train` and `serve` of our own image, and scripts, as processes."""

    name = "process"
    has_network = False
    reaches_service = True

    def __init__(self, state: Path, sklearn_python: Path = Path(sys.executable)):
        """Record the started processes in the service's state folder.

        Args:
            state: the folder.
            sklearn_python: the Python that stands in for AWS's scikit-learn images.
        """
        self._records, self._sklearn_python = state / "processes", sklearn_python

    def prepare(self) -> None:
        """Load the code of `train` and `serve` in the background, for tasks that start later."""
        forked.prepare()

    def problem(self, image: str, command: Sequence[str] | None = None) -> str | None:
        """Return why an image, or a command in place of its own, cannot be run."""
        if problem := problem_of_name(image):
            return problem
        if command is not None:
            return scripts.problem(image, command, self._sklearn_python)
        if is_ours(image):
            return None
        return (
            f"the backend 'process' runs the factorization-machines image alone, not {image};"
            " with --backend docker the service runs the images that the Docker engine has"
        )

    def binds_to_port(self, image: str) -> bool:
        """Return True: `serve` does."""
        return True

    def start(self, task: Task, sink: Sink) -> Running:
        """Start a process with the task's folder as SAGEMAKER_BASE_DIR.

        Raises: LocalError if it cannot be run.
        """
        show: Sink = lambda line: sink(in_container(line, task.base))  # noqa: E731
        env = {**clean_environment(), "PYTHONUNBUFFERED": "1", **task.env}
        env["SAGEMAKER_BASE_DIR"] = str(task.base)
        program = _program(task.command)
        if task.own_command:
            program, variables = scripts.prepare(task, self._sklearn_python, sink)
            env |= variables
        if task.port is not None:
            env["SAGEMAKER_BIND_TO_PORT"] = str(task.port)
        self._records.mkdir(parents=True, exist_ok=True)
        return _TaskProcess(task, program, env, show, self._records)

    def network(self, isolated: bool) -> str | None:
        """Return a text if scripts are to be isolated; `train` connects to no network anyway."""
        return "none" if isolated else None

    def remove_network(self, name: str) -> None:
        """No-op."""

    def remove(self, folder: Path) -> None:
        """Remove a folder."""
        remove_tree(folder)

    def clear(self) -> None:
        """Kill the recorded processes that still run."""
        for record in self._records.glob("*"):
            with contextlib.suppress(FileNotFoundError):  # a process that has just ended
                _kill_orphan(int(record.name), record.read_text().rpartition("\n")[2])
                record.unlink()


def remove_tree(folder: Path) -> None:
    """Remove what can be removed of a folder; shutil.rmtree fails for thousands of levels."""
    subprocess.run(["rm", "-rf", "--", str(folder)], stderr=subprocess.DEVNULL, check=False)


def clean_environment() -> dict[str, str]:
    """Return this process's environment without settings of AWS, SageMaker, ours and proxies."""
    return {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("AWS_", "SAGEMAKER_", "LOCAL_SAGEMAKER_"))
        and not key.lower().endswith("_proxy")
    }


def _program(command: str) -> list[str]:
    script = Path(sys.executable).parent / command
    if script.is_file():
        return [str(script)]
    return [sys.executable, "-c", f"from sagemaker_container.cli import {command}; {command}()"]


def _started(pid: int) -> str:
    """Return a text that no other process of this id has, before or after; empty if it ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {status.rpartition(')')[2].split()[19]}"  # clock ticks since the boot
    except OSError:
        if Path("/proc/self").exists():
            return ""
    # macOS has no /proc.
    shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True)
    return shown.stdout.strip()


def _kill_orphan(pid: int, started: str) -> None:
    """Kill the process group of a process, unless the id is another program's by now."""
    if started and started == _started(pid):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
