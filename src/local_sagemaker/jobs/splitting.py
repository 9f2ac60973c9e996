"""Splits objects of a batch transform into requests, and joins the responses."""

import io
from collections.abc import Iterable, Iterator

from local_sagemaker.errors import LocalError
from sagemaker_container.contract.recordio import LENGTH_BITS, LENGTH_MASK, MAGIC_BYTES


class ObjectError(LocalError):
    """An object that cannot be transformed; the job still transforms its other objects."""

    def __init__(self, message: str, side: str = "ClientError"):
        """Take what is wrong with the object, and the side that FailureReason blames."""
        super().__init__(message)
        self.side = side


def records(content: bytes, split: str) -> Iterator[bytes]:
    """Yield an object's records: the object (None), its lines, or its RecordIO records, framed.

    An empty object has no records.

    Raises: ObjectError if it is not in the format.
    """
    if split == "Line":
        for line in io.BytesIO(content):
            if line.strip(b"\r\n"):
                yield line
    elif split == "RecordIO":
        yield from _framed(content)
    elif content:
        yield content


def payloads(contents: Iterable[bytes], strategy: str, max_bytes: int) -> Iterator[bytes]:
    """Yield the bodies of requests: a record each, or as many as fit into `max_bytes`.

    `max_bytes` 0 means no limit.

    Raises: ObjectError if a single record is larger.
    """
    batch: list[bytes] = []
    size = 0
    for record in contents:
        if 0 < max_bytes < len(record):
            raise ObjectError(
                "Too much data for max payload size: a record or an object without SplitType has"
                f" {len(record)} bytes, which is larger than MaxPayloadInMB ({max_bytes >> 20})."
            )
        if batch and (strategy == "SingleRecord" or 0 < max_bytes < size + len(record)):
            yield b"".join(batch)
            batch, size = [], 0
        batch.append(record)
        size += len(record)
    if batch:
        yield b"".join(batch)


def assemble(responses: Iterable[bytes], how: str) -> bytes:
    """Return the responses as one object: unchanged (None), or each with a final newline (Line)."""
    if how != "Line":
        return b"".join(responses)
    return b"".join(body if body.endswith(b"\n") else body + b"\n" for body in responses if body)


def _framed(content: bytes) -> Iterator[bytes]:
    start, at = 0, 0
    while at < len(content):
        if content[at : at + 4] != MAGIC_BYTES or at + 8 > len(content):
            raise ObjectError(f"no RecordIO record begins at byte {at}.")
        head = int.from_bytes(content[at + 4 : at + 8], "little")
        at += 8 + ((head & LENGTH_MASK) + 3) // 4 * 4
        if at > len(content):
            raise ObjectError("the last RecordIO record is cut off.")
        if head >> LENGTH_BITS in (0, 3):  # a whole record, or the last part of a split record
            yield content[start:at]
            start = at
