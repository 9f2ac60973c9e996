"""Protobuf's wire encoding of an `aialgs.data.Record`, read by compiled functions.

Every legal encoding of the message is read: fields in any order and repeated, packed or not,
unknown fields, the last of a repeated map key. Numbers are little-endian.
"""

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from fm_container.jit import kernel

OK = 0
CUT_MESSAGE = 1  # a field reaches beyond the message that holds it, or is of a type it cannot be
BYTES_VALUE = 2

Bytes = NDArray[np.uint8]
Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Int = Any  # int64 when compiled; numpy's scalars when a test runs the function as Python

U8 = types.Array(types.uint8, 1, "C", readonly=True)
F32 = types.float32[::1]
I64 = types.int64[::1]
FIELD = types.UniTuple(types.int64, 4)


@kernel(types.Tuple((types.uint64, types.int64))(U8, types.int64, types.int64))
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


@kernel(types.float32(U8, types.int64))
def float32_at(data: Bytes, at: Int) -> Int:
    """Return the little-endian float32 at an offset, aligned or not."""
    return data[at : at + 4].view(np.float32)[0]


@kernel(types.float64(U8, types.int64))
def float64_at(data: Bytes, at: Int) -> Int:
    """Return the little-endian float64 at an offset, aligned or not."""
    return data[at : at + 8].view(np.float64)[0]


@kernel(types.uint32(U8, types.int64))
def uint32_at(data: Bytes, at: Int) -> Int:
    """Return the little-endian uint32 at an offset, aligned or not."""
    return data[at : at + 4].view(np.uint32)[0]


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


@kernel(types.Tuple((types.int64, types.int64, types.int64))(
    U8, types.int64, types.int64, F32, I64, I64
))  # fmt: skip
def value(
    data: Bytes, at: Int, end: Int, values: Float32, keys: Int64, shape: Int64
) -> tuple[Int, Int, Int]:
    """Read the Value messages of a map entry; return the counts of values and keys, and a code.

    The last member of the oneof counts; the same member again is merged, as protobuf does.
    """
    n_values, n_keys, kind = np.int64(0), np.int64(0), np.int64(0)
    while at < end:
        number, wire, start, stop = field(data, at, end)
        if stop < 0:
            return n_values, n_keys, CUT_MESSAGE
        at = stop
        if number != 2 or wire != 2:  # of the entry, 2 is the Value
            continue
        while start < stop:
            member, member_wire, first, last = field(data, start, stop)
            if last < 0:
                return n_values, n_keys, CUT_MESSAGE
            start = last
            if member_wire != 2 or (member != 2 and member != 3 and member != 7 and member != 9):
                continue
            if member != kind:
                n_values, n_keys, kind = np.int64(0), np.int64(0), member
                shape[:] = 0
            if member != 9:
                n_values, n_keys, code = tensor(
                    data, first, last, member, values, keys, n_values, n_keys, shape
                )
                if code != OK:
                    return n_values, n_keys, code
    return n_values, n_keys, BYTES_VALUE if kind == 9 else OK


@kernel(types.boolean(U8, types.int64, types.int64))
def is_values(data: Bytes, at: Int, end: Int) -> bool:
    """Return whether a map entry's key, the last one of it, is "values"."""
    found = False
    while at < end:
        number, wire, start, stop = field(data, at, end)
        if stop < 0:
            return True  # the cut is reported when the value is read
        at = stop
        if number == 1 and wire == 2:
            found = (
                stop - start == 6
                and data[start] == 0x76  # v
                and data[start + 1] == 0x61  # a
                and data[start + 2] == 0x6C  # l
                and data[start + 3] == 0x75  # u
                and data[start + 4] == 0x65  # e
                and data[start + 5] == 0x73  # s
            )
    return found
