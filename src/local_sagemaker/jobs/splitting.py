"""How batch transform cuts an object into requests and puts the answers together."""

from collections.abc import Iterator

from local_sagemaker.errors import LocalError
from sagemaker_container.contract.recordio import LENGTH_BITS, LENGTH_MASK, MAGIC_BYTES


def records(content: bytes, split: str) -> Iterator[bytes]:
    """Yield an object's records: itself (None), its lines, or its RecordIO records, framed.

    Raises: LocalError where it is not in the format.
    """
    if split == "None":
        yield content
    elif split == "Line":
        for line in content.splitlines(keepends=True):
            if line.strip(b"\r\n"):
                yield line
    else:
        yield from _framed(content)


def payloads(found: Iterator[bytes], strategy: str, most: int) -> Iterator[bytes]:
    """Yield the bodies of requests: a record each, or as many as fit into `most` bytes.

    Raises: LocalError where one record alone is larger.
    """
    batch: list[bytes] = []
    size = 0
    for record in found:
        if len(record) > most:
            raise LocalError(
                f"ClientError: a record of {len(record)} bytes is larger than MaxPayloadInMB"
                f" ({most // 2**20})."
            )
        if batch and (strategy == "SingleRecord" or size + len(record) > most):
            yield b"".join(batch)
            batch, size = [], 0
        batch.append(record)
        size += len(record)
    if batch:
        yield b"".join(batch)


def assemble(answers: list[bytes], how: str) -> bytes:
    """Return the answers as one object: as they are, or each ending its last line."""
    if how != "Line":
        return b"".join(answers)
    return b"".join(one if one.endswith(b"\n") else one + b"\n" for one in answers)


def _framed(content: bytes) -> Iterator[bytes]:
    start, at = 0, 0
    while at < len(content):
        if content[at : at + 4] != MAGIC_BYTES or at + 8 > len(content):
            raise LocalError(f"ClientError: no RecordIO record begins at byte {at}.")
        head = int.from_bytes(content[at + 4 : at + 8], "little")
        at += 8 + ((head & LENGTH_MASK) + 3) // 4 * 4
        if at > len(content):
            raise LocalError("ClientError: the last RecordIO record is cut off.")
        if head >> LENGTH_BITS in (0, 3):  # whole, or the last part of one
            yield content[start:at]
            start = at
