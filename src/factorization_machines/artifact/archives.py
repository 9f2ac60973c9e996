"""Reads zip and tar archives from untrusted sources."""

import gzip
import io
import mmap
import shutil
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Container, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

import numpy as np

from factorization_machines.errors import ArtifactError

_EXPANSION = 1032  # the largest expansion factor of deflate
_SLACK = 1 << 20
_BLOCK = 1 << 24
_MAX_MEMBERS = 1000


def content_of(path: Path) -> memoryview:
    """Return a copy of a file, which stays as it is when the file is changed or cut.

    Processes that are forked later share its memory.
    """
    with open(path, "rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        # A mapping starts at a page, which aligns the arrays in it.
        content = memoryview(mmap.mmap(-1, size)) if size else memoryview(b"")
        return content[: file.readinto(content)] if size else content


def _mapped(file: IO[bytes]) -> memoryview:
    if file.seek(0, io.SEEK_END) == 0:
        return memoryview(b"")  # an empty file cannot be mapped
    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))


class Zip:
    """The members of a zip archive in memory."""

    def __init__(self, content: memoryview):
        self._content = content
        try:
            self._archive = zipfile.ZipFile(cast(IO[bytes], _Bytes(content)))
        except zipfile.BadZipFile:
            if bytes(content[:4]) != b"PK\3\4":
                raise
            # A zip archive ends with its directory. Without it, zipfile only reports that the file
            # is not a zip file.
            reason = f"cut short at byte {len(content)}? there is no whole directory before it"
            raise zipfile.BadZipFile(reason) from None
        self.names = self._archive.namelist()

    def get(self, name: str) -> memoryview:
        """Return a member: a view if it is stored, a copy if it is deflated.

        Raises: ArtifactError, EOFError or an error of zipfile if it does not match its header.
        """
        info = self._archive.getinfo(name)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ArtifactError(
                f"{name} must be stored or deflated; got method {info.compress_type}"
            )
        if info.file_size > _EXPANSION * info.compress_size:
            raise ArtifactError(f"{name}: {info.file_size} bytes out of {info.compress_size}")
        with self._archive.open(info) as stream:  # checks the member's local header
            if info.compress_type == zipfile.ZIP_DEFLATED:
                return _read_all(stream, info.file_size)
        start = info.header_offset + 30
        start += sum(struct.unpack_from("<HH", self._content, info.header_offset + 26))
        view = self._content[start : start + info.file_size]
        if len(view) < info.file_size:
            raise EOFError(f"{name} ends at byte {len(self._content)}, the file's last")
        if info.file_size != info.compress_size:
            raise zipfile.BadZipFile(f"{name} is stored, and has two sizes")
        crc = 0
        for start in range(0, len(view), _BLOCK):
            crc = zlib.crc32(view[start : start + _BLOCK], crc)
        if crc != info.CRC:
            raise zipfile.BadZipFile(f"Bad CRC-32 for file {name!r}")
        return view


def _read_all(stream: IO[bytes], size: int) -> memoryview:
    """Return the content of a member; zipfile checks the checksum in the read at its end."""
    content = np.empty(size, np.uint8).data
    offset = 0
    while block := stream.read(1 << 20):
        if offset + len(block) > size:
            raise ArtifactError(f"more than the {size} bytes that it says")
        content[offset : offset + len(block)] = block
        offset += len(block)
    if offset < size:
        raise EOFError(f"{size} bytes are due, and {offset} are there")
    return content


class _Bytes(io.RawIOBase):
    """A file object over bytes in memory, which BytesIO would copy."""

    def __init__(self, content: memoryview):
        self._content = content
        self._offset = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._offset

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: len(self._content)}[whence]
        if start + offset < 0:
            raise ValueError(f"a place before the first byte: {start + offset}")
        self._offset = start + offset
        return self._offset

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        chunk = self._content[self._offset : self._offset + len(buffer)]
        buffer[: len(chunk)] = chunk
        self._offset += len(chunk)
        return len(chunk)


def untarred(path: Path, wanted: Container[str], names: list[str]) -> dict[str, memoryview]:
    """Return the wanted members of a tar archive, gzipped or not; add all names to `names`.

    The members are extracted to one unnamed temporary file.

    Raises: ArtifactError if a member's path leaves the archive's folder, if it is a link or a
        device, or if it is too large for the archive or the disk; errors of tarfile, gzip and zlib
        if the archive is damaged.
    """
    with open(path, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if zipped else file
        size = path.stat().st_size
        max_size = _EXPANSION * size + _SLACK if zipped else size
        slices = {}
        with tempfile.TemporaryFile() as extracted:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for name, member in _regular(archive):
                    names.append(name)
                    if name in wanted:
                        _check_size(name, member.size, max_size)
                        start = extracted.seek(-(-extracted.tell() // 64) * 64)
                        source = cast(IO[bytes], archive.extractfile(member))
                        shutil.copyfileobj(source, extracted, 1 << 20)
                        slices[name] = slice(start, start + member.size)
            # gzip checks the checksum only at the end of its stream.
            if len(stream.read(_SLACK)) == _SLACK:
                raise ArtifactError(f"more than {_SLACK} bytes after the archive's end")
            extracted.flush()
            content = _mapped(extracted)
    return {name: content[part] for name, part in slices.items()}


def _regular(archive: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """Yield the regular files of an archive; reject links, devices and unsafe paths."""
    for count, member in enumerate(archive):
        if count >= _MAX_MEMBERS:
            raise ArtifactError(f"more than {_MAX_MEMBERS} members")
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            raise ArtifactError(f"{member.name!r} leads out of the archive's folder")
        if member.isdir():
            continue
        if not member.isreg() or member.issparse() or member.size < 0:
            kind = "a link" if member.issym() or member.islnk() else "no regular file"
            raise ArtifactError(f"{member.name!r} is {kind}")
        yield str(path), member


def _check_size(name: str, size: int, max_size: int) -> None:
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if size > max_size:
        raise ArtifactError(f"{name}: {size} bytes out of so few")
    if size > free:
        raise ArtifactError(
            f"{name} has {size} bytes, and {tempfile.gettempdir()} has room for {free}"
        )
