"""Reads and writes MXNet's list of named arrays, the format of `params` in a model artifact.

Layout, little-endian: uint64 0x112, uint64 0, uint64 count, the arrays, uint64 number of names,
then each name as uint64 length and bytes. An array since MXNet 0.12: uint32 magic, int32 storage
type, shape (uint32 number of dimensions, int64 each), int32 device type and id, int32 element type,
the values. A row-sparse array has the shape of its stored rows before the logical shape, and the
type and shape of its row index after the element type; the index follows the values. Arrays of
MXNet 0.11 and older have no storage type: `_V1` precedes the shape, or, in still older ones, there
is no magic number, and the dimensions are uint32.
"""

import math
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from factorization_machines.artifact.archives import EXPANSION
from factorization_machines.errors import ArtifactError
from factorization_machines.parameters import Float32

LIST_MAGIC = 0x112
ARRAY_MAGIC = 0xF993FAC9
_V1, _NUMPY_SHAPES = 0xF993FAC8, 0xF993FACA  # no storage type; written under MXNet's np_shape
DENSE, ROW_SPARSE, CSR = 0, 1, 2
CPU = 1
FLOAT32, INT64 = 0, 6
_FLOATS = {FLOAT32: "<f4", 1: "<f8", 2: "<f2"}
_INDEX = {4: "<i4", INT64: "<i8"}
_MAX_ARRAYS = 64
_MAX_DIMENSIONS = 4
_MAX_NAME = 256

# Absent rows take memory but no bytes of the file. The limit is the file's size times the expansion
# factor of deflate, or an amount that every machine has.
_MIN_LIMIT = 64 << 20


def write(stream: BinaryIO, arrays: Mapping[str, Float32]) -> None:
    """Write dense float32 arrays without copying their values."""
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


def read(content: memoryview) -> dict[str, Float32]:
    """Return the arrays of a list by name, or by number if they have no names.

    A dense float32 array is a view of `content`, possibly unaligned; any other is a copy. The
    absent rows of a row-sparse array are zero.

    Raises: ArtifactError with the byte at which the list is truncated or malformed.
    """
    return _Reader(content).arrays()


class _Reader:
    """Parses bytes from front to back, and checks every length."""

    def __init__(self, content: memoryview):
        self._content = content
        self._offset = 0
        self._zeros = 0

    def arrays(self) -> dict[str, Float32]:
        magic, _, count = self._unpack("<QQQ")
        if magic != LIST_MAGIC:
            raise self._bad(f"expected the magic number {LIST_MAGIC:#x}; got {magic:#x}")
        if count > _MAX_ARRAYS:
            raise self._bad(f"{count} arrays; a factorization machine has three")
        arrays = [self._array() for _ in range(count)]
        (name_count,) = self._unpack("<Q")
        if name_count not in (0, count):
            raise self._bad(f"{name_count} names for {count} arrays")
        names = [self._name() for _ in range(name_count)] or [str(i) for i in range(count)]
        if self._offset != len(self._content):
            raise self._bad(f"{len(self._content) - self._offset} bytes more than the list has")
        if len(set(names)) < count:
            raise self._bad(f"two arrays of the same name ({', '.join(sorted(names))})")
        return dict(zip(names, arrays, strict=True))

    def _name(self) -> str:
        (length,) = self._unpack("<Q")
        if length > _MAX_NAME:
            raise self._bad(f"a name of {length} bytes")
        return bytes(self._take(length)).decode("utf-8", errors="replace")

    def _array(self) -> Float32:
        (magic,) = self._unpack("<I")
        if magic <= _MAX_DIMENSIONS:
            return self._dense(self._unpack(f"<{magic}I"))
        if magic == _V1:
            return self._dense(self._dimensions())
        if magic not in (ARRAY_MAGIC, _NUMPY_SHAPES):
            raise self._bad(f"expected an array of MXNet; got the magic number {magic:#x}")
        (storage,) = self._unpack("<i")
        if storage == DENSE:
            shape = self._dimensions()
            scalar = magic == _NUMPY_SHAPES and not shape
            return self._values((), self._element()) if scalar else self._dense(shape)
        if storage == ROW_SPARSE:
            return self._row_sparse(self._dimensions(), self._dimensions())
        kind = "CSR" if storage == CSR else f"storage type {storage}"
        raise self._bad(f"expected a dense or row-sparse array; got {kind}")

    def _dense(self, shape: tuple[int, ...]) -> Float32:
        if not shape:
            return np.zeros(0, np.float32)  # MXNet's empty array, which ends here
        return self._values(shape, self._element())

    def _row_sparse(self, stored: tuple[int, ...], shape: tuple[int, ...]) -> Float32:
        element = self._element()
        (index_type,) = self._unpack("<i")
        (rows,) = self._dimensions()
        # MXNet may write the first shape before it has computed the array: then it has no rows.
        fits = stored[:1] in ((rows,), (0,)) and stored[1:] == shape[1:]
        if index_type not in _INDEX or not fits:
            raise self._bad(
                f"a row-sparse array of shape {shape} with stored rows {stored}, {rows} indices of "
                f"type {index_type}"
            )
        values = self._values((rows, *stored[1:]), element)
        dtype = np.dtype(_INDEX[index_type])
        index = np.frombuffer(self._take(rows * dtype.itemsize), dtype)
        if rows and not (0 <= index.min() and index.max() < shape[0]):
            wrong = index.min() if index.min() < 0 else index.max()
            raise self._bad(f"row {wrong} in an array of shape {shape}")
        self._zeros += math.prod(shape) * 4
        if self._zeros > max(_MIN_LIMIT, EXPANSION * len(self._content)):
            raise self._bad(f"an array of shape {shape}, most of it absent, in so small a file")
        array = np.zeros(shape, np.float32)
        with np.errstate(over="ignore"):  # float64 values beyond float32 become infinite
            array[index] = values
        return array

    def _dimensions(self) -> tuple[int, ...]:
        (count,) = self._unpack("<I")
        if count > _MAX_DIMENSIONS:
            raise self._bad(f"an array with {count} dimensions")
        shape = self._unpack(f"<{count}q")
        if min(shape, default=0) < 0:
            raise self._bad(f"an array of shape {shape}")
        return shape

    def _element(self) -> str:
        _, _, element = self._unpack("<iii")
        if element not in _FLOATS:
            raise self._bad(f"expected float32, float64 or float16 (0, 1, 2); got type {element}")
        return _FLOATS[element]

    def _values(self, shape: tuple[int, ...], element: str) -> Float32:
        # math.prod does not overflow, so that a huge shape cannot look like a small one.
        raw = self._take(math.prod(shape) * np.dtype(element).itemsize)
        with np.errstate(over="ignore"):
            return np.asarray(np.frombuffer(raw, element), np.float32).reshape(shape)

    def _unpack(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))

    def _take(self, count: int) -> memoryview:
        remaining = len(self._content) - self._offset
        if count > remaining:
            raise self._bad(f"{count} bytes are due and {remaining} are left")
        self._offset += count
        return self._content[self._offset - count : self._offset]

    def _bad(self, problem: str) -> ArtifactError:
        return ArtifactError(f"params, byte {self._offset}: {problem}")
