"""Run other programs: with their output shown, in a log, or in place of this one."""

import os
import re
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

LOGS = Path("build/log")
_FAILED_STEP = re.compile(r"ERROR: (executor|process)|returned a non-zero code")
_PROBLEM = re.compile(r"error|denied|no space|not found", re.IGNORECASE)


class CommandError(Exception):
    """A command failed; the message says why, and is empty where a program printed the reason."""

    def __init__(self, message: str = "", code: int = 1):
        super().__init__(message)
        self.code = code


def misuse(message: str) -> NoReturn:
    """Raise the error for a wrong command line."""
    raise CommandError(message, code=2)


def say(text: str) -> None:
    """Print a line at once, so that it precedes the output of programs that run next."""
    clear = "\r\033[K" if sys.stdout.isatty() else ""  # the progress of a program
    print(clear + text, flush=True)  # noqa: T201


def shown(*command: str) -> None:
    """Run a program whose output is for the user; raise CommandError with its exit code."""
    if code := subprocess.Popen(command).wait():
        raise CommandError(code=code if code > 0 else 128 - code)


def replaced_by(*command: str) -> NoReturn:
    """Become another program, so that it gets the signals meant for this process."""
    os.execv(command[0], command)  # noqa: S606


def logged(name: str, command: list[str], failure: str) -> None:
    """Run a program with its output in build/log/NAME.log, and show its progress meanwhile.

    Raises:
        CommandError: if it fails, with `failure` and the line of the log that tells most.
    """
    log = LOGS / f"{name}.log"
    LOGS.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as output, subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
    ) as process:  # fmt: skip
        try:
            _show_progress(process, log)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise CommandError(f"{failure}: {reason(log)}")


def reason(log: Path) -> str:
    """Return the line of a log that tells most about a failure, and where the rest is."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    # A container build names the step that failed; the line before it is the step's own message.
    messages = pairwise(line for line in lines if len(line.split()) > 2)
    candidates = [before for before, line in messages if _FAILED_STEP.search(line)][:1]
    candidates += [line for line in lines if line.startswith("ERROR")]
    candidates += [line for line in reversed(lines) if _PROBLEM.search(line)]
    candidates += [*lines[-1:], "no output"]
    # In a checkout the user is in the folder of the log; the files of a wheel are elsewhere.
    where = log if Path("build.sh").is_file() else log.absolute()
    return f"{candidates[0][:300]} (full output: {where})"


def _show_progress(process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for a program; show the log's last line each second on a terminal, else each 15 s."""
    period, form = (1, "\r\033[K{}") if sys.stderr.isatty() else (15, "{}\n")
    start = time.monotonic()
    while True:
        try:
            process.wait(period)
            break
        except subprocess.TimeoutExpired:
            last = (log.read_text(errors="replace").splitlines() or [""])[-1][:90]
            sys.stderr.write(form.format(f"  {log.stem}, {time.monotonic() - start:.0f} s: {last}"))
            sys.stderr.flush()
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
