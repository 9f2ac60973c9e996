"""RecordIO framing, and the rows of the records in it, appended to CSR arrays in one pass.

A failure is a code and a byte offset; `recordio` makes it a message.
"""

import numpy as np
from numba import types

from factorization_machines.kernels.jit import LEAN, kernel
from factorization_machines.recordio.decode_errors import (
    BAD_MAGIC,
    BAD_PART,
    CUT_FRAME,
    CUT_MESSAGE,
    DENSE_SIZE,
    KEY_COUNT,
    KEY_RANGE,
    LABEL_NOT_FINITE,
    LABEL_SIZE,
    MAGIC,
    NEED_SPACE,
    NO_FEATURES,
    NO_LABEL,
    NOT_FINITE,
    OK,
    OTHER_KEY,
    SHAPE,
)
from factorization_machines.recordio.sdk_layout import sdk_record
from factorization_machines.recordio.wire import (
    F32,
    I32,
    I64,
    U8,
    Bytes,
    Float32,
    Int,
    Int32,
    Int64,
    entry,
    field,
    uint32_at,
)

# Slots of the state that a call continues from and leaves.
POSITION, ROWS, NNZ, SORTED, DETAIL = range(5)


@kernel(types.int64(
    U8, types.int64, types.int64, types.int64, types.boolean, F32, I64, I64, F32, I32, F32, I64
))  # fmt: skip
def record(
    data: Bytes,
    at: Int,
    end: Int,
    feature_dim: Int,
    labelled: bool,
    values: Float32,
    keys: Int64,
    shape: Int64,
    out_values: Float32,
    out_keys: Int32,
    labels: Float32,
    state: Int64,
) -> Int:
    """Append one Record message as a row; return a code. `values`, `keys`, `shape` are scratch."""
    features = label = False
    start_nnz = state[NNZ]
    row = state[ROWS]
    labels[row] = np.nan
    while at < end:
        number, wire, start, stop = field(data, at, end)
        if stop < 0:
            return CUT_MESSAGE
        at = stop
        if (number != 1 and number != 2) or wire != 2:
            continue
        n_values, n_keys, code = entry(data, start, stop, values, keys, shape)
        if code == OTHER_KEY:
            continue
        if code != OK:
            return code
        if number == 2:
            label = True
            state[DETAIL] = n_values
            if n_values != 1:
                return LABEL_SIZE
            labels[row] = values[0]
            if not np.isfinite(values[0]):
                return LABEL_NOT_FINITE
            continue
        features = True
        state[NNZ] = start_nnz  # the last entry of a map key counts
        sparse = n_keys > 0
        if sparse and n_keys != n_values:
            state[DETAIL] = n_keys
            return KEY_COUNT
        if not sparse and n_values > 0 and n_values != feature_dim:
            state[DETAIL] = n_values
            return DENSE_SIZE
        if shape[0] > 0 and not sparse and n_values > 0 and shape[1] != n_values:
            state[DETAIL] = shape[1]
            return SHAPE
        last_key = np.int64(-1)
        nnz = start_nnz
        for i in range(n_values):
            key = keys[i] if sparse else i
            state[DETAIL] = key
            if key >= feature_dim:
                return KEY_RANGE
            if shape[0] == 1 and key >= shape[1]:
                state[DETAIL] = shape[1]
                return SHAPE
            if not np.isfinite(values[i]):
                return NOT_FINITE
            if key <= last_key:
                state[SORTED] = 0
            last_key = key
            if values[i] != 0:  # an explicit zero is no non-zero
                out_keys[nnz] = key
                out_values[nnz] = values[i]
                nnz += 1
        state[NNZ] = nnz
    if not features:
        return NO_FEATURES
    if labelled and not label:
        return NO_LABEL
    return OK


@kernel(types.UniTuple(types.int64, 2)(U8, types.int64), **LEAN)
def frame(data: Bytes, at: Int) -> tuple[Int, Int]:
    """Return the length of the frame's content and a code (its part flag is in the high bits)."""
    if at + 8 > data.size:
        # Four bytes are enough to see that it is no record at all.
        if at + 4 <= data.size and uint32_at(data, at) != MAGIC:
            return 0, BAD_MAGIC
        return 0, CUT_FRAME
    if uint32_at(data, at) != MAGIC:
        return 0, BAD_MAGIC
    word = np.int64(uint32_at(data, at + 4))
    if at + 8 + (word & 0x1FFFFFFF) > data.size:
        return word, CUT_FRAME
    return word, OK


@kernel(types.UniTuple(types.int64, 2)(U8, types.int64), **LEAN)
def skip(data: Bytes, count: Int) -> tuple[Int, Int]:
    """Pass over `count` records, or all that `data` has; return how many are left, and the end."""
    at = 0
    while count > 0 and at < data.size:
        word, _ = frame(data, at)
        at += 8 + (((word & 0x1FFFFFFF) + 3) & ~3)
        part = word >> 29
        count -= part == 0 or part == 3  # a record that is split ends with part 3
    return count, min(at, data.size)


# Without the interpreter's lock: training goes on while it decodes.
@kernel(
    types.int64(U8, types.int64, types.int64, types.boolean, F32, I32, I64, F32, I64), nogil=True
)
def parse(
    data: Bytes,
    stop: int,
    feature_dim: int,
    labelled: bool,
    out_values: Float32,
    out_keys: Int32,
    indptr: Int64,
    labels: Float32,
    state: Int64,
) -> Int:
    """Append the records of `data` from state[POSITION] on to the arrays; return a code.

    Args:
        data: (n,) uint8, framed records.
        stop: offset, n at most, from which on no further record is begun.
        feature_dim: every key is smaller; a dense row has as many values.
        labelled: whether each record must have a label.
        out_values: (capacity,) float32, the non-zeros of all rows, in the records' order.
        out_keys: (capacity,) int32, their keys.
        indptr: (row capacity + 1,) int64; row i is out_keys[indptr[i]:indptr[i + 1]].
        labels: (row capacity,) float32, NaN where there is none.
        state: (5,) int64, see the slots above; on an error POSITION is the record's first byte.
    """
    scratch_values = np.empty(64, np.float32)
    scratch_keys = np.empty(64, np.int64)
    shape = np.empty(2, np.int64)
    joined = np.empty(0, np.uint8)
    while state[POSITION] < stop:
        at = state[POSITION]
        word, code = frame(data, at)
        if code != OK:
            return code
        part, length = word >> 29, word & 0x1FFFFFFF
        source, first = data, at + 8
        following = first + ((length + 3) & ~3)
        if part != 0:
            # A record that held the magic was split there: the parts are joined by it again.
            if part != 1:
                return BAD_PART
            total = length
            while part != 3:
                word, code = frame(data, following)
                if code == BAD_MAGIC:
                    return BAD_PART
                if code != OK:
                    return code
                part = word >> 29
                if part != 2 and part != 3:
                    return BAD_PART
                total += 4 + (word & 0x1FFFFFFF)
                following += 8 + (((word & 0x1FFFFFFF) + 3) & ~3)
            joined = np.empty(total, np.uint8)
            joined[:length] = data[first : first + length]
            filled, place = length, first + ((length + 3) & ~3)
            while filled < total:
                word, _ = frame(data, place)
                length = word & 0x1FFFFFFF
                for i in range(4):
                    joined[filled + i] = (MAGIC >> (8 * i)) & 0xFF
                joined[filled + 4 : filled + 4 + length] = data[place + 8 : place + 8 + length]
                filled += 4 + length
                place += 8 + ((length + 3) & ~3)
            source, first, length = joined, np.int64(0), total
        # A value takes a byte at the least (a small int32), so a record has no more than `length`.
        if state[NNZ] + length > out_keys.size or state[ROWS] + 1 >= indptr.size:
            state[DETAIL] = length
            return NEED_SPACE
        if length > scratch_keys.size:
            scratch_values = np.empty(length, np.float32)
            scratch_keys = np.empty(length, np.int64)
        row, nnz, end = state[ROWS], state[NNZ], first + length
        nnz = sdk_record(source, first, end, feature_dim, out_values, out_keys, nnz, labels, row)
        if nnz < 0:
            code = record(
                source, first, end, feature_dim, labelled,
                scratch_values, scratch_keys, shape, out_values, out_keys, labels, state,
            )  # fmt: skip
            if code != OK:
                return code
            nnz = state[NNZ]
        state[ROWS], state[NNZ] = row + 1, nnz
        indptr[row + 1] = nnz
        # The padding of a last record may be missing: some writers leave it out.
        state[POSITION] = min(following, data.size)
    return OK
