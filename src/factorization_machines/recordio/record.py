"""One Record message in plain Python: every legal encoding of it, and what is wrong with others.

Training reads the same with compiled functions (`wire` and `frames`), which a server cannot load
in the second it has to start. Here speed is the matter of `records`; this reads what that leaves.
"""

import struct
from collections.abc import Iterator

import numpy as np

from factorization_machines.instances import Float32, Int64
from factorization_machines.recordio import decode_errors

# Members of Value that are tensors: the layout of a number and its wire type; int32 is a varint.
_LAYOUTS = {2: ("f", 4, 5), 3: ("d", 8, 1)}
_INT32, _BYTES = 7, 9


class BadRecord(ValueError):
    """A record that cannot be a row; its text is the reason."""

    def __init__(self, code: int, detail: int = 0, feature_dim: int = 0):
        super().__init__(decode_errors.explain(code, detail, feature_dim))
        self.code = code


def read_record(data: bytes, feature_dim: int) -> tuple[Int64, Float32]:
    """Return keys and values of a message's features; a label is not looked at.

    Raises: BadRecord if the message is malformed or does not fit feature_dim.
    """
    row = None
    for number, wire, start, stop in _fields(data, 0, len(data)):
        if number == 1 and wire == 2:
            tensor = _entry(data, start, stop)
            if tensor is not None:  # the last entry of a map key counts
                row = _row(tensor, feature_dim)
    if row is None:
        raise BadRecord(decode_errors.NO_FEATURES)
    return row


class _Tensor:
    """Values, keys and shape as far as they are read."""

    def __init__(self, kind: int = 0):
        self.kind = kind
        self.values: list[float] = []
        self.keys: list[int] = []
        self.shape: list[int] = []

    def read(self, data: bytes, at: int, end: int) -> None:
        for number, wire, start, stop in _fields(data, at, end):
            if number == 1:
                self.values += _numbers(data, start, stop, self.kind, wire)
            elif number in (2, 3):
                if wire not in (0, 2):
                    raise BadRecord(decode_errors.CUT_MESSAGE)
                (self.keys if number == 2 else self.shape).extend(_varints(data, start, stop))


def _entry(data: bytes, at: int, end: int) -> _Tensor | None:
    """Return the tensor of a map entry, None if its key is not "values"."""
    key, tensor, problem = b"", _Tensor(), None
    for number, wire, start, stop in _fields(data, at, end):
        if wire != 2:
            continue
        if number == 1:
            key = data[start:stop]
        elif number == 2 and problem is None:
            try:
                tensor = _value(data, start, stop, tensor)
            except BadRecord as error:
                problem = error  # the key may yet follow, and be another
    if key != b"values":
        return None
    if problem is not None:
        raise problem
    if tensor.kind == _BYTES:
        raise BadRecord(decode_errors.BYTES_VALUE)
    return tensor


def _value(data: bytes, at: int, end: int, tensor: _Tensor) -> _Tensor:
    """Return a Value's tensor: of its oneof the last member counts, and the same one is merged."""
    for member, wire, start, stop in _fields(data, at, end):
        if wire != 2 or member not in (*_LAYOUTS, _INT32, _BYTES):
            continue
        if member != tensor.kind:
            tensor = _Tensor(member)
        if member != _BYTES:
            tensor.read(data, start, stop)
    return tensor


def _row(tensor: _Tensor, feature_dim: int) -> tuple[Int64, Float32]:
    with np.errstate(over="ignore"):
        values = np.array(tensor.values, np.float64).astype(np.float32)
    if tensor.keys:
        if len(tensor.keys) != values.size:
            raise BadRecord(decode_errors.KEY_COUNT, len(tensor.keys))
        keys = tensor.keys
    else:
        if values.size not in (0, feature_dim):
            raise BadRecord(decode_errors.DENSE_SIZE, values.size, feature_dim)
        whole = int(np.prod(tensor.shape, dtype=object)) if tensor.shape else values.size
        if values.size and whole != values.size:
            raise BadRecord(decode_errors.SHAPE, whole)
        keys = list(range(values.size))
    bound = tensor.shape[0] if len(tensor.shape) == 1 else feature_dim
    for key, finite in zip(keys, np.isfinite(values).tolist(), strict=True):
        if key >= feature_dim:
            raise BadRecord(decode_errors.KEY_RANGE, key, feature_dim)
        if key >= bound:
            raise BadRecord(decode_errors.SHAPE, bound)
        if not finite:
            raise BadRecord(decode_errors.NOT_FINITE, key)
    nonzero = values.nonzero()[0]
    return np.array(keys, np.int64)[nonzero], values[nonzero]


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, wire type, and start and end of the content of each field."""
    while at < end:
        tag, at = _varint(data, at, end)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            stop = _varint(data, at, end)[1]
        elif wire == 1:
            stop = at + 8
        elif wire == 5:
            stop = at + 4
        elif wire == 2:
            length, at = _varint(data, at, end)
            stop = at + length
        else:  # groups, which proto3 has not, and wire types that do not exist
            stop = end + 1
        if number == 0 or stop > end:
            raise BadRecord(decode_errors.CUT_MESSAGE)
        yield number, wire, at, stop
        at = stop


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return a base-128 integer of at most ten bytes, and where it ends."""
    value = 0
    for place in range(at, min(at + 10, end)):
        byte = data[place]
        value |= (byte & 0x7F) << 7 * (place - at)
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, place + 1
    raise BadRecord(decode_errors.CUT_MESSAGE)


def _varints(data: bytes, at: int, end: int) -> Iterator[int]:
    while at < end:
        value, at = _varint(data, at, end)
        yield value


def _numbers(data: bytes, at: int, end: int, kind: int, wire: int) -> list[float]:
    """Return the numbers of one `values` field, packed or not."""
    if kind == _INT32:
        if wire not in (0, 2):
            raise BadRecord(decode_errors.CUT_MESSAGE)
        # A negative int32 is written with 64 bits; the low 32 are the number.
        low = (value & 0xFFFFFFFF for value in _varints(data, at, end))
        return [float(value - (1 << 32) if value >> 31 else value) for value in low]
    letter, width, plain = _LAYOUTS[kind]
    if wire not in (2, plain) or (end - at) % width:
        raise BadRecord(decode_errors.CUT_MESSAGE)
    return list(struct.unpack(f"<{(end - at) // width}{letter}", data[at:end]))
