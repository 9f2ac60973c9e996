"""RecordIO framing: the frames of records, whole or split into parts.

`compiled` compiles these functions for channels; requests run them as Python.
"""

from typing import Any

from factorization_machines.recordio.decode_errors import BAD_MAGIC, BAD_PART, CUT_FRAME, OK
from factorization_machines.recordio.layout import (
    FIRST,
    HEADER_SIZE,
    LAST,
    LENGTH_BITS,
    LENGTH_MASK,
    MAGIC,
    MAGIC_BYTES,
    MIDDLE,
    WHOLE,
)

# An array of bytes where functions are compiled, else a memoryview or bytearray.
Bytes = Any


def frame(content: bytes, part: int = WHOLE) -> bytes:
    """Return the content of a record, or of one part of it, in its frame.

    Raises: OverflowError if the content is 2**29 bytes or longer.
    """
    if len(content) > LENGTH_MASK:
        raise OverflowError(f"{len(content)} bytes are too many for one RecordIO record")
    word = part << LENGTH_BITS | len(content)
    return MAGIC_BYTES + word.to_bytes(4, "little") + content + bytes(-len(content) % 4)


def uint32_at(data: Bytes, at: int) -> int:
    """Return the little-endian uint32 at an offset, aligned or not."""
    return int.from_bytes(data[at : at + 4], "little")


def header(data: Bytes, at: int) -> tuple[int, int, int]:
    """Return the part flag and the content's length of the frame at an offset, and a code."""
    # Four bytes are enough to see that it is not a record.
    if at + 4 <= len(data) and uint32_at(data, at) != MAGIC:
        return 0, 0, BAD_MAGIC
    if at + HEADER_SIZE > len(data):
        return 0, 0, CUT_FRAME
    word = uint32_at(data, at + 4)
    part, length = word >> LENGTH_BITS, word & LENGTH_MASK
    return part, length, OK if at + HEADER_SIZE + length <= len(data) else CUT_FRAME


def following(at: int, length: int) -> int:
    """Return where the frame at an offset ends, with its padding."""
    return at + HEADER_SIZE + ((length + 3) & ~3)


def split_record(data: Bytes, at: int) -> tuple[int, int, int]:
    """Return the joined length of the split record at an offset, where it ends, and a code."""
    part, size, _ = header(data, at)
    if part != FIRST:
        return 0, at, BAD_PART
    at = following(at, size)
    while part != LAST:
        part, length, code = header(data, at)
        if code == BAD_MAGIC:
            return 0, at, BAD_PART
        if code != OK:
            return 0, at, code
        if part != MIDDLE and part != LAST:
            return 0, at, BAD_PART
        size += 4 + length
        at = following(at, length)
    return size, min(at, len(data)), OK


def new_bytes(size: int) -> Bytes:
    """Return so many bytes to write to."""
    return memoryview(bytearray(size))


def join_parts(data: Bytes, at: int, joined: Bytes) -> Bytes:
    """Copy the parts of the split record at an offset, and the magic number between them."""
    filled = 0
    while filled < len(joined):
        if filled > 0:
            for i in range(4):
                joined[filled + i] = (MAGIC >> (8 * i)) & 0xFF
            filled += 4
        _, length, _ = header(data, at)
        joined[filled : filled + length] = data[at + HEADER_SIZE : at + HEADER_SIZE + length]
        filled += length
        at = following(at, length)
    return joined


def skip(data: Bytes, count: int) -> tuple[int, int]:
    """Pass over `count` records, or all that `data` has; return how many are left, and the end."""
    at = 0
    while count > 0 and at < len(data):
        part, length, _ = header(data, at)
        at = following(at, length)
        count -= part == WHOLE or part == LAST
    return count, min(at, len(data))
