"""A group of one: the face of `group.Group`, with nobody to talk to."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray


class Alone:
    """The only host of a job."""

    rank = 0
    size = 1
    sent = 0

    def __init__(self, host: str):
        self.names = [host]

    def swap(self, parts: Sequence[NDArray[Any]]) -> None:
        """Nothing comes from anyone."""

    def each(self, content: bytes) -> list[bytes]:
        """Return what is given."""
        return [content]

    def numbers(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return what is given, as the one of a stack."""
        return values[None]

    def any(self, flag: bool) -> bool:
        """Return what is given."""
        return flag

    def of_master(self, content: bytes) -> bytes:
        """Return what is given."""
        return content

    def __enter__(self) -> "Alone":
        return self

    def __exit__(self, *_: object) -> None:
        """Nobody is to be told."""
