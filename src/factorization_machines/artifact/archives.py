"""Reads zip and tar archives from untrusted sources."""

import contextlib
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

EXPANSION = 1032  # the largest expansion factor of deflate
_SLACK = 1 << 20
_BLOCK = 1 << 24
_MAX_MEMBERS = 1000
_MAX_HEADER = 1 << 16  # bytes of a header's own content, such as a long name
_HEADERS = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE),
)
# Limits of `extract`, whose archives may hold any model.
_MAX_FILES = 100_000
_MAX_RATIO = 100
_UNPACKED_ANYWAY = 1 << 30  # bytes that an archive of any size may have when it is extracted

# What gzip, tarfile, zipfile and zlib raise for damaged data, wrong checksums, sizes or flags.
DAMAGE = (
    *(gzip.BadGzipFile, zipfile.BadZipFile, tarfile.TarError, zlib.error),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError),
)


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
        if info.file_size > EXPANSION * info.compress_size:
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
            raise ValueError("it is too short, or it has an offset before its first byte")
        self._offset = start + offset
        return self._offset

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        chunk = self._content[self._offset : self._offset + len(buffer)]
        buffer[: len(chunk)] = chunk
        self._offset += len(chunk)
        return len(chunk)


class _Header(tarfile.TarInfo):
    """A header of a tar archive; tarfile reads the content of some into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        header = super().frombuf(buf, encoding, errors)
        if header.type in _HEADERS and not 0 <= header.size <= _MAX_HEADER:
            raise ArtifactError(f"a header of {header.size} bytes; at most {_MAX_HEADER}")
        return header


def untarred(path: Path, wanted: Container[str], names: list[str]) -> dict[str, memoryview]:
    """Return the wanted members of a tar archive, gzipped or not; add all names to `names`.

    The members are extracted to one unnamed temporary file.

    Raises: ArtifactError if a member's path leaves the archive's folder, if it is a link or a
        device, or if it is too large for the archive or the disk; errors of tarfile, gzip and zlib
        if the archive is damaged.
    """
    slices = {}
    with tempfile.TemporaryFile() as extracted:
        with _opened(path) as (archive, is_gzip):
            size = path.stat().st_size
            max_size = EXPANSION * size + _SLACK if is_gzip else size
            for name, member in _members(archive, max_size, _MAX_MEMBERS):
                if problem := _problem(member):
                    raise ArtifactError(problem)
                names.append(name)
                if name in wanted:
                    _check_space(name, member.size, Path(tempfile.gettempdir()))
                    start = extracted.seek(-(-extracted.tell() // 64) * 64)
                    source = cast(IO[bytes], archive.extractfile(member))
                    shutil.copyfileobj(source, extracted, 1 << 20)
                    slices[name] = slice(start, start + member.size)
        extracted.flush()
        content = _mapped(extracted)
    return {name: content[part] for name, part in slices.items()}


def extract(path: Path, folder: Path) -> list[str]:
    """Extract a tar archive, gzipped or not, to a folder; return a text for each member left out.

    Regular files are extracted, with their folders. Links and devices are left out.

    Raises: as `untarred`.
    """
    left_out = []
    with _opened(path) as (archive, is_gzip):
        size = path.stat().st_size
        max_size = _MAX_RATIO * size + _UNPACKED_ANYWAY if is_gzip else size
        for name, member in _members(archive, max_size, _MAX_FILES):
            if problem := _problem(member):
                left_out.append(problem)
                continue
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            _check_space(name, member.size, target.parent)
            with target.open("wb") as file:
                shutil.copyfileobj(cast(IO[bytes], archive.extractfile(member)), file, 1 << 20)
    return left_out


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[tarfile.TarFile, bool]]:
    """Open a tar archive, and return whether it is gzipped; check its end afterwards."""
    with open(path, "rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if is_gzip else file
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as archive:
            yield archive, is_gzip
        # gzip checks the checksum only at the end of its stream.
        if len(stream.read(_SLACK)) == _SLACK:
            raise ArtifactError(f"more than {_SLACK} bytes after the archive's end")


def _members(
    archive: tarfile.TarFile, max_size: int, max_count: int
) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """Yield the paths and the members of an archive, without its folders.

    Raises: ArtifactError for an unsafe path, a sparse file, or a member that exceeds a limit.
    """
    total = 0
    for count, member in enumerate(archive):
        if count >= max_count:
            raise ArtifactError(f"more than {max_count} members")
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            raise ArtifactError(f"{member.name!r} leads out of the archive's folder")
        if member.issparse():
            raise ArtifactError(f"{member.name!r} is not a regular file")
        # tarfile reads on for the whole size of a member, even after the end of the archive.
        total += member.size
        if member.size < 0 or total > max_size:
            raise ArtifactError(f"{path}: {member.size} bytes, more than the archive may hold")
        if not member.isdir():
            yield str(path), member


def _problem(member: tarfile.TarInfo) -> str | None:
    """Return why a member is not extracted, or None."""
    if member.isreg():
        return None
    kind = "a link" if member.issym() or member.islnk() else "not a regular file"
    return f"{member.name!r} is {kind}"


def _check_space(name: str, size: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise ArtifactError(f"{name} has {size} bytes, and {folder} has room for {free}")
