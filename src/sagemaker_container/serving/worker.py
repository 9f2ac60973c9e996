"""gunicorn's worker of one event loop, that leaves other workers their share of connections.

Connections that come together, and are kept, would all become those of one process, whichever
wakes first, while the others have nothing to do.
"""

import mmap
import socket
import time
from asyncio import AbstractServer
from typing import Any

from gunicorn.workers.gasgi import ASGIWorker

_BACKLOG = 2048  # as gunicorn's own; the queue is one for all workers
_SLOTS = 64  # of so many workers each has its own
_COURTESY = 0.0005  # seconds: another worker, if it is free, wakes in a tenth of it

# Open connections of each worker, -1 where there is none. Made before the fork, seen by all.
_connections = memoryview(mmap.mmap(-1, 4 * _SLOTS)).cast("i")
_connections[:] = memoryview(b"\xff" * 4 * _SLOTS).cast("i")


class Worker(ASGIWorker):  # type: ignore[misc]
    """Takes one connection at a time, and lets a worker with fewer of them go first."""

    _open = _taken = 0

    @property
    def nr_conns(self) -> int:
        """Return how many connections are open; the base class counts them here."""
        return self._open

    @nr_conns.setter
    def nr_conns(self, count: int) -> None:
        self.count(count - self._open, min(self._open - count, 0))

    def count(self, opened: int, taken: int) -> int:
        """Add to the open connections, and to those taken but not open yet; return how many."""
        self._open += opened
        self._taken += taken
        _connections[self.age % _SLOTS] = self._open + self._taken
        return self._open + self._taken

    def run(self) -> None:
        """Serve until a signal ends it."""
        create = self.loop.create_server

        async def create_server(*arguments: Any, sock: Any, **more: Any) -> AbstractServer:
            listener = _Listener(self, sock)
            server: AbstractServer = await create(*arguments, sock=listener, backlog=1, **more)
            listener.listen(_BACKLOG)  # asyncio's backlog is the queue's length as well
            return server

        self.loop.create_server = create_server
        super().run()


def gone(worker: Worker) -> None:
    """Forget a worker that has ended, however it did."""
    _connections[worker.age % _SLOTS] = -1


class _Listener(socket.socket):
    def __init__(self, worker: Worker, sock: socket.socket):
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.dup().detach())
        self._worker = worker

    def accept(self) -> tuple[socket.socket, Any]:
        mine = self._worker.count(0, 0)
        if any(0 <= others < mine for others in _connections):
            time.sleep(_COURTESY)
        taken = super().accept()
        self._worker.count(0, 1)
        return taken
