"""Protobuf's wire format: integers, floats and fields, at offsets in bytes.

`compiled` compiles these functions for channels; requests run them as Python.
"""

import struct
from typing import Any

from factorization_machines.recordio.framing import Bytes
from factorization_machines.recordio.layout import (
    DELIMITED,
    FIXED32,
    FIXED64,
    FLOAT32,
    FLOAT64,
    INT32,
    VARINT,
)

Array = Any  # a numpy array where functions are compiled, else an array.array


def varint(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Return a base-128 integer as int64, and where it ends; -1 where it is cut or too long."""
    value = 0
    for shift in range(0, 63, 7):
        if at >= end:
            return 0, -1
        byte = int(data[at])
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    if at >= end or data[at] >= 0x80:
        return 0, -1
    # The tenth byte holds the sign; other bits beyond 64 are dropped, as protobuf does.
    return value - ((int(data[at]) & 1) << 63), at + 1


def field(data: Bytes, at: int, end: int) -> tuple[int, int, int, int]:
    """Return number, wire type, and start and end of a field's content; end -1 where it is cut."""
    if end - at >= 2:
        # Nearly all fields: one byte of tag, one of length.
        tag, stop = int(data[at]), at + 2 + int(data[at + 1])
        if tag & 0x87 == DELIMITED and tag > DELIMITED and data[at + 1] < 0x80 and stop <= end:
            return tag >> 3, DELIMITED, at + 2, stop
    tag, at = varint(data, at, end)
    stop = -1
    if at < 0:
        return 0, 0, at, stop
    number, wire = tag >> 3, tag & 7
    if wire == DELIMITED:
        length, at = varint(data, at, end)
        if at >= 0 and 0 <= length <= end - at:
            stop = at + length
    elif wire == VARINT:
        _, stop = varint(data, at, end)
    elif wire == FIXED32:
        stop = at + 4
    elif wire == FIXED64:
        stop = at + 8
    # Other wire types are groups, which proto3 does not have, or do not exist.
    if number == 0 or stop > end:
        stop = -1
    return number, wire, at, stop


def float32_at(data: Bytes, at: int) -> float:
    """Return the little-endian float32 at an offset, aligned or not."""
    return float(struct.unpack_from("<f", data, at)[0])


def float64_at(data: Bytes, at: int) -> float:
    """Return the little-endian float64 at an offset, aligned or not."""
    return float(struct.unpack_from("<d", data, at)[0])


def numbers(data: Bytes, span: tuple[int, int], kind: int, wire: int, out: Array, n: int) -> int:
    """Append the numbers of a `values` field to out[n:]; return the new n, -1 where it is cut.

    `span` is the start and the end of the field's content.
    """
    at, end = span
    if kind == FLOAT32 and (wire == FIXED32 or (wire == DELIMITED and (end - at) % 4 == 0)):
        for place in range(at, end, 4):
            out[n] = float32_at(data, place)
            n += 1
        return n
    if kind == FLOAT64 and (wire == FIXED64 or (wire == DELIMITED and (end - at) % 8 == 0)):
        for place in range(at, end, 8):
            out[n] = float64_at(data, place)
            n += 1
        return n
    if kind == INT32 and (wire == VARINT or wire == DELIMITED):
        while at < end:
            value, at = varint(data, at, end)
            if at < 0:
                return -1
            # A negative int32 is written with 64 bits; the low 32 are the number.
            value &= 0xFFFFFFFF
            out[n] = value - ((value >> 31) << 32)
            n += 1
        return n
    return -1
