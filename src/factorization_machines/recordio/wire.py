"""Protobuf's wire encoding of an `aialgs.data.Record`, read by compiled functions.

Every legal encoding of the message is read: fields in any order and repeated, packed or not,
unknown fields, the last of a repeated map key. Numbers are little-endian.
"""

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from factorization_machines.kernels.jit import LEAN, kernel
from factorization_machines.recordio.decode_errors import BYTES_VALUE, CUT_MESSAGE, OK, OTHER_KEY

Bytes = NDArray[np.uint8]
Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Int = Any  # int64 when compiled; numpy's scalars when a test runs the function as Python

U8 = types.Array(types.uint8, 1, "C", readonly=True)
F32 = types.float32[::1]
I32 = types.int32[::1]
I64 = types.int64[::1]
FIELD = types.UniTuple(types.int64, 4)


@kernel(types.Tuple((types.uint64, types.int64))(U8, types.int64, types.int64), **LEAN)
def varint(data: Bytes, at: Int, end: Int) -> tuple[Int, Int]:
    """Return a base-128 integer and where it ends; -1 where it is cut or longer than ten bytes."""
    value = np.uint64(0)
    for shift in range(0, 70, 7):
        if at >= end:
            return value, -1
        byte = data[at]
        at += 1
        value |= np.uint64(byte & 0x7F) << np.uint64(shift)
        if byte < 0x80:
            return value, at
    return value, -1


@kernel(FIELD(U8, types.int64, types.int64))
def field(data: Bytes, at: Int, end: Int) -> tuple[Int, Int, Int, Int]:
    """Return number, wire type, and start and end of a field's content; end -1 where it is cut."""
    tag, at = varint(data, at, end)
    if at < 0:
        return 0, 0, at, -1
    number, wire = np.int64(tag >> np.uint64(3)), np.int64(tag & np.uint64(7))
    if wire == 0:
        _, stop = varint(data, at, end)
    elif wire == 1:
        stop = at + 8
    elif wire == 5:
        stop = at + 4
    elif wire == 2:
        length, at = varint(data, at, end)
        if at < 0 or length > np.uint64(end - at):
            return number, wire, at, -1
        stop = at + np.int64(length)
    else:  # groups, which proto3 has not, and wire types that do not exist
        stop = np.int64(-1)
    if number == 0 or stop > end:
        stop = np.int64(-1)
    return number, wire, at, stop


@kernel(types.uint32(U8, types.int64), **LEAN)
def uint32_at(data: Bytes, at: Int) -> Int:
    """Return the little-endian uint32 at an offset, aligned or not."""
    # Compiled, this is one load; a view of a slice is an array, and eight times slower.
    return (
        np.uint32(data[at])
        | np.uint32(data[at + 1]) << np.uint32(8)
        | np.uint32(data[at + 2]) << np.uint32(16)
        | np.uint32(data[at + 3]) << np.uint32(24)
    )


@kernel(types.float32(U8, types.int64), **LEAN)
def float32_at(data: Bytes, at: Int) -> Int:
    """Return the little-endian float32 at an offset, aligned or not."""
    return np.uint32(uint32_at(data, at)).view(np.float32)


@kernel(types.float64(U8, types.int64), **LEAN)
def float64_at(data: Bytes, at: Int) -> Int:
    """Return the little-endian float64 at an offset, aligned or not."""
    low, high = np.uint64(uint32_at(data, at)), np.uint64(uint32_at(data, at + 4))
    return np.uint64(high << np.uint64(32) | low).view(np.float64)


@kernel(types.int64(U8, types.int64, types.int64, types.int64, types.int64, F32, types.int64))
def numbers(data: Bytes, at: Int, end: Int, kind: Int, wire: Int, out: Float32, n: Int) -> Int:
    """Append the numbers of one `values` field to out[n:]; return the new n, -1 where it is cut.

    `kind` is the tensor's field number in Value: 2 float32, 3 float64, 7 int32 (as varints).
    """
    if kind == 2 and (wire == 5 or (wire == 2 and (end - at) % 4 == 0)):
        for place in range(at, end, 4):
            out[n] = float32_at(data, place)
            n += 1
        return n
    if kind == 3 and (wire == 1 or (wire == 2 and (end - at) % 8 == 0)):
        for place in range(at, end, 8):
            out[n] = np.float32(float64_at(data, place))
            n += 1
        return n
    if kind == 7 and (wire == 0 or wire == 2):
        while at < end:
            value, at = varint(data, at, end)
            if at < 0:
                return -1
            # A negative int32 is written with 64 bits; the low 32 are the number.
            out[n] = np.float32(np.int32(value & np.uint64(0xFFFFFFFF)))
            n += 1
        return n
    return -1


@kernel(types.Tuple((types.int64, types.int64, types.int64))(
    U8, types.int64, types.int64, types.int64, F32, I64, types.int64, types.int64, I64
))  # fmt: skip
def tensor(
    data: Bytes,
    at: Int,
    end: Int,
    kind: Int,
    values: Float32,
    keys: Int64,
    n_values: Int,
    n_keys: Int,
    shape: Int64,
) -> tuple[Int, Int, Int]:
    """Append a tensor message's values and keys; return both counts and a code.

    `shape` is [number of dimensions, their product]: read from the message as well.
    """
    while at < end:
        number, wire, start, stop = field(data, at, end)
        if stop < 0:
            return n_values, n_keys, CUT_MESSAGE
        at = stop
        if number == 1:
            n_values = numbers(data, start, stop, kind, wire, values, n_values)
            if n_values < 0:
                return n_values, n_keys, CUT_MESSAGE
        elif number == 2 or number == 3:
            if wire != 0 and wire != 2:
                return n_values, n_keys, CUT_MESSAGE
            while start < stop:
                value, start = varint(data, start, stop)
                if start < 0:
                    return n_values, n_keys, CUT_MESSAGE
                # Beyond int64 there is no feature: any such key is out of range.
                whole = np.int64(min(value, np.uint64(0x7FFFFFFFFFFFFFFF)))
                if number == 2:
                    keys[n_keys] = whole
                    n_keys += 1
                else:
                    shape[1] = whole if shape[0] == 0 else shape[1] * whole
                    shape[0] += 1
    return n_values, n_keys, OK


@kernel(types.boolean(U8, types.int64, types.int64))
def is_values(data: Bytes, at: Int, end: Int) -> bool:
    """Return whether the bytes are "values"."""
    return bool(
        end - at == 6
        and uint32_at(data, at) == 0x756C6176  # v a l u
        and data[at + 4] == 0x65  # e
        and data[at + 5] == 0x73  # s
    )


@kernel(types.Tuple((types.int64, types.int64, types.int64))(
    U8, types.int64, types.int64, F32, I64, I64
))  # fmt: skip
def entry(
    data: Bytes, at: Int, end: Int, values: Float32, keys: Int64, shape: Int64
) -> tuple[Int, Int, Int]:
    """Read a map entry; return the counts of values and keys, and a code.

    The last key counts, and the last member of the Value's oneof; the same member again is merged,
    as protobuf does.
    """
    n_values, n_keys, kind = np.int64(0), np.int64(0), np.int64(0)
    named, code = False, OK
    shape[:] = 0
    while at < end:
        number, wire, start, stop = field(data, at, end)
        if stop < 0:
            return n_values, n_keys, CUT_MESSAGE
        at = stop
        if wire != 2:
            continue
        if number == 1:
            named = is_values(data, start, stop)
        if number != 2:
            continue
        # The key may yet follow: what is wrong with the Value of another key does not count.
        while start < stop and code == OK:
            member, member_wire, first, last = field(data, start, stop)
            if last < 0:
                code = CUT_MESSAGE
            start = last
            if member_wire != 2 or (member != 2 and member != 3 and member != 7 and member != 9):
                continue
            if member != kind:
                n_values, n_keys, kind = np.int64(0), np.int64(0), member
                shape[:] = 0
            if member != 9 and code == OK:
                n_values, n_keys, code = tensor(
                    data, first, last, member, values, keys, n_values, n_keys, shape
                )
    if not named:
        return n_values, n_keys, OTHER_KEY
    return n_values, n_keys, BYTES_VALUE if code == OK and kind == 9 else code
