"""Where the parts of an artifact lie: in model.tar.gz, in model_algo-1, or unpacked."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from factorization_machines.artifact.archives import Zip, mapped, untarred
from factorization_machines.artifact.model import FILE_NAME
from factorization_machines.artifact.other_algorithms import of_names
from factorization_machines.errors import ArtifactError

ARCHIVE_NAME = "model.tar.gz"
META, SYMBOL, PARAMS = "meta.json", "symbol.json", "params"
# Public code renames two of them, as MXNet's Module.load wants them.
_ALSO = {SYMBOL: "model-symbol.json", PARAMS: "model-0000.params"}
_PARTS = (META, *_ALSO, *_ALSO.values())
_LIST = (0x112).to_bytes(8, "little")


class Parts(Protocol):
    """Named parts."""

    @property
    def names(self) -> Sequence[str]:
        """Return which parts there are."""

    def get(self, name: str) -> memoryview:
        """Return the bytes of one of `names`."""


class _Loose:
    """Parts that are there as they are."""

    def __init__(self, parts: Mapping[str, memoryview]):
        self._parts = parts
        self.names = list(parts)

    def get(self, name: str) -> memoryview:
        return self._parts[name]


def find(path: Path) -> Path:
    """Return the file with the artifact, or the folder with its parts: `path`, or what is in it.

    Raises: ArtifactError if there is nothing of that kind.
    """
    if path.is_file():
        return path
    for name in (FILE_NAME, ARCHIVE_NAME):
        if (path / name).is_file():
            return path / name
    if any((path / name).is_file() for name in (PARAMS, _ALSO[PARAMS])):
        return path
    found = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
    raise ArtifactError(
        f"there is no {FILE_NAME} in {path}; it holds {_some(found)}{of_names(found)}"
    )


def parts(path: Path) -> Parts:
    """Return the parts of an artifact at a path that `find` gave."""
    if path.is_dir():
        present = [name for name in _PARTS if (path / name).is_file()]
        return _Loose({name: mapped(path / name) for name in present})
    content = mapped(path)
    if bytes(content[:2]) == b"\x1f\x8b" or bytes(content[257:262]) == b"ustar":
        names: list[str] = []
        members = untarred(path, (FILE_NAME, *_PARTS), names)
        if FILE_NAME in members:
            return _of_content(members[FILE_NAME])
        if not members:
            raise ArtifactError(
                f"there is no {FILE_NAME} inside; it holds {_some(names)}{of_names(names)}"
            )
        return _Loose(members)
    return _of_content(content)


def _of_content(content: memoryview) -> Parts:
    head = bytes(content[:8])
    if head == _LIST:
        return _Loose({PARAMS: content})
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        raise zipfile.BadZipFile("it seems to be a pickle, and those are never loaded")
    return Zip(content)


def take(source: Parts, name: str) -> memoryview | None:
    """Return a part by one of the names that it may have, None where there is none."""
    held = [one for one in (name, _ALSO.get(name)) if one in source.names]
    return source.get(held[0]) if held and held[0] else None


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) or "nothing"
