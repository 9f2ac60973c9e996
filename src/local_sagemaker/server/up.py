"""The command: run the service here, or in the background with the lines for a shell to eval."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from local_sagemaker.context import Settings
from local_sagemaker.errors import LocalError
from local_sagemaker.server.environment import shell, variables

_PATIENCE = 60.0


def run(settings: Settings) -> None:
    """Run the service until SIGINT or SIGTERM, then end all that it started.

    Raises: LocalError if it cannot start.
    """
    if known := running(settings.state):
        raise LocalError(
            f"the service runs already at {known['url']} (process {known['pid']}):"
            " ./build.sh down ends it"
        )
    from local_sagemaker.backends.runner import choose, clean_environment

    # A profile, a proxy or an address of the caller's would lead our own clients astray.
    for name in set(os.environ) - set(clean_environment()):
        del os.environ[name]
    from local_sagemaker.service import Service

    runner, why = choose(settings.backend, settings.state)
    say(f"up: backend {runner.name}, {why}")
    runner.clear()
    try:
        service = Service(settings, runner)
    except OSError as error:
        raise LocalError(str(error)) from error
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    for note in service.notes:
        say(f"up: {note}")
    note_file = _note(settings.state)
    about = {"pid": os.getpid(), "url": service.url, "backend": runner.name}
    note_file.write_text(json.dumps(about))
    try:
        say(_greeting(settings, service.url))
        ended.wait()
        say("up: ending …")
    finally:
        note_file.unlink(missing_ok=True)
        service.stop()


def env(settings: Settings) -> None:
    """Print the lines for a shell; start the service in the background if it does not run.

    Raises: LocalError if it does not come up.
    """
    known = ensure(settings)
    sys.stderr.write(f"up: {known['url']}, backend {known['backend']}; ./build.sh down ends it\n")
    sys.stdout.write(shell(variables(settings.state, known["url"])))


def ensure(settings: Settings) -> dict[str, Any]:
    """Return the service of the state folder, which is started in the background if need be.

    Raises: LocalError if it does not come up.
    """
    return running(settings.state) or _start(settings)


def down(state: Path) -> None:
    """End the service of a state folder, and return when it has."""
    known = running(state)
    if known is None:
        say("down: the service does not run")
        return
    os.kill(known["pid"], signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        try:
            os.kill(known["pid"], 0)
        except ProcessLookupError:
            break
        if _is_zombie(known["pid"]):
            break
        time.sleep(0.1)
    else:
        raise LocalError(f"process {known['pid']} has not ended within {_PATIENCE:g} s")
    say("down: ended")


def running(state: Path) -> dict[str, Any] | None:
    """Return the pid, url and backend of the service that runs on a state folder, or None."""
    try:
        known: dict[str, Any] = json.loads(_note(state).read_text())
    except (OSError, ValueError):
        return None
    address = known["url"].partition("://")[2]
    connection = http.client.HTTPConnection(address, timeout=5.0)
    try:
        connection.request("GET", "/console/api/about")
        answer = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return known if answer.get("pid") == known["pid"] else None


def say(text: str) -> None:
    """Print it now."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _start(settings: Settings) -> dict[str, Any]:
    settings.state.mkdir(parents=True, exist_ok=True)
    log = settings.state / "service.log"
    command = [sys.executable, "-m", "local_sagemaker", "up", "--state", str(settings.state)]
    command += ["--port", str(settings.port), "--backend", settings.backend]
    command += ["--cores", str(settings.cores)]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if known := running(settings.state):
            return known
        if process.poll() is not None:
            break
        time.sleep(0.1)
    with contextlib.suppress(OSError):
        process.terminate()
    last = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-1:]
    raise LocalError(f"the service did not start: {' '.join(last) or 'no output'} (see {log})")


def _is_zombie(pid: int) -> bool:
    """Return whether a process has ended and waits for its parent only."""
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return False


def _note(state: Path) -> Path:
    return state / "service.json"


def _greeting(settings: Settings, url: str) -> str:
    return f"""\
up: SageMaker, S3, CloudWatch Logs at {url}; state in {settings.state}
up: at most {settings.cores} jobs at once; Ctrl-C ends the service and all that it runs
  unchanged code    eval "$(./build.sh up --env)"
  boto3, aws        AWS_ENDPOINT_URL={url}
  console           {url}/console"""
