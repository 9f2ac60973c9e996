"""gunicorn's threaded worker, in which only a request with a whole head takes a thread.

gunicorn 27 reads heads in its threads, without a limit of time, and its main thread waits for
clients to close their connections. Here the poller does both, for all connections at once. This is
the only module that uses private interfaces of gunicorn.
"""

import contextlib
import errno
import math
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from itertools import chain, islice, takewhile
from selectors import EVENT_READ
from typing import Any

from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.workers.gthread import TConn, ThreadWorker

MAX_HEAD = 32 << 10  # bytes of a request line and its headers
# Seconds that a client has to close its side after the last response, and at a stop, to send the
# head that it has begun.
_LINGER = 2.0
# Seconds that requests in flight have at a stop. Then their connections are closed.
_STOP = 5.0
# A request may take this many times the setting `timeout`, within which its body must arrive.
_TIMEOUTS = 4


class Connection(TConn):  # type: ignore[misc]
    """A connection, and the bytes that were received of its next request."""

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self.head = bytearray()

    def is_ready(self) -> bool:
        """Return whether the head is whole, too long, or has a line end that is an error."""
        return (
            b"\r\n\r\n" in self.head
            or len(self.head) > MAX_HEAD
            or self.head.count(b"\n") != self.head.count(b"\r\n")
        )


class Worker(ThreadWorker):  # type: ignore[misc]
    """Answers requests in threads, and waits for them without.

    A head must be whole within the setting `keepalive` after the connection, or after the response
    before. Beyond `worker_connections`, the connection that has waited longest is closed.
    """

    def __init__(self, *arguments: Any, **more: Any):
        super().__init__(*arguments, **more)
        # Each dictionary is in the order of the deadlines.
        self._waiting: dict[Connection, None] = {}
        self._busy: dict[Connection, None] = {}
        self._lingering: dict[Connection, None] = {}
        self._stop_began = math.inf

    def accept(self, listener: socket.socket) -> None:
        """Accept one connection, for other workers take their share."""
        try:
            client, address = listener.accept()
            self.nr_conns += 1
            if self.nr_conns >= self.worker_connections:
                self._close_oldest()
            connection = Connection(self.cfg, client, address, listener.getsockname())
            self._wait(connection)
            self._receive(connection, client)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._close_oldest()
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED):
                raise

    def handle(self, connection: Connection) -> bool:
        """Answer a request, in a thread; return whether the connection is kept."""
        if len(connection.head) > MAX_HEAD and b"\r\n\r\n" not in connection.head:
            connection.sock.setblocking(True)
            error = LimitRequestHeaders(f"a head may have {MAX_HEAD} bytes at most")
            self.handle_error(None, connection.sock, connection.client, error)
            return False
        connection.parser.unreader.unread(bytes(connection.head))
        connection.head.clear()
        kept: bool = super().handle(connection)
        return kept

    def finish_request(self, connection: Connection, answered: "Future[bool]") -> None:
        """Wait for the next request on the connection, or for its end."""
        del self._busy[connection]
        try:
            kept = answered.result()
            connection.sock.setblocking(False)
            if kept:
                # The client may have sent the next request already.
                connection.head += connection.parser.unreader.take_buffered()
                self._wait(connection)
                if connection.is_ready():
                    self._start(connection)
            else:
                connection.sock.shutdown(socket.SHUT_WR)
                self._watch(connection, self._lingering, _LINGER, self._received)
        except (Exception, SystemExit):  # SystemExit: gunicorn aborts the request
            self._close(connection)

    def murder_pending(self) -> None:
        """Close the connections that are past their deadlines."""
        now = time.monotonic()
        if not self.alive:
            self._stop_began = min(self._stop_began, now)
        for connections, seconds, close in (
            (self._waiting, _LINGER, self._close),
            (self._lingering, _LINGER, self._close),
            (self._busy, _STOP, _shut_down),
        ):
            stopped = now >= self._stop_began + seconds
            for connection in [*takewhile(lambda c: stopped or c.timeout <= now, connections)]:  # noqa: B023
                close(connection)

    def _wait(self, connection: Connection) -> None:
        self._watch(connection, self._waiting, self.cfg.keepalive, self._receive)

    def _watch(
        self,
        connection: Connection,
        connections: dict[Connection, None],
        seconds: float,
        on_readable: Callable[[Connection, socket.socket], object],
    ) -> None:
        connection.timeout = time.monotonic() + seconds
        connections[connection] = None
        self.poller.register(connection.sock, EVENT_READ, partial(on_readable, connection))

    def _unwatch(self, connection: Connection) -> None:
        for connections in (self._waiting, self._lingering):
            if connection in connections:
                del connections[connection]
                self.poller.unregister(connection.sock)

    def _receive(self, connection: Connection, client: socket.socket) -> None:
        connection.head += self._received(connection, client)
        if connection in self._waiting and connection.is_ready():
            self._start(connection)

    def _start(self, connection: Connection) -> None:
        self._unwatch(connection)
        connection.timeout = time.monotonic() + (_TIMEOUTS * self.cfg.timeout or math.inf)
        self._busy[connection] = None
        connection.init()
        self.enqueue_req(connection)

    def _received(self, connection: Connection, client: socket.socket) -> bytes:
        """Return what a client has sent; close the connection at its end."""
        try:
            received = client.recv(MAX_HEAD)
        except BlockingIOError:
            return b""
        except OSError:
            received = b""
        if not received:
            self._close(connection)
        return received

    def _close_oldest(self) -> None:
        for connection in [*islice(chain(self._lingering, self._waiting), 1)]:
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        self._unwatch(connection)
        self.nr_conns -= 1
        connection.close()


def _shut_down(connection: Connection) -> None:
    """End the reading and writing of the thread that answers a request."""
    with contextlib.suppress(OSError):
        connection.sock.shutdown(socket.SHUT_RDWR)
