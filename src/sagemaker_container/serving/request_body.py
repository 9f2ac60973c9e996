"""Reads the body of a request within limits of size and time."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import IO

from flask import Request, g

from sagemaker_container.serving.errors import PayloadTooLarge, RequestTimeout

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

    def read(self, request: Request) -> bytes:
        """Return the body, and keep the number of bytes received as `g.received_bytes`.

        Raises: PayloadTooLarge, RequestTimeout.
        """
        length = request.content_length
        limit = self._max_bytes
        with self._deadline(request.environ.get("gunicorn.socket")):
            body = self._read(request.stream, length)
            g.received_bytes = len(body)
            if limit is not None and max(len(body), length or 0) > limit:
                g.received_bytes += _discard(request.stream)
                raise PayloadTooLarge(
                    f"a body may have {limit} bytes at most; SAGEMAKER_MAX_PAYLOAD_IN_MB sets the "
                    "limit"
                )
        if length is not None and len(body) < length:
            raise RequestTimeout(f"the body ended after {len(body)} bytes")
        return body

    def _read(self, stream: IO[bytes], length: int | None) -> bytes:
        if self._max_bytes is None:
            return stream.read()
        if length is not None and length > self._max_bytes:
            return b""
        try:
            return stream.read(self._max_bytes + 1)
        except OSError as error:  # of gunicorn, for a chunked body that ends before its last chunk
            raise RequestTimeout("the body ended before its last chunk") from error

    @contextlib.contextmanager
    def _deadline(self, connection: socket.socket | None) -> Iterator[None]:
        if connection is None:  # without a server, in a test
            yield
            return
        if self._thread is None:
            self._start()
        self._deadlines[connection] = time.monotonic() + self._seconds
        try:
            yield
        finally:
            del self._deadlines[connection]

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
    with contextlib.suppress(OSError):
        while size < _MAX_DISCARDED_BYTES and (chunk := stream.read(1 << 20)):
            size += len(chunk)
    return size
