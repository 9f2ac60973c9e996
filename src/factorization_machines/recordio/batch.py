"""Decodes all records of a request at once with NumPy, where they have the layout the SDK writes.

The layout: an entry "values" of the features, with the tensor's fields packed and in order, then at
most one entry of the label. Each step handles all n records; positions are (n,) int64.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from factorization_machines.instances import Float32, Instances, Int64, stack
from factorization_machines.recordio.layout import MAGIC, NAME_WORDS

_FLOATS: Mapping[int, str] = {0x12: "<f4", 0x1A: "<f8"}  # the tag of a tensor in Value
_INT32 = 0x3A
_PADDING = 16  # behind the data, so that a position just beyond its end can be read


class _Other(Exception):
    """Another layout, or an error: the general decoder reads it or says what is wrong."""


def decode(body: bytes, feature_dim: int) -> Instances | None:
    """Return the rows of framed records; None for another layout, or where anything is wrong."""
    try:
        return _Records(body, feature_dim).rows()
    except _Other:
        return None


class _Records:
    def __init__(self, body: bytes, feature_dim: int):
        self.dim = feature_dim
        self.size = len(body)
        self.data = np.zeros(self.size + _PADDING, np.uint8)
        self.data[: self.size] = np.frombuffer(body, np.uint8)

    def at_bytes(self, layout: str) -> NDArray[Any]:
        """Return the number of this type at each byte offset, aligned or not."""
        last = self.data.size - np.dtype(layout).itemsize + 1
        numbers: NDArray[Any] = np.ndarray((last,), layout, self.data.data, strides=(1,))
        return numbers

    def rows(self) -> Instances:
        """Return the rows. Raises: _Other."""
        at, end = self.frames()
        entry, entry_end = self.content(at, end, 0x0A)
        words = self.at_bytes("<u4")
        need((words[entry] == NAME_WORDS[0]) & (words[entry + 4] == NAME_WORDS[1]))
        value, value_end = self.content(entry + 8, entry_end, 0x12)
        need(value_end == entry_end)
        if (entry_end != end).any():
            need(self.content(entry_end, end, 0x12)[1] == end)  # the label
        tag = int(self.data[value[0]])
        tensor, tensor_end = self.content(value, value_end, tag)
        need(tensor_end == value_end)

        value_at, key_at = self.optional(tensor, tensor_end, 0x0A)
        key_start, shape_at = self.optional(key_at, tensor_end, 0x12)
        shape_start, shape_end = self.optional(shape_at, tensor_end, 0x1A)
        need(shape_end == tensor_end)
        shape, shape_stop = self.short(shape_start, shape_start < shape_end)
        need(shape_stop == shape_end)
        need((shape_start == shape_end) | (shape == self.dim))

        sizes, values = self.numbers(tag, value_at, key_at)
        if not (key_start < shape_at).any():
            need(sizes == self.dim)
            rows, keys = values.reshape(-1, self.dim).nonzero()
            return stack(np.bincount(rows, minlength=sizes.size), keys, values[values != 0])
        counts, keys = self.varints(key_start, shape_at)
        need(counts == sizes)
        need(keys < self.dim)
        return stack(sizes, keys, values)

    def frames(self) -> tuple[Int64, Int64]:
        """Return start and end of each record's content."""
        words = self.data[: self.size & ~3].view("<u4")
        heads = np.flatnonzero(words == MAGIC)
        if heads[-1] + 1 >= words.size:
            raise _Other
        lengths = words[heads + 1].astype(np.int64)  # with the flag of a part, if there is one
        at = 4 * heads + 8
        end = at + lengths
        following = end + 3 & ~3
        # A magic number within a record makes a gap here.
        need(following[:-1] == 4 * heads[1:])
        if not end[-1] <= self.size <= following[-1]:
            raise _Other
        return at, end

    def content(self, at: Int64, end: Int64, tag: int) -> tuple[Int64, Int64]:
        """Return start and end of the content of the field at `at`, which has this tag."""
        need((at < end) & (self.data[at] == tag))
        length, start = self.short(at + 1, np.ones(at.size, bool))
        need(length <= end - start)
        return start, start + length

    def optional(self, at: Int64, end: Int64, tag: int) -> tuple[Int64, Int64]:
        """Return the same for a field that may be missing; its content is then empty, at `at`."""
        there = (at < end) & (self.data[at] == tag)
        length, start = self.short(at + there, there)
        need(length <= end - start)
        return start, start + length

    def short(self, at: Int64, more: NDArray[np.bool_]) -> tuple[Int64, Int64]:
        """Return an integer of at most four base-128 bytes (0 where not `more`), and its end."""
        number = np.zeros(at.size, np.int64)
        for shift in range(0, 28, 7):
            byte = np.where(more, self.data[at], 0).astype(np.int64)
            number |= (byte & 0x7F) << shift
            at = at + more
            more = byte >= 0x80
            if not more.any():
                return number, np.minimum(at, self.size)
            at = np.minimum(at, self.size)
        raise _Other

    def numbers(self, tag: int, at: Int64, end: Int64) -> tuple[Int64, Float32]:
        """Return how many values each record has, and all of them."""
        if tag == _INT32:
            sizes, whole = self.varints(at, end)
            need(whole < 1 << 31)
            return sizes, whole.astype(np.float32)
        if tag not in _FLOATS:
            raise _Other
        width = np.dtype(_FLOATS[tag]).itemsize
        need((end - at) % width == 0)
        sizes = (end - at) // width
        with np.errstate(over="ignore"):
            values = self.at_bytes(_FLOATS[tag])[_each(at, sizes, width)].astype(np.float32)
        need(np.isfinite(values))
        return sizes, values

    def varints(self, at: Int64, end: Int64) -> tuple[Int64, Int64]:
        """Return how many packed base-128 integers each record has, and all of them."""
        lengths = end - at
        packed = self.data[_each(at, lengths, 1)]
        last = packed < 0x80
        before = np.concatenate([[0], np.cumsum(last)])
        ends = np.cumsum(lengths)
        need(last[ends[lengths > 0] - 1])
        counts = before[ends] - before[ends - lengths]
        stops = np.flatnonzero(last)
        starts = np.concatenate([[0], stops[:-1] + 1])[: stops.size]
        widths = stops - starts + 1
        need(widths <= 5)
        numbers = (packed[starts] & 0x7F).astype(np.int64)
        for place in range(1, int(widths.max(initial=0))):
            longer = np.flatnonzero(widths > place)
            byte = packed[starts[longer] + place] & 0x7F
            numbers[longer] |= byte.astype(np.int64) << 7 * place
        return counts, numbers


def need(condition: NDArray[np.bool_]) -> None:
    """Raise _Other unless a condition holds for all."""
    if not condition.all():
        raise _Other


def _each(at: Int64, sizes: Int64, step: int) -> Int64:
    """Return the positions of all items of all records: `sizes` of them, `step` bytes apart."""
    before = np.cumsum(sizes) - sizes
    return np.repeat(at - step * before, sizes) + step * np.arange(int(sizes.sum()))
