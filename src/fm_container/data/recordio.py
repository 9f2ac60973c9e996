"""RecordIO-protobuf files to labelled sparse rows, with errors that say where and what."""

import functools
import mmap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fm_container.data import frames, reasons
from fm_container.data.wire import Float32
from fm_container.errors import DataError, PlatformError

_STRIDE = 1 << 24  # bytes between two calls of `release`


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


class Decoder:
    """Appends the records of one source after the other to one set of arrays.

    `size` is the number of bytes that will be fed, where that is known: the arrays get room for
    what the SDK writes in so many, and grow only for denser encodings.
    """

    def __init__(self, feature_dim: int, *, labelled: bool = True, size: int = 0):
        self.feature_dim = feature_dim
        self.labelled = labelled
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
        self._state: NDArray[np.int64] = np.zeros(5, np.int64)
        self._state[frames.SORTED] = 1

    def __len__(self) -> int:
        return int(self._state[frames.ROWS])

    def feed(
        self,
        data: NDArray[np.uint8],
        source: str,
        release: Callable[[int], object] = lambda size: None,
    ) -> None:
        """Append the framed records in `data`, (n,) uint8; `source` names it in errors.

        Now and then `release` gets the number of leading bytes that are done with.

        Cost: one pass; memory for the rows, and four times that of the largest record.

        Raises: DataError for the first record that is malformed or does not fit feature_dim, with
            its number in this source (the first is 1) and its byte offset.
        """
        before = len(self)
        self._state[frames.POSITION] = 0
        while (at := int(self._state[frames.POSITION])) < data.size:
            code = frames.parse(
                data,
                min(at + _STRIDE, data.size),
                self.feature_dim,
                self.labelled,
                self._values,
                self._keys,
                self._indptr,
                self._labels,
                self._state,
            )
            if code == reasons.NEED_SPACE:
                self._grow(int(data.size) - int(self._state[frames.POSITION]))
            elif code != reasons.OK:
                raise DataError(self._explain(int(code), data, source, before))
            release(int(self._state[frames.POSITION]))

    def rows(self) -> Rows:
        """Return all rows so far, and give the arrays away: the decoder is done with."""
        n, nnz = len(self), int(self._state[frames.NNZ])
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
        if not self._state[frames.SORTED]:
            # A repeated key stands for the sum of its values, as everywhere in sparse algebra.
            x.sum_duplicates()
            x.eliminate_zeros()
        return Rows(x, self._labels)

    def _grow(self, left: int) -> None:
        """Make room for the next record, and for more of those in the `left` bytes of a source."""
        room, most = self._keys.size, int(self._state[frames.DETAIL])
        nnz = room + most + max(left // 5, room // 8)
        rows = self._labels.size + 64 + max(left // 64, self._labels.size // 8)
        try:
            # In place, for what fell short alone: the new part is written with zeros.
            if int(self._state[frames.NNZ]) + most > room:
                self._values.resize(nnz, refcheck=False)
                self._keys.resize(nnz, refcheck=False)
            if len(self) + 1 >= self._indptr.size:
                self._indptr.resize(rows + 1, refcheck=False)
                self._labels.resize(rows, refcheck=False)
        except MemoryError:
            raise _no_memory(nnz, rows) from None

    def _explain(self, code: int, data: NDArray[np.uint8], source: str, before: int) -> str:
        at = int(self._state[frames.POSITION])
        where = f"{source}: record {len(self) - before + 1} at byte {at}"
        return f"{where}: {self._reason(code, data, at)}"

    def _reason(self, code: int, data: NDArray[np.uint8], at: int) -> str:
        detail, dim = int(self._state[frames.DETAIL]), self.feature_dim
        head = bytes(data[at : at + 16])
        left = int(data.size) - at
        if code == reasons.BAD_MAGIC:
            return reasons.bad_magic(head, at)
        if code == reasons.CUT_FRAME:
            return reasons.cut_frame(head, at, left)
        return reasons.explain(code, detail, dim)


def _no_memory(nnz: int, rows: int) -> PlatformError:
    return PlatformError(f"not enough memory for the records: {nnz} non-zeros in {rows} rows")


def read(files: Sequence[Path], feature_dim: int, root: Path, *, labelled: bool = True) -> Rows:
    """Return the rows of all files, in the given order; errors name a file relative to `root`.

    Cost: the files are mapped, not loaded; memory for the CSR arrays only.

    Raises: DataError as `Decoder.feed` does; PlatformError if a file cannot be read.
    """
    path = root
    try:
        total = 0
        for path in files:
            total += path.stat().st_size
        decoder = Decoder(feature_dim, labelled=labelled, size=total)
        for path in files:
            _feed(decoder, path, path.relative_to(root).as_posix())
    except OSError as error:
        raise PlatformError(f"{path} cannot be read: {error.strerror}") from error
    return decoder.rows()


def _feed(decoder: Decoder, path: Path, name: str) -> None:
    with path.open("rb") as file:
        if not path.stat().st_size:
            return  # nothing can be mapped, and there is no record
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    # Mapped pages count as memory of this process until they are let go.
    release = functools.partial(mapped.madvise, mmap.MADV_DONTNEED, 0)
    decoder.feed(np.frombuffer(mapped, np.uint8), name, release)
