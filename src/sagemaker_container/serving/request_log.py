"""The log of the endpoint, on standard error: a line for each request but health checks."""

import logging
import os
import stat
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from gunicorn import glogging

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

RECEIVED_BYTES = "factorization_machines.received_bytes"  # of the WSGI environment
_dropped = 0


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
    """Write lines to standard error in one system call, so that workers do not mix them.

    Lines that standard error does not take are dropped. The next one says how many.
    """
    global _dropped
    note = f"{_dropped} entries of the log were dropped\n" if _dropped else ""
    try:
        os.write(2, f"{note}{text}\n".encode(errors="backslashreplace"))
        _dropped = 0
    except OSError:  # full, or closed: it must not fail a request
        _dropped += 1


def keep_standard_error_from_blocking() -> None:
    """Make writes to standard error fail where they would wait for its reader."""
    try:
        if stat.S_ISREG(os.fstat(2).st_mode):
            return  # a file never waits
    except OSError:  # closed: no other file may become number 2
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        return
    try:
        # Opened anew: the mode of the given one is that of other processes, too.
        opened = os.open("/dev/fd/2", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        os.dup2(opened, 2)
        os.close(opened)
    except OSError:  # a socket, or a pipe of another user
        os.set_blocking(2, False)


class Logger(glogging.Logger):  # type: ignore[misc]
    """gunicorn's logger, which writes as `log` does."""

    def setup(self, cfg: Any) -> None:
        """Configure the loggers."""
        super().setup(cfg)
        self.error_log.handlers = [_Handler()]
        self.error_log.handlers[0].setFormatter(logging.Formatter(self.error_fmt, self.datefmt))


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        log(self.format(record))
