"""Reads what a container left in its folder: follows no link, and opens regular files only."""

import contextlib
import itertools
import os
import stat
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from local_sagemaker.errors import LocalError
from sagemaker_container.contract.untrusted import printable

_MAX_ENTRIES = 100_000
_MAX_BYTES = 16 << 30  # a sparse file is as large as it says
_MAX_DEPTH = 64  # folders, each of which takes a descriptor
_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
    stat.S_IFREG: "a file",
}


class WrongKind(LocalError):
    """An entry of a folder is a link, a device or something else that is not read."""


@dataclass
class ContainerFolder:
    """A folder below a container's /opt/ml.

    Args:
        base: the folder that is the container's /opt/ml; itself not writable for the container.
        place: the path below it, such as output/data.
        left_out: receives a text for each entry that is neither a folder nor a regular file.
    """

    base: Path
    place: str
    left_out: set[str] = field(default_factory=set)

    def entries(self) -> Generator[tuple[str, IO[bytes] | None], None, None]:
        """Yield the path of each entry: None for a folder, else the file, which is then closed.

        Paths are relative and in order. A folder that does not exist is empty.

        Raises: LocalError if an entry cannot be read, or if there are too many entries or bytes.
        """
        try:
            with _opened(self.base, self.place, stat.S_IFDIR) as folder:
                size = 0
                for count, (path, file) in enumerate(self._entries(folder, "", _MAX_DEPTH)):
                    size += 0 if file is None else os.fstat(file.fileno()).st_size
                    if count >= _MAX_ENTRIES or size > _MAX_BYTES:
                        limit = f"{_MAX_ENTRIES} entries or {_MAX_BYTES >> 30} GiB"
                        raise LocalError(f"/opt/ml/{self.place} has more than {limit}.")
                    yield path, file
        except FileNotFoundError:
            return
        except WrongKind as error:
            self.left_out.add(str(error))
        except OSError as error:
            name = printable(f"/opt/ml/{self.place}: {error.filename}")
            raise LocalError(f"{name} cannot be read: {error.strerror}.") from error

    def is_empty(self) -> bool:
        """Return whether there is neither a folder nor a regular file."""
        with contextlib.closing(self.entries()) as entries:
            return next(entries, None) is None

    def _entries(
        self, folder: int, prefix: str, depth: int
    ) -> Iterator[tuple[str, IO[bytes] | None]]:
        if depth == 0:
            raise LocalError(f"/opt/ml/{self.place} has folders deeper than {_MAX_DEPTH} levels.")
        with os.scandir(folder) as found:
            modes = {
                entry.name: entry.is_dir(follow_symlinks=False)
                for entry in itertools.islice(found, _MAX_ENTRIES + 1)
            }
        for name, is_folder in sorted(modes.items()):
            path = prefix + name
            try:
                number = _open(folder, name, stat.S_IFDIR if is_folder else stat.S_IFREG)
            except WrongKind as error:
                self.left_out.add(f"/opt/ml/{self.place}/{printable(prefix)}{error}")
                continue
            if is_folder:
                try:
                    yield path, None
                    yield from self._entries(number, f"{path}/", depth - 1)
                finally:
                    os.close(number)
            else:
                with os.fdopen(number, "rb") as file:
                    yield path, file


def start_of_file(base: Path, place: str, length: int) -> bytes | None:
    """Return at most `length` bytes of a file below a container's /opt/ml; None if there is none.

    Raises: WrongKind if it is not a regular file; OSError if it cannot be read.
    """
    try:
        with _opened(base, place, stat.S_IFREG) as number:
            return os.read(number, length)
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def _opened(base: Path, place: str, kind: int) -> Iterator[int]:
    """Open an entry below a folder, through folders that are not links."""
    *parents, _ = names = place.split("/")
    with contextlib.ExitStack() as stack:
        number = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, number)
        for index, name in enumerate(names):
            try:
                number = _open(number, name, stat.S_IFDIR if index < len(parents) else kind)
            except WrongKind as error:
                raise WrongKind(f"/opt/ml/{'/'.join([*names[:index], ''])}{error}") from None
            stack.callback(os.close, number)
        yield number


def _open(folder: int, name: str, kind: int) -> int:
    """Return a descriptor of an entry of a folder, if it is of this kind."""
    mode = os.lstat(name, dir_fd=folder).st_mode  # of a device too, which even opening may change
    if stat.S_IFMT(mode) == kind:
        # The entry may be another by now. Opening a FIFO waits for a writer without O_NONBLOCK.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        number = os.open(name, flags, dir_fd=folder)
        mode = os.fstat(number).st_mode
        if stat.S_IFMT(mode) == kind:
            return number
        os.close(number)
    found = _KINDS.get(stat.S_IFMT(mode), "a device")
    raise WrongKind(f"{printable(name)} is {found}, and not {_KINDS[kind]}")
