"""A group of one process: the interface of `process_group.ProcessGroup` without communication."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray


class SingleProcess:
    """The only host of a job."""

    rank = 0
    size = 1
    sent = 0

    def __init__(self, host: str):
        self.names = [host]

    def all_gather_into(self, parts: Sequence[NDArray[Any]]) -> None:
        """No-op: the only part is there already."""

    def all_gather(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return a stack of this one array."""
        return values[None]

    def all_gather_bytes(self, content: bytes) -> list[bytes]:
        """Return a list of this content."""
        return [content]

    def any_reduce(self, flag: bool) -> bool:
        """Return the flag."""
        return flag

    def broadcast(self, content: bytes) -> bytes:
        """Return the content."""
        return content
