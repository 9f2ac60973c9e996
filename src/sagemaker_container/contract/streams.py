"""The bytes of a channel, as raw streams: files that must not change, FIFOs, gzip.

Files are read and not mapped: one that gets shorter, or a disk that fails, ends a process that has
it mapped (SIGBUS), and a process that reads it gets an error to tell.
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
from sagemaker_container.errors import ChannelError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

APPEARS = 60.0  # seconds in which a FIFO comes to be; who delivers makes it before the job starts
TOLD = 60.0  # seconds without data after which the log says for what it waits
_PIPE_SIZE = 1 << 20  # as much as Linux gives anybody; 64 KB are a wake-up each


class FileStream(io.RawIOBase):
    """One file, of the size and time of change that it had when the job looked at it first.

    Raises: ChannelError where that is no longer so; OSError from the file system.
    """

    def __init__(self, path: Path, name: str, known: os.stat_result):
        self._path, self._name, self._known = path, name, known
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115
        self._read = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        """Read up to the buffer's size; 0 at the end of the file."""
        got = self._file.readinto(buffer)
        self._read += got
        if not got:
            self.check()
            if self._read != self._known.st_size:
                raise self._changed(f"{self._known.st_size} bytes before, {self._read} read")
        return got

    def check(self) -> None:
        """Raise ChannelError if the file is no longer what it was."""
        now = os.fstat(self._file.fileno())
        if now.st_size != self._known.st_size:
            raise self._changed(f"{self._known.st_size} bytes before, {now.st_size} now")
        if now.st_mtime_ns != self._known.st_mtime_ns:
            raise self._changed("it was written to")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def _changed(self, how: str) -> ChannelError:
        return ChannelError(f"{self._name} changed while the job ran: {how}")


class PipeStream(io.RawIOBase):
    """One pass of a channel in Pipe mode: what is written to a FIFO until its writers are gone.

    Waits for the FIFO, for a writer and for data; `ended` is asked while it does, and `say` is
    told when that takes long.

    Raises: PlatformError if there is no FIFO within `appears` seconds; OSError from reading.
    """

    def __init__(
        self,
        path: Path,
        ended: Callable[[], bool],
        say: Callable[[str], None],
        appears: float | None = None,
    ):
        self._path, self._ended, self._say = path, ended, say
        self._appears = APPEARS if appears is None else appears
        self._descriptor: int | None = None

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        """Read what there is, once there is some; 0 at the end of the pass."""
        if self._descriptor is None and not self._open():
            return 0
        poll = select.poll()
        poll.register(self._descriptor or 0, select.POLLIN)
        since = told = time.monotonic()
        # Opened so, a FIFO reports no end before it has had a writer, and then not until all are
        # gone: a slow writer is not taken for the end, nor one that has yet to come.
        while not self._ended():
            if not poll.poll(200):
                now = time.monotonic()
                if now - told > TOLD:
                    told = now
                    self._say(f"Waiting for data from {self._path} for {now - since:.0f} s")
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
        """Open the FIFO once it is there; return False if `ended` came first."""
        until = time.monotonic() + self._appears
        while not self._ended():
            try:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except FileNotFoundError:
                if time.monotonic() > until:
                    raise PlatformError(
                        f"there is no {self._path}: in Pipe mode each pass over a channel has "
                        f"a FIFO of its own; waited {self._appears:.0f} s"
                    ) from None
                time.sleep(0.05)
                continue
            try:
                fcntl.fcntl(self._descriptor, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
            except (OSError, AttributeError):
                pass  # not Linux, or no FIFO: then as it is
            return True
        return False


class GzipStream(io.RawIOBase):
    """The content of a gzip stream, of one or several members.

    Raises: DataError if it is damaged or cut.
    """

    def __init__(self, raw: io.BufferedIOBase, name: str):
        self._raw, self._name = raw, name
        self._file = gzip.GzipFile(fileobj=raw)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        """Read up to the buffer's size; 0 at the end."""
        try:
            return self._file.readinto(buffer)
        except EOFError:
            raise DataError(f"{self._name}: the gzip data is cut: its end is missing") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{self._name}: the gzip data is damaged: {error}") from None

    def close(self) -> None:
        """Close the stream below too."""
        self._raw.close()
        super().close()


def unpacked(raw: io.RawIOBase, name: str) -> io.RawIOBase | io.BufferedIOBase:
    """Return a stream's content where that is gzip, and the stream itself where it is not.

    What delivers a channel may have unpacked it on the way.
    """
    buffered = io.BufferedReader(raw, _PIPE_SIZE)
    # One byte is enough to tell gzip from RecordIO, and more may not have come yet.
    return GzipStream(buffered, name) if buffered.peek(1)[:1] == b"\x1f" else buffered
