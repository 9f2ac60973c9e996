"""The decoder of `aialgs.data.Record` messages: every legal encoding, to values and keys of rows.

Legal are fields in any order and repeated, packed or not, unknown fields, and repeated map keys, of
which the last counts. `compiled` compiles these functions for channels. A server, which must start
within a second and so loads no compiler, runs them as Python where `batch` cannot read a body.
"""

import math
from typing import NamedTuple

from factorization_machines.recordio.decode_errors import (
    BYTES_VALUE,
    CUT_MESSAGE,
    DENSE_SIZE,
    KEY_COUNT,
    KEY_RANGE,
    LABEL_NOT_FINITE,
    LABEL_SIZE,
    NO_FEATURES,
    NO_LABEL,
    NOT_FINITE,
    OK,
    OTHER_KEY,
    REQUEST_SHAPE,
    SHAPE_SIZE,
)
from factorization_machines.recordio.framing import Bytes, uint32_at
from factorization_machines.recordio.layout import (
    BYTES,
    DELIMITED,
    FEATURES,
    FLOAT32,
    FLOAT64,
    INT32,
    KEYS,
    LABEL,
    NAME,
    NAME_WORDS,
    SHAPE,
    VALUE,
    VALUES,
    VARINT,
)
from factorization_machines.recordio.protobuf import Array, field, float32_at, numbers, varint

# Slots of the state. Between two calls: where the next record begins, rows and non-zeros so far,
# whether the keys of all rows ascend, and what an error code is about. The others describe the
# tensor that is read: number of dimensions, their product, and the first key over int32.
POSITION, ROWS, NNZ, SORTED, DETAIL, DIMENSIONS, PRODUCT, LARGE_KEY = range(8)
NEW_STATE = (0, 0, 0, 1, 0, 0, 0, 0)

# How labels are read.
IGNORED, OPTIONAL, REQUIRED = range(3)

_INT32_MAX, _INT64_MAX = (1 << 31) - 1, (1 << 63) - 1
_FLOAT32_MAX = 3.4028234663852886e38


class Rows(NamedTuple):
    """Where decoded rows go, and how far decoding is."""

    values: Array
    """(capacity,) float32, the non-zeros of all rows, in the records' order."""
    keys: Array
    """(capacity,) int32, their keys."""
    indptr: Array
    """(row capacity + 1,) int64; row i is keys[indptr[i]:indptr[i + 1]]."""
    labels: Array
    """(row capacity,) float32, NaN where there is none."""
    state: Array
    """(8,) int64, see the slots above; on an error POSITION is the record's first byte."""


def tensor(
    data: Bytes, at: int, end: int, kind: int, counts: tuple[int, int], rows: Rows
) -> tuple[int, int, int]:
    """Append the values, keys and shape of one tensor to those that `counts` says are there.

    Returns: Both new counts, and a code. A key over int32 becomes -1.
    """
    n_values, n_keys = counts
    state = rows.state
    while at < end:
        number, wire, start, stop = field(data, at, end)
        if stop < 0:
            return n_values, n_keys, CUT_MESSAGE
        at = stop
        if number == VALUES:
            n_values = numbers(data, (start, stop), kind, wire, rows.values, n_values)
            if n_values < 0:
                return n_values, n_keys, CUT_MESSAGE
        elif number == KEYS or number == SHAPE:
            if wire != VARINT and wire != DELIMITED:
                return n_values, n_keys, CUT_MESSAGE
            while start < stop:
                whole, start = varint(data, start, stop)
                if start < 0:
                    return n_values, n_keys, CUT_MESSAGE
                if whole < 0:  # uint64 beyond int64: no feature_dim is that large
                    whole = _INT64_MAX
                if number == SHAPE:
                    product = state[PRODUCT] if state[DIMENSIONS] > 0 else 1
                    fits = whole == 0 or product <= _INT64_MAX // whole
                    state[PRODUCT] = product * whole if fits else _INT64_MAX
                    state[DIMENSIONS] += 1
                    continue
                if whole > _INT32_MAX:
                    if state[LARGE_KEY] == 0:
                        state[LARGE_KEY] = whole
                    whole = -1
                rows.keys[n_keys] = whole
                n_keys += 1
    return n_values, n_keys, OK


def is_values(data: Bytes, at: int, end: int) -> bool:
    """Return whether the bytes are "values"."""
    return (
        end - at == 6
        and uint32_at(data, at) == 0x756C6176  # v a l u
        and data[at + 4] == 0x65  # e
        and data[at + 5] == 0x73  # s
    )


def is_number(data: Bytes, at: int, end: int) -> bool:
    """Return whether a map entry is "values" with one packed float32, as the SDK writes labels."""
    return (
        end - at == 18
        and uint32_at(data, at) == NAME_WORDS[0]
        and uint32_at(data, at + 4) == NAME_WORDS[1]
        and uint32_at(data, at + 8) == 0x06120812
        and uint32_at(data, at + 10) == 0x040A0612
    )


def entry(data: Bytes, at: int, end: int, first: int, rows: Rows) -> tuple[int, int, int]:
    """Read a map entry's tensor to the places from `first` on; return both counts, and a code.

    The last key counts, and the last member of the Value's oneof; the same member again is merged,
    as protobuf does.
    """
    state = rows.state
    state[DIMENSIONS] = state[LARGE_KEY] = 0
    if is_number(data, at, end):
        rows.values[first] = float32_at(data, at + 14)
        return 1, 0, OK
    n_values, n_keys, kind = first, first, 0
    named, code = False, OK
    while at < end:
        number, wire, start, stop = field(data, at, end)
        if stop < 0:
            return 0, 0, CUT_MESSAGE
        at = stop
        if wire != DELIMITED:
            continue
        if number == NAME:
            named = is_values(data, start, stop)
        if number != VALUE:
            continue
        # The key may yet follow: what is wrong with the Value of another key does not count.
        while start < stop and code == OK:
            member, member_wire, place, last = field(data, start, stop)
            if last < 0:
                code = CUT_MESSAGE
            start = last
            if member_wire != DELIMITED or (
                member != FLOAT32 and member != FLOAT64 and member != INT32 and member != BYTES
            ):
                continue
            if member != kind:
                n_values, n_keys, kind = first, first, member
                state[DIMENSIONS] = state[LARGE_KEY] = 0
            if member != BYTES and code == OK:
                n_values, n_keys, code = tensor(data, place, last, member, (n_values, n_keys), rows)
    if not named:
        code = OTHER_KEY
    elif code == OK and kind == BYTES:
        code = BYTES_VALUE
    return n_values - first, n_keys - first, code


def are_ready(first: int, size: int, bound: int, rows: Rows) -> bool:
    """Return whether a sparse tensor is a canonical row as it is. Nearly all are."""
    last_key, ready = -1, True
    for i in range(first, first + size):  # without branches, so that it is vectorised
        key, value = rows.keys[i], abs(rows.values[i])
        ready &= (key > last_key) & (key < bound) & (value > 0) & (value <= _FLOAT32_MAX)
        last_key = key
    return ready


def row(
    counts: tuple[int, int], first: int, start: int, feature_dim: int, rows: Rows
) -> tuple[int, int]:
    """Move the non-zeros of the tensor at `first` to `start`; return where they end, and a code."""
    n_values, n_keys = counts
    values, keys, state = rows.values, rows.keys, rows.state
    sparse = n_keys > 0
    if sparse and n_keys != n_values:
        state[DETAIL] = n_keys
        return start, KEY_COUNT
    if not sparse and n_values > 0 and n_values != feature_dim:
        state[DETAIL] = n_values
        return start, DENSE_SIZE
    bound = feature_dim
    if state[DIMENSIONS] > 0:
        if not sparse and n_values > 0 and state[PRODUCT] != n_values:
            state[DETAIL] = state[PRODUCT]
            return start, SHAPE_SIZE
        if state[DIMENSIONS] == 1:
            bound = min(bound, state[PRODUCT])
    if sparse and first == start and are_ready(first, n_values, bound, rows):
        return start + n_values, OK
    last_key, nnz = -1, start
    for i in range(n_values):
        key = keys[first + i] if sparse else i
        value = values[first + i]
        if key < 0 or key >= bound:
            state[DETAIL] = state[LARGE_KEY] if key < 0 else key
            if state[DETAIL] >= feature_dim:
                return start, KEY_RANGE
            state[DETAIL] = bound
            return start, SHAPE_SIZE
        if not math.isfinite(value):
            state[DETAIL] = key
            return start, NOT_FINITE
        if key <= last_key:
            state[SORTED] = 0
        last_key = key
        if value != 0:  # an explicit zero is not stored
            keys[nnz] = key
            values[nnz] = value
            nnz += 1
    return nnz, OK


def record(data: Bytes, at: int, end: int, feature_dim: int, label: int, rows: Rows) -> int:
    """Append one Record message as a row; return a code.

    Each entry is read behind the row so far. The caller makes sure that all numbers of the message
    fit: at most one for each byte.
    """
    state = rows.state
    features = labelled = False
    start_nnz = nnz = state[NNZ]
    rows.labels[state[ROWS]] = math.nan
    while at < end:
        number, wire, start, stop = field(data, at, end)
        if stop < 0:
            return CUT_MESSAGE
        at = stop
        if wire != DELIMITED or (number != FEATURES and (number != LABEL or label == IGNORED)):
            continue
        n_values, n_keys, code = entry(data, start, stop, nnz, rows)
        if code == OTHER_KEY:
            continue
        if code != OK:
            return code
        if number == LABEL:
            labelled = True
            if n_values != 1:
                state[DETAIL] = n_values
                return LABEL_SIZE
            rows.labels[state[ROWS]] = rows.values[nnz]
            if not math.isfinite(rows.values[nnz]):
                return LABEL_NOT_FINITE
            continue
        features = True
        # A channel may have rows that are narrower than the model; a request may not.
        if label == IGNORED and state[DIMENSIONS] > 0 and state[PRODUCT] != feature_dim:
            state[DETAIL] = state[PRODUCT]
            return REQUEST_SHAPE
        # The last entry of a map key counts.
        nnz, code = row((n_values, n_keys), nnz, start_nnz, feature_dim, rows)
        if code != OK:
            return code
    if not features:
        return NO_FEATURES
    if label == REQUIRED and not labelled:
        return NO_LABEL
    state[NNZ] = nnz
    return OK
