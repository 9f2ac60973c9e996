"""Whether a local service runs, on this machine or another one."""

import http.client
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from local_sagemaker.errors import LocalError
from sagemaker_container.contract.untrusted import printable

_TIMEOUT_SECONDS = 5.0
_PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class RunningService:
    """A service that runs; its state folder holds this as service.json."""

    pid: int
    url: str
    backend: str


def service_file(state: Path) -> Path:
    """Return the file of a state folder that describes its service while that runs."""
    return state / "service.json"


def health(url: str) -> dict[str, Any]:
    """Return what a service says of its health.

    Raises: LocalError if it is not healthy, or if no such service answers.
    """
    code, content = request(url, "GET", "health")
    try:
        answer = json.loads(content)
        status = answer["status"]
    except (ValueError, LookupError, TypeError):
        text = printable(content.decode(errors="replace"))[:200].strip()
        raise LocalError(f"{url} is not healthy: status {code}: {text}") from None
    if code != http.HTTPStatus.OK:
        raise LocalError(f"The service at {url} is {status}.")
    return dict(answer)


def request(
    url: str, method: str, name: str, timeout: float = _TIMEOUT_SECONDS
) -> tuple[int, bytes]:
    """Return status and body of the response to a request for one of the service's own paths.

    Raises: LocalError if there is no response.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise LocalError(f"The URL must look like http://127.0.0.1:5860; got {url!r}.")
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    try:
        connection = kind(parts.hostname, parts.port, timeout=timeout)
        try:
            connection.request(method, f"/_local-sagemaker/{name}")
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise LocalError(f"No service answers at {url}: {error}") from error


def run(target: str | Path, seconds: float) -> None:
    """Print the health of a service.

    Args:
        target: the URL of the service, or its state folder.
        seconds: how long to wait until it is healthy.

    Raises: LocalError if it is not healthy.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            url = target if isinstance(target, str) else _url(target)
            answer = health(url)
            break
        except LocalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)
    about = f"backend {answer['backend']}, process {answer['pid']}, version {answer['version']}"
    lines = [f"status: {answer['status']} at {url}, S3 at {answer['s3']}, {about}"]
    for kind, counts in answer["resources"].items():
        listed = ", ".join(f"{count} {status}" for status, count in counts.items())
        lines.append(f"  {kind:26}  {listed or 'none'}")
    sys.stdout.write(printable("\n".join(lines), keep="\n") + "\n")


def _url(state: Path) -> str:
    try:
        return RunningService(**json.loads(service_file(state).read_text())).url
    except (OSError, ValueError, TypeError) as error:
        raise LocalError(f"No service runs on the state folder {state}.") from error
