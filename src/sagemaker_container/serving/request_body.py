"""Reads the body of a request within limits of size and time."""

import contextlib
import socket
import threading
import time
from collections.abc import MutableMapping
from typing import IO, Any

from gunicorn.http.errors import ParseException

from factorization_machines.errors import DataError
from sagemaker_container.serving.errors import PayloadTooLarge, RequestTimeout
from sagemaker_container.serving.request_log import RECEIVED_BYTES

# A client reads the response after it has sent its body, so a body above the limit is still read.
_MAX_DISCARDED_BYTES = 64 << 20
_CHECK_INTERVAL = 0.5  # seconds


class BodyReader:
    """Reads bodies of at most `max_bytes` bytes (None: any size) that arrive within `seconds`.

    A body is read by the thread that answers the request. A client that sends slowly, or nothing,
    would keep that thread, so one more thread ends the reading of bodies that are late. A timeout
    of the socket cannot do that: it starts anew with each byte that arrives.
    """

    def __init__(self, max_bytes: int | None, seconds: float):
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._deadlines: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def read(self, environ: MutableMapping[str, Any]) -> bytes:
        """Return the body of a WSGI request, and note in `environ` how many bytes it had.

        Raises: PayloadTooLarge, RequestTimeout, DataError for invalid chunks.
        """
        connection = environ.get("gunicorn.socket")
        if connection is None:  # without a server, in a test
            return self._read(environ)
        if self._thread is None:
            self._start()
        self._deadlines[connection] = time.monotonic() + self._seconds
        try:
            return self._read(environ)
        finally:
            del self._deadlines[connection]

    def _read(self, environ: MutableMapping[str, Any]) -> bytes:
        stream: IO[bytes] = environ["wsgi.input"]
        length = int(environ.get("CONTENT_LENGTH") or -1)  # -1: in chunks
        limit = self._max_bytes
        body = b""
        try:
            if limit is None or length <= limit:
                body = stream.read(-1 if limit is None else limit + 1)
        except OSError as error:  # of gunicorn, or of the connection
            raise RequestTimeout("the body ended before its last chunk") from error
        except ParseException as error:
            raise DataError(f"the chunks of the body are invalid: {error}") from error
        environ[RECEIVED_BYTES] = len(body)
        if limit is not None and max(len(body), length) > limit:
            environ[RECEIVED_BYTES] += _discard(stream)
            raise PayloadTooLarge(
                f"a body may have {limit} bytes at most; SAGEMAKER_MAX_PAYLOAD_IN_MB sets the limit"
            )
        if len(body) < length:
            raise RequestTimeout(f"the body ended after {len(body)} bytes")
        return body

    def _start(self) -> None:
        # Not in __init__: a thread of the parent does not exist in a forked worker.
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._end_late_bodies, daemon=True)
                self._thread.start()

    def _end_late_bodies(self) -> None:
        while True:
            time.sleep(_CHECK_INTERVAL)
            now = time.monotonic()
            for connection, deadline in list(self._deadlines.items()):
                if deadline < now:
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RD)  # recv() now returns no bytes


def _discard(stream: IO[bytes]) -> int:
    """Read the rest of a body and return its size."""
    size = 0
    with contextlib.suppress(OSError, ParseException):
        while size < _MAX_DISCARDED_BYTES and (chunk := stream.read(1 << 20)):
            size += len(chunk)
    return size
