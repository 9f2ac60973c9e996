"""Ports of this machine, and the wait for a model server that listens on one."""

import http.client
import socket
import time

from local_sagemaker.backends.base import Running
from local_sagemaker.errors import LocalError


def free_port() -> int:
    """Return a port of 127.0.0.1 on which no process listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_ping(server: Running, port: int, timeout: float = 60.0) -> None:
    """Return once GET /ping on 127.0.0.1 answers 200.

    Raises: LocalError if the server ends before that, or does not answer 200 in time.
    """
    deadline = time.monotonic() + timeout
    answer = "no answer"
    while time.monotonic() < deadline:
        code = server.poll()
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
