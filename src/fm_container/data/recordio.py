"""RecordIO-protobuf files to labelled sparse rows, with errors that say where and what."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fm_container.data import frames
from fm_container.data.wire import BYTES_VALUE, CUT_MESSAGE, OK, Float32
from fm_container.errors import DataError, PlatformError


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
    """Appends the records of one source after the other to one set of arrays."""

    def __init__(self, feature_dim: int, *, labelled: bool = True):
        self.feature_dim = feature_dim
        self.labelled = labelled
        self._values: Float32 = np.empty(0, np.float32)
        self._keys: NDArray[np.int32] = np.empty(0, np.int32)
        self._indptr: NDArray[np.int64] = np.zeros(1, np.int64)
        self._labels: Float32 = np.empty(0, np.float32)
        self._state: NDArray[np.int64] = np.zeros(5, np.int64)
        self._state[frames.SORTED] = 1

    def __len__(self) -> int:
        return int(self._state[frames.ROWS])

    def feed(self, data: NDArray[np.uint8], source: str) -> None:
        """Append the framed records in `data`, (n,) uint8; `source` names it in errors.

        Cost: one pass; memory for the rows, and as much again for the largest record.

        Raises: DataError for the first record that is malformed or does not fit feature_dim, with
            its number in this source (the first is 1) and its byte offset.
        """
        before = len(self)
        self._state[frames.POSITION] = 0
        self._reserve(int(data.size) // 8, int(data.size) // 40)
        while True:
            code = frames.parse(
                data,
                self.feature_dim,
                self.labelled,
                self._values,
                self._keys,
                self._indptr,
                self._labels,
                self._state,
            )
            if code == OK:
                return
            if code != frames.NEED_SPACE:
                raise DataError(self._explain(int(code), data, source, before))
            self._reserve(
                len(self._keys) // 2 + int(self._state[frames.DETAIL]), len(self) // 2 + 64
            )

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
        shape = (n, self.feature_dim)
        x: Any = csr_array((self._values, self._keys, self._indptr), shape=shape)
        if not self._state[frames.SORTED]:
            # A repeated key stands for the sum of its values, as everywhere in sparse algebra.
            x.sum_duplicates()
            x.eliminate_zeros()
        return Rows(x, self._labels)

    def _reserve(self, nnz: int, rows: int) -> None:
        """Make room for so many more non-zeros and rows."""
        used, n = int(self._state[frames.NNZ]), len(self)
        try:
            if used + nnz > self._keys.size:
                # In place: pages that are never written cost no memory.
                self._values.resize(used + nnz, refcheck=False)
                self._keys.resize(used + nnz, refcheck=False)
            if n + rows > self._labels.size:
                self._indptr.resize(n + rows + 1, refcheck=False)
                self._labels.resize(n + rows, refcheck=False)
        except MemoryError:
            raise PlatformError(
                f"not enough memory for the records: {used + nnz} non-zeros in {n + rows} rows"
            ) from None

    def _explain(self, code: int, data: NDArray[np.uint8], source: str, before: int) -> str:
        at = int(self._state[frames.POSITION])
        where = f"{source}: record {len(self) - before + 1} at byte {at}"
        return f"{where}: {self._reason(code, data, at)}"

    def _reason(self, code: int, data: NDArray[np.uint8], at: int) -> str:
        detail, dim = int(self._state[frames.DETAIL]), self.feature_dim
        head = bytes(data[at : at + 16])
        left = int(data.size) - at
        reasons = {
            frames.BAD_MAGIC: f"expected a RecordIO header, 0a 23 d7 ce; got {head[:4].hex(' ')}"
            + (_what_else(head) if at == 0 else ""),
            frames.CUT_FRAME: f"the data ends inside the record: only {left} bytes are left"
            + (_what_else(head) if at == 0 else ""),
            CUT_MESSAGE: "the content is not an aialgs.data.Record protobuf message",
            frames.BAD_PART: "the parts of a split record are missing or out of order",
            frames.NO_FEATURES: "no features: the map 'features' has no key 'values'",
            frames.NO_LABEL: "no label: the map 'label' has no key 'values'",
            frames.LABEL_SIZE: f"the label must be one number; got {detail} numbers",
            frames.KEY_COUNT: f"a sparse row needs as many keys as values; got {detail} keys",
            frames.KEY_RANGE: f"key {detail} is not below feature_dim {dim}",
            frames.DENSE_SIZE: f"a dense row must have feature_dim {dim} values; got {detail}",
            frames.NOT_FINITE: f"the value of feature {detail} is not a finite float32",
            frames.LABEL_NOT_FINITE: "the label is not a finite float32",
            BYTES_VALUE: "a Value of type bytes cannot be read; send float32_tensor",
            frames.SHAPE: f"keys and values do not fit the record's own shape, {detail}",
        }
        return reasons[code]


def _what_else(head: bytes) -> str:
    """Return what data that is no RecordIO seems to be, as the end of a sentence."""
    if head.startswith(b"\x1f\x8b"):
        return ": this is gzip; upload the records uncompressed"
    if head and all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head):
        return ": this is text (CSV?); write it with write_spmatrix_to_sparse_tensor"
    return ""


def read(files: Iterable[Path], feature_dim: int, root: Path, *, labelled: bool = True) -> Rows:
    """Return the rows of all files, in the given order; errors name a file relative to `root`.

    Cost: the files are mapped, not loaded; memory for the CSR arrays only.

    Raises: DataError as `Decoder.feed` does; PlatformError if a file cannot be read.
    """
    decoder = Decoder(feature_dim, labelled=labelled)
    for path in files:
        try:
            data = np.memmap(path, np.uint8, mode="r")
        except OSError as error:
            raise PlatformError(f"{path} cannot be read: {error.strerror}") from error
        decoder.feed(data, path.relative_to(root).as_posix())
    return decoder.rows()
