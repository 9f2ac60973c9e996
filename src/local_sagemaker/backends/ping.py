"""Ports of this machine, and the wait for a model server that listens on one."""

import http.client
import json
import socket
import time

from local_sagemaker.backends.base import Running
from local_sagemaker.errors import LocalError

_MAX_BODY = 1 << 16  # bytes of a response that are read


def free_port() -> int:
    """Return a port of 127.0.0.1 on which no process listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_ping(server: Running, port: int, timeout: float = 60.0) -> None:
    """Return once GET /ping on 127.0.0.1 answers 200.

    Raises: LocalError if the server ends before that, does not answer 200 in time, or answers
        that its model cannot be loaded.
    """
    deadline = time.monotonic() + timeout
    answer = "no answer"
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise LocalError(f"serve ended with {server.ending()} before /ping answered 200.")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)
        try:
            connection.request("GET", "/ping")
            response = connection.getresponse()
            if response.status == 200:
                return
            answer = f"status {response.status}"
            if message := _final_error(response.read(_MAX_BODY)):
                raise LocalError(f"/ping answered {response.status}: {message}")
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.05)
    raise LocalError(f"/ping did not answer 200 within {timeout:g} s (last: {answer}).")


def _final_error(body: bytes) -> str | None:
    """Return the message of our server if it cannot serve, None while it loads the model."""
    try:
        error = json.loads(body)["error"]
        return None if error["code"] == "Loading" else str(error["message"])
    except (ValueError, TypeError, KeyError):
        return None  # of another server, which may answer 200 later
