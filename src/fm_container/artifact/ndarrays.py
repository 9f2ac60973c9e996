"""MXNet's list of named arrays, as `params` in a model artifact holds it.

Layout, little-endian: uint64 0x112, uint64 0, uint64 count, the arrays, uint64 count, then each
name as uint64 length and bytes. An array: uint32 magic, int32 storage type, shape (uint32 number of
dimensions, int64 each), int32 device type and id, int32 element type, the values. A row-sparse one
has the shape of its stored rows before the logical shape, and the type and shape of its row index
after the element type; the index follows the values.
"""

import struct
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from fm_container.errors import ArtifactError

LIST_MAGIC = 0x112
ARRAY_MAGIC = 0xF993FAC9
DENSE, ROW_SPARSE = 0, 1
CPU = 1
FLOAT32, INT64 = 0, 6
_MOST_ARRAYS = 64
_LONGEST_NAME = 256

Float32 = NDArray[np.float32]


def write(stream: BinaryIO, arrays: Mapping[str, Float32]) -> None:
    """Write dense float32 arrays, without a copy of their values."""
    stream.write(struct.pack("<QQQ", LIST_MAGIC, 0, len(arrays)))
    for array in arrays.values():
        head = struct.pack("<Ii", ARRAY_MAGIC, DENSE) + _shape(array.shape)
        stream.write(head + struct.pack("<iii", CPU, 0, FLOAT32))
        stream.write(np.ascontiguousarray(array, "<f4").data.cast("B"))
    stream.write(struct.pack("<Q", len(arrays)))
    for name in arrays:
        raw = name.encode()
        stream.write(struct.pack("<Q", len(raw)) + raw)


def _shape(shape: tuple[int, ...]) -> bytes:
    return struct.pack(f"<I{len(shape)}q", len(shape), *shape)


def read(stream: BinaryIO, size: int) -> dict[str, Float32]:
    """Return the arrays of a list by name; the absent rows of a row-sparse one are zero.

    Args:
        stream: at the list's first byte.
        size: its length in bytes; no more than this is taken, and no memory before it is checked.

    Raises: ArtifactError that says at which byte the list is cut or malformed.
    """
    return _Reader(stream, size).arrays()


class _Reader:
    """Takes checked pieces from a stream of known length."""

    def __init__(self, stream: BinaryIO, size: int):
        self._stream = stream
        self._left = size
        self._size = size

    def arrays(self) -> dict[str, Float32]:
        magic, _, count = self._unpack("<QQQ")
        if magic != LIST_MAGIC:
            raise self._bad(f"expected the magic number {LIST_MAGIC:#x}; got {magic:#x}")
        if count > _MOST_ARRAYS:
            raise self._bad(f"{count} arrays; a factorization machine has three")
        arrays = [self._array() for _ in range(count)]
        (named,) = self._unpack("<Q")
        if named != count:
            raise self._bad(f"{named} names for {count} arrays")
        return {self._name(): array for array in arrays}

    def _name(self) -> str:
        (length,) = self._unpack("<Q")
        if length > _LONGEST_NAME:
            raise self._bad(f"a name of {length} bytes")
        return self._take(length).decode("utf-8", errors="replace")

    def _array(self) -> Float32:
        magic, storage = self._unpack("<Ii")
        if magic != ARRAY_MAGIC or storage not in (DENSE, ROW_SPARSE):
            raise self._bad(
                f"expected a dense or row-sparse array of MXNet 1.x; got magic {magic:#x}, "
                f"storage type {storage}"
            )
        stored = self._dimensions() if storage == ROW_SPARSE else None
        shape = self._dimensions()
        _, _, element = self._unpack("<iii")
        if element != FLOAT32:
            raise self._bad(f"expected float32 (type 0); got type {element}")
        if stored is None:
            return self._floats(shape)
        (index_type,) = self._unpack("<i")
        (rows,) = self._dimensions()
        if index_type != INT64 or stored[:1] != (rows,) or stored[1:] != shape[1:]:
            raise self._bad(f"a row-sparse array of shape {shape} with stored rows {stored}")
        values = self._floats(stored)
        index = np.frombuffer(self._take(rows * 8), "<i8")
        if rows and not (0 <= index.min() and index.max() < shape[0]):
            raise self._bad(f"row {index.max()} in an array of shape {shape}")
        array = np.zeros(shape, np.float32)
        array[index] = values
        return array

    def _dimensions(self) -> tuple[int, ...]:
        (count,) = self._unpack("<I")
        if not 1 <= count <= 4:
            raise self._bad(f"an array with {count} dimensions")
        shape = self._unpack(f"<{count}q")
        if min(shape) < 0:
            raise self._bad(f"an array of shape {shape}")
        return shape

    def _floats(self, shape: tuple[int, ...]) -> Float32:
        # Python's integers: a product that overflows int64 must not pass for a small one.
        count = 1
        for dimension in shape:
            count *= dimension
        self._need(count * 4)
        array = np.empty(count, "<f4")
        view = array.data.cast("B")
        while view:
            got = self._stream.readinto(view)  # type: ignore[attr-defined]
            if not got:
                raise self._bad("the data ends here")
            view = view[got:]
            self._left -= got
        return np.asarray(array, np.float32).reshape(shape)

    def _unpack(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))

    def _take(self, count: int) -> bytes:
        self._need(count)
        data = self._stream.read(count)
        if len(data) != count:
            raise self._bad("the data ends here")
        self._left -= count
        return data

    def _need(self, count: int) -> None:
        if count > self._left:
            raise self._bad(f"{count} bytes are due and {self._left} are left")

    def _bad(self, what: str) -> ArtifactError:
        return ArtifactError(f"params, byte {self._size - self._left}: {what}")
