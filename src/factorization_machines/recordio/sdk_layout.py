"""The one layout of a record that SageMaker's SDK writes, read at the speed of the machine.

Nearly all files hold nothing else: an entry "values" of the features with a Float32Tensor, its
fields packed and in order, then one of the label. A record that differs in any way, or is wrong,
is left to `frames.record`, which reads every legal encoding and says what is wrong.
"""

import numpy as np
from numba import types

from factorization_machines.kernels.jit import LEAN, kernel
from factorization_machines.recordio.wire import (
    F32,
    I32,
    U8,
    Bytes,
    Float32,
    Int,
    Int32,
    float32_at,
    uint32_at,
)

# Little-endian words. All lengths in the entry of a label are the same in every record.
KEY = (0x6176060A, 0x7365756C)  # 0a 06 v a, l u e s
LABEL = (0x060A1212, 0x756C6176, 0x08127365, 0x040A0612)  # 12 12 0a 06, values, 12 08 12 06 0a 04
LABEL_SIZE = 20


@kernel(types.UniTuple(types.int64, 2)(U8, types.int64, types.int64), **LEAN)
def short(data: Bytes, at: Int, end: Int) -> tuple[Int, Int]:
    """Return an integer of at most four base-128 bytes, and where it ends; -1 for another."""
    number = np.int64(0)
    for shift in range(0, 28, 7):
        if at >= end:
            break
        byte = np.int64(data[at])
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    return number, np.int64(-1)


@kernel(types.UniTuple(types.int64, 2)(U8, types.int64, types.int64, types.int64), **LEAN)
def content(data: Bytes, at: Int, end: Int, tag: int) -> tuple[Int, Int]:
    """Return start and end of a field's content: none where another field is, -1 where it is cut.

    From -1 on all are -1, so that a caller looks once.
    """
    if at < 0 or at >= end or data[at] != tag:
        return at, at
    length, at = short(data, at + 1, end)
    if at < 0 or length > end - at:
        return at, np.int64(-1)
    return at, at + length


@kernel(types.int64(U8, types.int64, types.int64, types.int64, F32, I32, types.int64), **LEAN)
def sdk_tensor(
    data: Bytes, at: Int, end: Int, feature_dim: Int, values: Float32, keys: Int32, nnz: Int
) -> Int:
    """Write the non-zeros of a Float32Tensor to values[nnz:] and keys[nnz:].

    Returns: The new nnz; -1 for a tensor of another layout, with unsorted keys, or with an error.
    """
    value_at, value_end = content(data, at, end, 0x0A)
    key_at, key_end = content(data, value_end, end, 0x12)
    shape_at, shape_end = content(data, key_end, end, 0x1A)
    if shape_end != end or (value_end - value_at) & 3:
        return -1
    size = (value_end - value_at) >> 2
    sparse = key_at < key_end
    bound = feature_dim
    if shape_at < shape_end:
        bound, at = short(data, shape_at, shape_end)
        if at != shape_end:
            return -1
    if not sparse and size > 0 and (size != feature_dim or size != bound):
        return -1
    bound = min(bound, feature_dim)
    last_key = np.int64(-1)
    for place in range(value_at, value_end, 4):
        key = last_key + 1
        if sparse:
            key, key_at = short(data, key_at, key_end)
            if key_at < 0:
                return -1
        value = float32_at(data, place)
        if key <= last_key or key >= bound or not np.isfinite(value):
            return -1
        last_key = key
        if value != 0:  # an explicit zero is no non-zero
            keys[nnz] = key
            values[nnz] = value
            nnz += 1
    return nnz if key_at == key_end else np.int64(-1)


@kernel(types.int64(
    U8, types.int64, types.int64, types.int64, F32, I32, types.int64, F32, types.int64
), **LEAN)  # fmt: skip
def sdk_record(
    data: Bytes,
    at: Int,
    end: Int,
    feature_dim: Int,
    values: Float32,
    keys: Int32,
    nnz: Int,
    labels: Float32,
    row: Int,
) -> Int:
    """Write a Record message, a row and its label, to values[nnz:], keys[nnz:] and labels[row].

    Returns: The new nnz; -1 for a message that `frames.record` must read. What is written then
    does not count: it overwrites that.
    """
    entry, entry_end = content(data, at, end, 0x0A)
    if entry_end - entry < 8 or entry_end + LABEL_SIZE != end:
        return -1
    if uint32_at(data, entry) != KEY[0] or uint32_at(data, entry + 4) != KEY[1]:
        return -1
    value, value_end = content(data, entry + 8, entry_end, 0x12)
    tensor, tensor_end = content(data, value, value_end, 0x12)
    if value_end != entry_end or tensor_end != entry_end:
        return -1
    for i in range(4):
        if uint32_at(data, entry_end + 4 * i) != LABEL[i]:
            return -1
    label = float32_at(data, end - 4)
    if not np.isfinite(label):
        return -1
    labels[row] = label
    return sdk_tensor(data, tensor, tensor_end, feature_dim, values, keys, nnz)
