"""The local service as a process: in the foreground, in the background, or for a `with` block."""

import contextlib
import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

from local_sagemaker.build import project
from local_sagemaker.errors import LocalError
from local_sagemaker.server.environment import shell, variables
from local_sagemaker.settings import Settings
from local_sagemaker.status import RunningService, health, request, service_file
from local_sagemaker.storage.database import locked
from sagemaker_container.contract.untrusted import printable

_START_SECONDS = _STOP_SECONDS = 60.0


def run(settings: Settings) -> None:
    """Run the service until SIGINT or SIGTERM, then end all that it started.

    Raises: LocalError if it cannot start.
    """
    if service := running(settings.state):
        raise LocalError(
            f"the service runs already at {service.url} (process {service.pid}):"
            f" {_command('down', settings.state)} ends it"
        )
    with locked(settings.state):
        _serve(settings)


def _serve(settings: Settings) -> None:
    """Run the service on a state folder that is locked."""
    from local_sagemaker.backends.process import clean_environment
    from local_sagemaker.backends.selection import choose

    # A profile, a proxy or an endpoint of the caller's would misdirect the service's own clients.
    for name in set(os.environ) - set(clean_environment()):
        del os.environ[name]
    os.umask(0o077)  # the environment of a job, which records hold, may have passwords
    from local_sagemaker.service import Service

    runner, reason = choose(
        settings.backend, settings.state, sklearn_python=settings.sklearn_python
    )
    say(reason)
    runner.clear()
    try:
        server = Service(settings, runner)
    except (OSError, sqlite3.OperationalError) as error:
        raise LocalError(str(error)) from error
    # A pipe, because a wait for a lock misses a signal that comes just before.
    ended, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    for note in server.notes:
        say(f"up: {printable(note)}")
    file = service_file(settings.state)
    file.write_text(json.dumps(asdict(RunningService(os.getpid(), server.url, runner.name))))
    try:
        runner.prepare()
        say(_greeting(settings, server.url))
        os.read(ended, 1)
        say("up: ending …")
    finally:
        file.unlink(missing_ok=True)
        server.stop()


def env(settings: Settings, endpoint_url: bool) -> None:
    """Print the lines for a shell; start the service in the background if it does not run.

    Args:
        settings: the options of the service.
        endpoint_url: set AWS_ENDPOINT_URL in place of HTTPS_PROXY.

    Raises: LocalError if it does not come up.
    """
    service = ensure(settings)
    end = _command("down", settings.state)
    sys.stderr.write(f"up: {service.url}, backend {service.backend}; {end} ends it\n")
    if not endpoint_url:
        other = _command("up --env --endpoint-url", settings.state)
        sys.stderr.write(f"up: for Node, Java and others that ignore HTTPS_PROXY: {other}\n")
    sys.stdout.write(shell(variables(settings.state, service.url, endpoint_url)))


def elsewhere(url: str, endpoint_url: bool) -> None:
    """Print the lines for a shell, for a service on another machine or in a container.

    Args:
        url: the URL of the service. Its certificates go to a folder of the user's cache.
        endpoint_url: set AWS_ENDPOINT_URL in place of HTTPS_PROXY.

    Raises: LocalError if no healthy service answers.
    """
    url = url.rstrip("/")
    health(url)
    folder = project.cache() / "services" / quote(url, safe="")
    (folder / "ca").mkdir(parents=True, exist_ok=True)
    bundle = request(url, "GET", "ca-bundle.pem")[1]
    (folder / "ca" / "ca-bundle.pem").write_bytes(bundle)
    sys.stdout.write(shell(variables(folder, url, endpoint_url)))


def ensure(settings: Settings) -> RunningService:
    """Return the service of a state folder; start it in the background if it does not run.

    Raises: LocalError if it does not come up, or uses another S3 than the settings name.
    """
    if service := running(settings.state):
        s3 = health(service.url)["s3"]
        if settings.s3 is not None and settings.s3.url != s3:
            end = _command("down", settings.state)
            raise LocalError(f"the service runs already, with the S3 at {s3}: {end} ends it")
        return service
    process = _start(settings)
    try:
        return _wait_until_up(process, settings.state)
    except BaseException:
        _end(process)
        raise


@contextlib.contextmanager
def temporary(settings: Settings) -> Iterator[RunningService]:
    """Yield the service of a state folder; end it after the block, unless it ran before.

    Raises: LocalError if it does not come up.
    """
    if service := running(settings.state):
        yield service
        return
    process = _start(settings)
    try:
        yield _wait_until_up(process, settings.state)
    finally:
        _end(process)


def down(state: Path) -> None:
    """End the service of a state folder, and return when it has ended.

    Raises: LocalError if it does not end in time.
    """
    service = running(state)
    if service is None:
        say(f"down: no service runs on the state folder {state}")
        return
    os.kill(service.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < deadline:
        try:
            os.kill(service.pid, 0)
        except ProcessLookupError:
            say("down: ended")
            return
        time.sleep(0.1)
    raise LocalError(f"process {service.pid} has not ended within {_STOP_SECONDS:g} s")


def running(state: Path) -> RunningService | None:
    """Return the service that runs on a state folder, or None."""
    try:
        service = RunningService(**json.loads(service_file(state).read_text()))
        # After a crash another service may listen on the port.
        return service if health(service.url)["pid"] == service.pid else None
    except (OSError, ValueError, TypeError, LookupError, LocalError):
        return None


def say(text: str) -> None:
    """Print a line and flush it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _start(settings: Settings) -> subprocess.Popen[bytes]:
    settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(settings.state):  # before its log is opened, which may be another service's
        _log_file(settings.state).touch(mode=0o600)
    command = [sys.executable, "-m", "local_sagemaker", "up", "--state", str(settings.state)]
    command += ["--host", settings.host, "--port", str(settings.port)]
    command += ["--backend", settings.backend, "--cores", str(settings.cores)]
    command += ["--sklearn-python", str(settings.sklearn_python)]
    if settings.s3 is not None:  # its credentials are in the environment
        command += ["--s3-endpoint", settings.s3.url]
    for name in settings.names:
        command += ["--allowed-host", name]
    with _log_file(settings.state).open("wb") as stream:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )


def _wait_until_up(process: subprocess.Popen[bytes], state: Path) -> RunningService:
    log, size = _log_file(state), 0
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if service := running(state):
            return service
        if log.stat().st_size > size:  # it makes progress
            size, deadline = log.stat().st_size, time.monotonic() + _START_SECONDS
        time.sleep(0.1)
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    last = lines[-1] if lines else "no output"
    raise LocalError(f"the service did not start: {last} (see {log})")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _log_file(state: Path) -> Path:
    return state / "service.log"


def _command(name: str, state: Path) -> str:
    """Return a command for this state folder, to be run in the current folder."""
    options = "" if state == Path.cwd() / ".service" else f" --state {shlex.quote(str(state))}"
    return f"{project.command()} {name}{options}"


def _greeting(settings: Settings, url: str) -> str:
    return f"""\
up: SageMaker, S3, CloudWatch Logs at {url}; state in {settings.state}
up: at most {settings.cores} jobs at once; Ctrl-C ends the service and all that it runs
  unchanged code    eval "$({_command("up --env", settings.state)})"
  boto3, aws        AWS_ENDPOINT_URL={url}
  console           {url}/console"""
