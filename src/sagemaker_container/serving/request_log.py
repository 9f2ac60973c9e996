"""The log of the endpoint, on standard error: a line for each request but health checks."""

import contextlib
import os
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

RECEIVED_BYTES = "factorization_machines.received_bytes"  # of the WSGI environment


class RequestLog:
    """WSGI middleware that logs requests. Flask's own hooks take three times as long."""

    def __init__(self, application: "WSGIApplication"):
        self._application = application

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Respond as the application does, and log the request."""
        if environ["PATH_INFO"] == "/ping":
            return self._application(environ, start_response)
        started = time.perf_counter()

        def start_and_log(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            milliseconds = 1000 * (time.perf_counter() - started)
            size = next((value for name, value in headers if name == "Content-Length"), "0")
            log(
                f"{environ['REQUEST_METHOD']} {_printable_path(environ)} {status[:3]}, "
                f"{environ.get(RECEIVED_BYTES, 0)} bytes in, {size} out, {milliseconds:.2f} ms"
            )
            return start_response(status, headers, *error)

        return self._application(environ, start_and_log)


def _printable_path(environ: Mapping[str, Any]) -> str:
    """Return the path as the client sent it, without characters that could end the log line."""
    path: str = environ["RAW_URI"].partition("?")[0][:200]
    if path.isprintable():
        return path
    return "".join(letter if letter.isprintable() else "?" for letter in path)


def log(text: str) -> None:
    """Write lines to standard error in one system call, so that workers do not mix them."""
    with contextlib.suppress(OSError):  # a closed standard error must not fail a request
        os.write(2, f"{text}\n".encode(errors="backslashreplace"))
