"""Raw streams of a channel's bytes: files that must not change, FIFOs, and gzip data.

Files are read instead of mapped: if a file is truncated or a disk fails, a process that reads gets
an error, but a process that has mapped the file is killed (SIGBUS).
"""

import fcntl
import gzip
import io
import os
import select
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from factorization_machines.errors import DataError, PlatformError
from factorization_machines.files import open_regular
from sagemaker_container.contract.errors import ChannelError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

FIFO_TIMEOUT = 60.0  # seconds; the service creates a FIFO before the job starts
_LOG_INTERVAL = 60.0  # seconds between two log lines while no data arrives
# The largest size that Linux allows by default; the usual 64 KB cost a wake-up each.
_PIPE_SIZE = 1 << 20


class _Readable(io.RawIOBase):
    def readable(self) -> bool:
        """Return True."""
        return True


class FileStream(_Readable):
    """A file that must keep the size and modification time that it had at the start of the job.

    Raises: ChannelError if the file has changed; OSError from the file system.
    """

    def __init__(self, path: Path, name: str, initial: os.stat_result):
        self._path, self._name, self._initial = path, name, initial
        self._file = open_regular(path)
        self._read = 0

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        """Read up to the buffer's size; 0 at the end of the file."""
        size = self._file.readinto(buffer)
        self._read += size
        if not size:
            self.check()
            if self._read != self._initial.st_size:
                raise self._changed(f"{self._initial.st_size} bytes before, {self._read} read")
        return size

    def check(self) -> None:
        """Raise ChannelError if the size or the modification time has changed."""
        current = os.fstat(self._file.fileno())
        if current.st_size != self._initial.st_size:
            raise self._changed(f"{self._initial.st_size} bytes before, {current.st_size} now")
        if current.st_mtime_ns != self._initial.st_mtime_ns:
            raise self._changed("it was written to")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def _changed(self, change: str) -> ChannelError:
        return ChannelError(f"{self._name} changed while the job ran: {change}")


class PipeStream(_Readable):
    """A pass over a channel in Pipe mode: the data in a FIFO until all its writers have closed it.

    A read waits for the FIFO, for a writer and for data. While it waits, it polls `stopped` and
    logs a line each minute.

    Raises: PlatformError if there is no FIFO within `timeout` seconds; OSError from reading.
    """

    def __init__(
        self,
        path: Path,
        stopped: Callable[[], bool],
        log: Callable[[str], None],
        timeout: float | None = None,
    ):
        self._path, self._stopped, self._log = path, stopped, log
        self._timeout = FIFO_TIMEOUT if timeout is None else timeout
        self._descriptor: int | None = None

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        """Wait for data, and read up to the buffer's size; 0 at the end of the pass."""
        if self._descriptor is None and not self._open():
            return 0
        poll = select.poll()
        poll.register(self._descriptor or 0, select.POLLIN)
        start = logged = time.monotonic()
        # poll reports the end of a FIFO opened with O_NONBLOCK only after it has had a writer, and
        # all writers have closed it: a slow or late writer is not mistaken for the end.
        while not self._stopped():
            if not poll.poll(200):
                now = time.monotonic()
                if now - logged > _LOG_INTERVAL:
                    logged = now
                    self._log(f"Waiting for data from {self._path} for {now - start:.0f} s")
                continue
            try:
                return os.readv(self._descriptor or 0, [buffer])
            except BlockingIOError:
                continue
        return 0

    def close(self) -> None:
        """Close the FIFO."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        super().close()

    def _open(self) -> bool:
        """Open the FIFO as soon as it exists; return False if the job was stopped before."""
        deadline = time.monotonic() + self._timeout
        while not self._stopped():
            try:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except FileNotFoundError:
                if time.monotonic() > deadline:
                    raise PlatformError(
                        f"there is no {self._path}: in Pipe mode each pass over a channel has "
                        f"a FIFO of its own; waited {self._timeout:.0f} s"
                    ) from None
                time.sleep(0.05)
                continue
            try:
                fcntl.fcntl(self._descriptor, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
            except (OSError, AttributeError):
                pass  # not Linux, or not a FIFO: the size stays
            return True
        return False


class GzipStream(_Readable):
    """The decompressed content of a gzip stream with one or more members.

    Raises: DataError if the stream is damaged or truncated.
    """

    def __init__(self, raw: io.BufferedIOBase, name: str):
        self._raw, self._name = raw, name
        self._file = gzip.GzipFile(fileobj=raw)

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        """Read up to the buffer's size; 0 at the end."""
        try:
            return self._file.readinto(buffer)
        except EOFError:
            raise DataError(f"{self._name}: the gzip data is cut: its end is missing") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{self._name}: the gzip data is damaged: {error}") from None

    def close(self) -> None:
        """Close this stream and the compressed one."""
        self._raw.close()
        super().close()


def unpacked(raw: io.RawIOBase, name: str) -> io.RawIOBase | io.BufferedIOBase:
    """Return the decompressed content of a gzip stream, or the stream itself if it is not gzip.

    The service may have decompressed a channel before it delivers it.
    """
    buffered = io.BufferedReader(raw, _PIPE_SIZE)
    # One byte distinguishes gzip from RecordIO, and more may not have arrived yet.
    return GzipStream(buffered, name) if buffered.peek(1)[:1] == b"\x1f" else buffered
