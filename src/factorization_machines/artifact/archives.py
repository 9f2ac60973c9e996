"""Zip and tar archives, read without trusting them."""

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

_EXPANSION = 1032  # at most so many times its input comes out of deflate
_SLACK = 1 << 20
_BLOCK = 1 << 24
_MOST_MEMBERS = 1000


def mapped(path: Path) -> memoryview:
    """Return a file's bytes in memory of their own: read as touched, changed for nobody else."""
    with open(path, "rb") as file:
        return _mapped(file)


def _mapped(file: IO[bytes]) -> memoryview:
    if file.seek(0, io.SEEK_END) == 0:
        return memoryview(b"")  # which no system maps
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
            # The directory is a zip's last part, and zipfile's word for its lack: not a zip file.
            end = f"cut short at byte {len(content)}? there is no whole directory before it"
            raise zipfile.BadZipFile(end) from None
        self.names = self._archive.namelist()

    def get(self, name: str) -> memoryview:
        """Return a member: a view where it is stored, memory of its own where it is deflated.

        Raises: ArtifactError, or one of zipfile's own errors, where it is not what it says.
        """
        info = self._archive.getinfo(name)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ArtifactError(
                f"{name} must be stored or deflated; got method {info.compress_type}"
            )
        if info.file_size > _EXPANSION * info.compress_size:
            raise ArtifactError(f"{name}: {info.file_size} bytes out of {info.compress_size}")
        with self._archive.open(info) as stream:  # compares the header at the member itself
            if info.compress_type == zipfile.ZIP_DEFLATED:
                return _filled(stream, info.file_size)
        start = info.header_offset + 30
        start += sum(struct.unpack_from("<HH", self._content, info.header_offset + 26))
        view = self._content[start : start + info.file_size]
        if len(view) < info.file_size:
            raise EOFError(f"{name} ends at byte {len(self._content)}, the file's last")
        if info.file_size != info.compress_size:
            raise zipfile.BadZipFile(f"{name} is stored, and has two sizes")
        crc = 0
        for at in range(0, len(view), _BLOCK):
            crc = zlib.crc32(view[at : at + _BLOCK], crc)
        if crc != info.CRC:
            raise zipfile.BadZipFile(f"Bad CRC-32 for file {name!r}")
        return view


def _filled(stream: IO[bytes], size: int) -> memoryview:
    """Return all of a member; zipfile compares the checksum in the read that finds its end."""
    content = np.empty(size, np.uint8).data
    at = 0
    while block := stream.read(1 << 20):
        if at + len(block) > size:
            raise ArtifactError(f"more than the {size} bytes that it says")
        content[at : at + len(block)] = block
        at += len(block)
    if at < size:
        raise EOFError(f"{size} bytes are due, and {at} are there")
    return content


class _Bytes(io.RawIOBase):
    """Bytes in memory as a file, for zipfile; BytesIO would copy them."""

    def __init__(self, content: memoryview):
        self._content = content
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._content)}[whence]
        if start + offset < 0:
            raise ValueError(f"a place before the first byte: {start + offset}")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._content[self._at : self._at + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def untarred(path: Path, wanted: Container[str], names: list[str]) -> dict[str, memoryview]:
    """Return the wanted members of a tar archive, gzipped or not; add all names to `names`.

    They go to a temporary file without a name, whatever the archive calls them.

    Raises: ArtifactError if one leaves its folder, is a link or a device, or is larger than its
        bytes can be or the disk can hold; errors of tarfile, gzip and zlib where it is damaged.
    """
    with open(path, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if zipped else file
        size = path.stat().st_size
        most = _EXPANSION * size + _SLACK if zipped else size
        places = {}
        with tempfile.TemporaryFile() as unpacked:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for name, member in _regular(archive):
                    names.append(name)
                    if name in wanted:
                        _check_size(name, member.size, most)
                        start = unpacked.seek(-(-unpacked.tell() // 64) * 64)
                        content = cast(IO[bytes], archive.extractfile(member))
                        shutil.copyfileobj(content, unpacked, 1 << 20)
                        places[name] = slice(start, start + member.size)
            # To the end: only there gzip compares its checksum.
            if len(stream.read(_SLACK)) == _SLACK:
                raise ArtifactError(f"more than {_SLACK} bytes after the archive's end")
            unpacked.flush()
            whole = _mapped(unpacked)
    return {name: whole[place] for name, place in places.items()}


def _regular(archive: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """Yield the regular files of an archive; refuse the archive for what it should not have."""
    for count, member in enumerate(archive):
        if count >= _MOST_MEMBERS:
            raise ArtifactError(f"more than {_MOST_MEMBERS} members")
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            raise ArtifactError(f"{member.name!r} leads out of the archive's folder")
        if member.isdir():
            continue
        if not member.isreg() or member.issparse() or member.size < 0:
            kind = "a link" if member.issym() or member.islnk() else "no regular file"
            raise ArtifactError(f"{member.name!r} is {kind}")
        yield str(path), member


def _check_size(name: str, size: int, most: int) -> None:
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if size > most:
        raise ArtifactError(f"{name}: {size} bytes out of so few")
    if size > free:
        raise ArtifactError(
            f"{name} has {size} bytes, and {tempfile.gettempdir()} has room for {free}"
        )
