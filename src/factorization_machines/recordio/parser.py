"""Framed records to rows: `parse` is what decodes a buffer of a channel, or a request's body."""

from factorization_machines.recordio.decode_errors import BAD_PART, NEED_SPACE, OK
from factorization_machines.recordio.framing import (
    Bytes,
    following,
    header,
    join_parts,
    new_bytes,
    split_record,
)
from factorization_machines.recordio.layout import HEADER_SIZE, WHOLE
from factorization_machines.recordio.record import DETAIL, NNZ, POSITION, ROWS, Rows, record


def append(data: Bytes, first: int, length: int, feature_dim: int, label: int, rows: Rows) -> int:
    """Append the message of `length` bytes at `first` as a row; return a code."""
    state = rows.state
    # A value takes at least one byte (a small int32), so a message has at most `length` of them.
    if state[NNZ] + length > len(rows.keys) or state[ROWS] + 1 >= len(rows.indptr):
        state[DETAIL] = length
        return NEED_SPACE
    code = record(data, first, first + length, feature_dim, label, rows)
    if code == OK:
        state[ROWS] += 1
        rows.indptr[state[ROWS]] = state[NNZ]
    return code


def parse_whole(data: Bytes, feature_dim: int, label: int, rows: Rows) -> int:
    """Append the records before the first that is split; return a code, BAD_PART for that one."""
    state = rows.state
    while state[POSITION] < len(data):
        at = state[POSITION]
        part, length, code = header(data, at)
        if code != OK:
            return code
        if part != WHOLE:
            return BAD_PART
        code = append(data, at + HEADER_SIZE, length, feature_dim, label, rows)
        if code != OK:
            return code
        # The padding of a last record may be missing: some writers leave it out.
        state[POSITION] = min(following(at, length), len(data))
    return OK


def parse(data: Bytes, feature_dim: int, label: int, rows: Rows) -> int:
    """Append the framed records of `data`, (n,) uint8, from state[POSITION] on; return a code.

    Args:
        data: (n,) uint8.
        feature_dim: every key is smaller; a dense row has as many values.
        label: IGNORED, OPTIONAL or REQUIRED.
        rows: what is appended to.
    """
    while True:
        # Apart from split records, whose memory is counted: the count is an atomic step each time.
        code = parse_whole(data, feature_dim, label, rows)
        if code != BAD_PART:
            return code
        at = rows.state[POSITION]
        length, end, code = split_record(data, at)
        if code != OK:
            return code
        joined = join_parts(data, at, new_bytes(length))
        code = append(joined, 0, length, feature_dim, label, rows)
        if code != OK:
            return code
        rows.state[POSITION] = end
