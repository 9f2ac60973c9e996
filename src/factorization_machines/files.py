"""Opens regular files only, and replaces files atomically."""

import contextlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import BinaryIO

_SUFFIX = ".fm-part"
_ABANDONED = 3600.0  # seconds since the last write to a temporary file, after which it is removed


def open_regular(path: Path) -> FileIO:
    """Open a file for reading without a buffer.

    Raises: OSError if it cannot be opened, or is a FIFO, a device or a folder; it never waits.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return open(descriptor, "rb", buffering=0)
    os.close(descriptor)
    raise OSError(None, "Not a regular file", str(path))


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file that takes the place of `path` once it is on the disk.

    Its temporary name is unique, so that two processes can write the same path. A temporary file
    that a killed process left is removed after an hour.

    Raises: OSError if it cannot be written; no partial file is left.
    """
    for old in path.parent.glob(f".*{_SUFFIX}"):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > _ABANDONED:
                old.unlink()
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}{_SUFFIX}")
    try:
        with open(part, "xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to report
            part.unlink()
        raise
