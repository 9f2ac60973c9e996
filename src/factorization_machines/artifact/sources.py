"""Finds the parts of an artifact: in model.tar.gz, in model_algo-1, or extracted in a folder."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from factorization_machines.artifact.archives import Zip, content_of, untarred
from factorization_machines.artifact.model import FILE_NAME
from factorization_machines.artifact.ndarrays import LIST_MAGIC
from factorization_machines.artifact.other_algorithms import of_names
from factorization_machines.errors import ArtifactError, printable

ARCHIVE_NAME = "model.tar.gz"
META, SYMBOL, PARAMS = "meta.json", "symbol.json", "params"
# Public code gives two of them the names that MXNet's Module.load needs.
_ALIASES = {SYMBOL: "model-symbol.json", PARAMS: "model-0000.params"}
_PARTS = (META, *_ALIASES, *_ALIASES.values())
_LIST = LIST_MAGIC.to_bytes(8, "little")


class Parts(Protocol):
    """The named parts of an artifact."""

    @property
    def names(self) -> Sequence[str]:
        """Return the names of all parts."""

    def get(self, name: str) -> memoryview:
        """Return the bytes of a part."""


class _Unpacked:
    """Parts that are not in a zip archive."""

    def __init__(self, parts: Mapping[str, memoryview]):
        self._parts = parts
        self.names = list(parts)

    def get(self, name: str) -> memoryview:
        return self._parts[name]


def find(path: Path) -> Path:
    """Return the file with the artifact or the folder with its parts, at or in `path`.

    Raises: ArtifactError if there is no artifact.
    """
    if path.is_file():
        return path
    for name in (FILE_NAME, ARCHIVE_NAME):
        if (path / name).is_file():
            return path / name
    if any((path / name).is_file() for name in (PARAMS, _ALIASES[PARAMS])):
        return path
    names = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
    raise ArtifactError(f"there is no {FILE_NAME} in {path}; {description(names)}")


def parts(path: Path) -> Parts:
    """Return the parts of an artifact at a path that `find` has returned."""
    if path.is_dir():
        present = [name for name in _PARTS if (path / name).is_file()]
        return _Unpacked({name: content_of(path / name) for name in present})
    content = content_of(path)
    if bytes(content[:2]) == b"\x1f\x8b" or bytes(content[257:262]) == b"ustar":
        names: list[str] = []
        members = untarred(path, (FILE_NAME, *_PARTS), names)
        if FILE_NAME in members:
            return _in_content(members[FILE_NAME])
        if not members:
            raise ArtifactError(f"there is no {FILE_NAME} inside; {description(names)}")
        return _Unpacked(members)
    return _in_content(content)


def _in_content(content: memoryview) -> Parts:
    head = bytes(content[:8])
    if head == _LIST:
        return _Unpacked({PARAMS: content})
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        raise zipfile.BadZipFile("it seems to be a pickle, and those are never loaded")
    return Zip(content)


def take(source: Parts, name: str) -> memoryview | None:
    """Return a part by its name or alias; None if there is no such part."""
    names = [alias for alias in (name, _ALIASES.get(name, name)) if alias in source.names]
    return source.get(names[0]) if names else None


def description(names: Sequence[str]) -> str:
    """Return what an artifact with parts of these names holds, for an error message."""
    first = ", ".join(map(printable, names[:5])) or "nothing"
    return f"it holds {first}{of_names(names)}"
