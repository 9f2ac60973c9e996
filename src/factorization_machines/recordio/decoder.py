"""Decodes RecordIO-protobuf to labelled sparse rows; errors name record, byte and reason."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from factorization_machines.errors import DataError, PlatformError
from factorization_machines.instances import Float32
from factorization_machines.recordio import compiled, decode_errors, record
from factorization_machines.recordio.layout import HEADER_SIZE, MAGIC_BYTES

# Bytes read at once; a larger record gets a larger buffer. A multiple of four, as the size of each
# record is: a record is never in the buffer without its padding, which only the last may lack.
BUFFER = 1 << 23


class Stream(Protocol):
    """A binary stream, such as `io.RawIOBase`."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Read bytes into a buffer; return their number, 0 at the end."""


@dataclass(frozen=True)
class Rows:
    """Labelled rows: `x` (n, feature_dim) float32 in canonical CSR form, `y` (n,) float32.

    Canonical: the keys of a row ascend, without repeats or explicit zeros. A label that a record
    does not have is NaN.
    """

    x: csr_array
    y: Float32

    def __len__(self) -> int:
        return int(self.y.size)

    @property
    def nbytes(self) -> int:
        """Return the size of the rows in memory, with the overhead of each row."""
        return _bytes(self.x.nnz, len(self))


class Decoder:
    """Appends the records of one source after the other to one set of arrays.

    `size` is the number of bytes that will be fed, where that is known: the arrays get room for
    what the SDK writes in so many, and grow only for denser encodings. `first` is the number of
    records whose bytes `bytes_of_first` counts.
    """

    def __init__(self, feature_dim: int, *, labelled: bool = True, size: int = 0, first: int = 0):
        self.feature_dim = feature_dim
        self._label = record.REQUIRED if labelled else record.OPTIONAL
        # Of the source that is read: records and bytes before those of the arrays and the buffer.
        self._records = self._offset = 0
        self._first = first  # of those records, how many are to come
        self.bytes_of_first = self.bytes_read = 0
        """Bytes of the first records, and of all so far, with their record."""
        self._allocate(size)

    def _allocate(self, size: int) -> None:
        nnz, rows = size // 4, size // 40
        try:
            # Never written pages cost no memory.
            self._values: Float32 = np.empty(nnz, np.float32)
            self._keys: NDArray[np.int32] = np.empty(nnz, np.int32)
            self._indptr: NDArray[np.int64] = np.empty(rows + 1, np.int64)
            self._labels: Float32 = np.empty(rows, np.float32)
        except MemoryError:
            raise _no_memory(nnz, rows) from None
        self._indptr[0] = 0
        self._state: NDArray[np.int64] = np.array(record.NEW_STATE)

    def __len__(self) -> int:
        return int(self._state[record.ROWS])

    @property
    def nbytes(self) -> int:
        """Return the size of the rows so far, in memory."""
        return _bytes(int(self._state[record.NNZ]), len(self))

    def feed(self, data: NDArray[np.uint8], source: str) -> None:
        """Append the framed records in `data`, (n,) uint8; `source` names it in errors.

        Cost: one pass; memory for the rows, and four times that of the largest record.

        Raises: DataError for the first record that is malformed or does not fit feature_dim, with
            its number in this source (the first is 1) and its byte offset.
        """
        self._records, self._offset = -len(self), 0
        self._append(data, source, whole=True)

    def read(self, stream: Stream, source: str) -> Iterator[None]:
        """Append the framed records of a stream, a buffer at a time; yield after each.

        Raises: DataError as `feed` does; what the stream raises.
        """
        self._records, self._offset = -len(self), 0
        buffer = np.empty(BUFFER, np.uint8)
        filled, ended = 0, False
        while not ended:
            while filled < buffer.size and not ended:
                got = stream.readinto(buffer.data[filled:]) or 0
                filled, ended = filled + got, not got
            used = self._append(buffer[:filled], source, whole=ended)
            if used:
                yield
            filled -= used
            if used:
                buffer[:filled] = buffer[used : used + filled]
            elif filled == buffer.size:
                grown = np.empty(2 * buffer.size, np.uint8)
                grown[:filled] = buffer
                buffer = grown

    def take(self) -> Rows:
        """Return the rows since the last call, and continue with the next record."""
        self._records += len(self)
        rows = self.rows()
        self._allocate(BUFFER)
        return rows

    def _append(self, data: NDArray[np.uint8], source: str, *, whole: bool) -> int:
        """Append the records in `data`; return its bytes, less a cut last record if not `whole`."""
        self._state[record.POSITION] = 0
        while int(self._state[record.POSITION]) < data.size:
            rows = record.Rows(self._values, self._keys, self._indptr, self._labels, self._state)
            code = compiled.parse(data, self.feature_dim, self._label, rows)
            if code == decode_errors.NEED_SPACE:
                self._grow(int(data.size) - int(self._state[record.POSITION]))
            elif code == decode_errors.CUT_FRAME and not whole:
                break
            elif code != decode_errors.OK:
                raise DataError(self._explain(int(code), data, source))
        used = int(self._state[record.POSITION])
        if self._first and used:
            self._first, end = map(int, compiled.skip(data[:used], self._first))
            self.bytes_of_first += end
        self._offset += used
        self.bytes_read += used
        return used

    def rows(self) -> Rows:
        """Return all rows so far, with the decoder's arrays: it must not be used afterwards."""
        n, nnz = len(self), int(self._state[record.NNZ])
        for array, size in (
            (self._values, nnz),
            (self._keys, nnz),
            (self._indptr, n + 1),
            (self._labels, n),
        ):
            array.resize(size, refcheck=False)
        # scipy gives keys and row pointers one type: with int64 pointers it would copy the keys.
        narrow = nnz <= np.iinfo(np.int32).max
        indptr: Any = self._indptr.astype(np.int32) if narrow else self._indptr
        x: Any = csr_array((self._values, self._keys, indptr), shape=(n, self.feature_dim))
        if not self._state[record.SORTED]:
            # The values of a repeated key are added, as SciPy does.
            x.sum_duplicates()
            x.eliminate_zeros()
        return Rows(x, self._labels)

    def _grow(self, left: int) -> None:
        """Make room for the next record, and for more of those in the `left` bytes of a source."""
        room, most = self._keys.size, int(self._state[record.DETAIL])
        nnz = room + most + max(left // 5, room // 8)
        rows = self._labels.size + 64 + max(left // 64, self._labels.size // 8)
        try:
            # In place, and only the arrays that are full: the new part is filled with zeros.
            if int(self._state[record.NNZ]) + most > room:
                self._values.resize(nnz, refcheck=False)
                self._keys.resize(nnz, refcheck=False)
            if len(self) + 1 >= self._indptr.size:
                self._indptr.resize(rows + 1, refcheck=False)
                self._labels.resize(rows, refcheck=False)
        except MemoryError:
            raise _no_memory(nnz, rows) from None

    def _explain(self, code: int, data: NDArray[np.uint8], source: str) -> str:
        at = int(self._state[record.POSITION])
        where = f"{source}: record {self._records + len(self) + 1} at byte {self._offset + at}"
        return f"{where}: {self._reason(code, data, at)}"

    def _reason(self, code: int, data: NDArray[np.uint8], at: int) -> str:
        detail, dim = int(self._state[record.DETAIL]), self.feature_dim
        head = bytes(data[at : at + 16])
        left = int(data.size) - at
        reason = decode_errors.explain(code, detail, dim, head, left, self._offset + at)
        nested = code in _OF_CONTENT and head[HEADER_SIZE:].startswith(MAGIC_BYTES)
        return reason + (_NESTED if nested else "")


_OF_CONTENT = (decode_errors.CUT_MESSAGE, decode_errors.NO_FEATURES, decode_errors.NO_LABEL)
_NESTED = ": it is RecordIO itself, which RecordWrapperType 'RecordIO' is not for: leave that out"


def _bytes(nnz: int, rows: int) -> int:
    return 8 * nnz + 20 * rows


def _no_memory(nnz: int, rows: int) -> PlatformError:
    return PlatformError(f"not enough memory for the records: {nnz} non-zeros in {rows} rows")


def read(files: Sequence[Path], feature_dim: int, root: Path, *, labelled: bool = True) -> Rows:
    """Return the rows of all files, in the given order; errors name a file relative to `root`.

    Cost: memory for the CSR arrays, and a buffer.

    Raises: DataError as `Decoder.feed` does; PlatformError if a file cannot be read.
    """
    path = root
    try:
        total = 0
        for path in files:
            total += path.stat().st_size
        decoder = Decoder(feature_dim, labelled=labelled, size=total)
        for path in files:
            with path.open("rb", buffering=0) as file:
                for _ in decoder.read(file, path.relative_to(root).as_posix()):
                    pass
    except OSError as error:
        raise PlatformError(f"{path} cannot be read: {error.strerror}") from error
    return decoder.rows()
