"""Splits objects of a batch transform into requests, and joins the responses."""

from collections.abc import Iterator

from local_sagemaker.errors import LocalError
from sagemaker_container.contract.recordio import LENGTH_BITS, LENGTH_MASK, MAGIC_BYTES


def records(content: bytes, split: str) -> Iterator[bytes]:
    """Yield an object's records: the object (None), its lines, or its RecordIO records, framed.

    Raises: LocalError if it is not in the format.
    """
    if split == "None":
        yield content
    elif split == "Line":
        for line in content.splitlines(keepends=True):
            if line.strip(b"\r\n"):
                yield line
    else:
        yield from _framed(content)


def payloads(contents: Iterator[bytes], strategy: str, max_bytes: int) -> Iterator[bytes]:
    """Yield the bodies of requests: a record each, or as many as fit into `max_bytes`.

    Raises: LocalError if a single record is larger.
    """
    batch: list[bytes] = []
    size = 0
    for record in contents:
        if len(record) > max_bytes:
            raise LocalError(
                f"ClientError: a record of {len(record)} bytes is larger than MaxPayloadInMB"
                f" ({max_bytes // 2**20})."
            )
        if batch and (strategy == "SingleRecord" or size + len(record) > max_bytes):
            yield b"".join(batch)
            batch, size = [], 0
        batch.append(record)
        size += len(record)
    if batch:
        yield b"".join(batch)


def assemble(responses: list[bytes], how: str) -> bytes:
    """Return the responses as one object: unchanged (None), or each with a final newline (Line)."""
    if how != "Line":
        return b"".join(responses)
    return b"".join(body if body.endswith(b"\n") else body + b"\n" for body in responses)


def _framed(content: bytes) -> Iterator[bytes]:
    start, at = 0, 0
    while at < len(content):
        if content[at : at + 4] != MAGIC_BYTES or at + 8 > len(content):
            raise LocalError(f"ClientError: no RecordIO record begins at byte {at}.")
        head = int.from_bytes(content[at + 4 : at + 8], "little")
        at += 8 + ((head & LENGTH_MASK) + 3) // 4 * 4
        if at > len(content):
            raise LocalError("ClientError: the last RecordIO record is cut off.")
        if head >> LENGTH_BITS in (0, 3):  # a whole record, or the last part of a split record
            yield content[start:at]
            start = at
