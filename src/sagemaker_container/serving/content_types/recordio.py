"""RecordIO-protobuf in the body of a request: framed records, or the bare bytes of one.

What SageMaker's SDK writes has one layout, and there all records are read together, by a few
passes of numpy over all of them. Anything else is read record by record (`record`), which also
finds the words for what is wrong.
"""

import struct
from collections.abc import Iterator

import numpy as np

from factorization_machines.errors import DataError
from factorization_machines.instances import Instances, stack
from factorization_machines.recordio import decode_errors
from factorization_machines.recordio.record import BadRecord, read_record
from factorization_machines.recordio.sdk_records import read_together

_MAGIC = struct.pack("<I", decode_errors.MAGIC)
_FEW = 8  # so many are read sooner one by one


def read_records(body: bytes, feature_dim: int) -> Instances:
    """Return the rows of framed records, or of one record's bytes without its frame.

    Labels are not looked at.

    Raises: DataError that names the instance and what is wrong with it.
    """
    if not body:
        raise DataError("the body is empty; send RecordIO-protobuf records")
    framed = body.startswith(_MAGIC)
    if framed and body.count(_MAGIC) > _FEW:
        rows = read_together(body, feature_dim)
        if rows is not None:
            return rows
    places, numbers = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    at = 0
    try:
        for at, content in _frames(body) if framed else [(0, body)]:  # noqa: B007
            keys, values = read_record(content, feature_dim)
            places.append(keys)
            numbers.append(values)
    except BadRecord as error:
        if not framed and error.code == decode_errors.CUT_MESSAGE:
            seems = decode_errors.bad_magic(body[:16], 0)
            raise DataError(f"the body is no RecordIO and no bare record: {seems}") from None
        raise _bad(len(places) - 1, at, error) from None
    except _BadFrame as error:
        raise _bad(len(places) - 1, error.at, error) from None
    sizes = [piece.size for piece in places[1:]]
    return stack(sizes, np.concatenate(places), np.concatenate(numbers))


def _bad(index: int, at: int, reason: ValueError) -> DataError:
    return DataError(f"instance {index} (the first is 0), at byte {at}: {reason}")


class _BadFrame(ValueError):
    def __init__(self, at: int, reason: str):
        super().__init__(reason)
        self.at = at


def _frames(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield offset and content of each record; the parts of a split one are joined."""
    at = 0
    while at < len(body):
        first, parts, part = at, [], -1
        while part not in (0, 3):
            if part >= 0 and not body.startswith(_MAGIC, at) and len(body) - at >= 4:
                raise _BadFrame(first, decode_errors.explain(decode_errors.BAD_PART, 0, 0))
            before, (part, content) = part, _frame(body, at)
            if part not in ((0, 1) if before < 0 else (2, 3)):
                raise _BadFrame(first, decode_errors.explain(decode_errors.BAD_PART, 0, 0))
            parts.append(content)
            at += 8 + (len(content) + 3 & ~3)
        # A record that held the magic was split there: the parts are joined by it again.
        yield first, _MAGIC.join(parts)


def _frame(body: bytes, at: int) -> tuple[int, bytes]:
    """Return the part flag and the content of the frame at an offset. Raises: _BadFrame."""
    head = body[at : at + 16]
    if len(head) >= 4 and not head.startswith(_MAGIC):
        raise _BadFrame(at, decode_errors.bad_magic(head, at))
    if len(head) >= 8:
        (word,) = struct.unpack_from("<I", head, 4)
        content = body[at + 8 : at + 8 + (word & 0x1FFFFFFF)]
        if len(content) == word & 0x1FFFFFFF:
            return word >> 29, content
    raise _BadFrame(at, decode_errors.cut_frame(head, at, len(body) - at))
