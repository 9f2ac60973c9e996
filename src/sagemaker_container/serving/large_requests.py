"""Bounds the memory of large requests by the memory limit of the container."""

import ctypes
import fcntl
import os
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from sagemaker_container.contract import memory_limit
from sagemaker_container.serving.errors import Busy
from sagemaker_container.serving.settings import Settings

# The decoded form of a body takes this many times its size at most.
_EXPANSION = 24
_MAX_WAITING = 32  # requests of a worker, each of which keeps a thread
_PATIENCE = 10  # seconds


class LargeRequests:
    """Admits as many large bodies, and decodes as many at a time, as there is memory for.

    To be created before the workers are forked. A worker decodes one body at a time: the
    interpreter's lock makes two no faster. All bodies of a worker together may take an eighth of
    the memory limit divided by the workers, but one body is always admitted.
    """

    def __init__(self, settings: Settings, limit: int | None = None):
        limit = limit or memory_limit.limit() or 1 << 40
        self._largest_body = settings.max_payload or limit
        self._budget = limit // 8 // settings.workers
        self._bytes = 0
        self._waiting = 0
        self._changed = threading.Condition()
        self._turn = threading.Lock()
        # Half of the memory limit is for decoding. Each worker has one of the places, which is a
        # byte of an unnamed file: the system unlocks it if the worker ends.
        self._places = max(1, limit // 2 // (_EXPANSION * self._largest_body))
        folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
        self._file = None
        if self._places < settings.workers:
            self._file = tempfile.TemporaryFile(dir=folder)
            weakref.finalize(self, self._file.close)

    @contextmanager
    def admitted(self, size: int | None) -> Iterator[None]:
        """Wait until there is memory for a body; None is a size that is not known.

        Raises: Busy if that takes too long, or too many others wait.
        """
        size = min(size or self._largest_body, self._largest_body)
        with self._changed:
            self._waiting += 1
            free = self._waiting <= _MAX_WAITING and self._changed.wait_for(
                lambda: not self._bytes or self._bytes + size <= self._budget, _PATIENCE
            )
            self._waiting -= 1
            if not free:
                raise Busy("other large requests take the memory of this server; try again")
            self._bytes += size
        try:
            yield
        finally:
            with self._changed:
                self._bytes -= size
                self._changed.notify_all()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until a body may be decoded."""
        with self._turn:
            if self._file is None:
                yield
                return
            place = os.getpid() % self._places
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, place)
            try:
                yield
            finally:
                _return_free_memory()
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)


def _return_free_memory() -> None:
    """Return the memory that malloc keeps for later to the system, where that is glibc's."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
