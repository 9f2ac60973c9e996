"""The rows of a request, in plain numpy: which decoders return and the predictor takes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Instances:
    """Sparse rows: row i has values[indptr[i]:indptr[i + 1]] at the keys of the same places.

    Shapes: `indptr` (n + 1,) int64, `keys` (nnz,) int64 below feature_dim, `values` (nnz,) finite
    float32. A row has no key twice; its keys are in any order, and a value may be zero.

    Not scipy's class: its import alone takes a third of the time in which `serve` starts.
    """

    indptr: Int64
    keys: Int64
    values: Float32

    def __len__(self) -> int:
        return self.indptr.size - 1

    def row(self, index: int) -> tuple[Int64, Float32]:
        """Return keys and values of one row."""
        part = slice(int(self.indptr[index]), int(self.indptr[index + 1]))
        return self.keys[part], self.values[part]


def stack(sizes: Iterable[int], keys: Int64, values: Float32) -> Instances:
    """Return rows of the given sizes; a repeated key in a row stands for the sum of its values."""
    return summed(Instances(np.fromiter(chain((0,), sizes), np.int64).cumsum(), keys, values))


def concatenate(parts: Sequence[Instances]) -> Instances:
    """Return the rows of all parts."""
    sizes = np.concatenate([np.diff(part.indptr) for part in parts])
    keys = np.concatenate([part.keys for part in parts])
    values = np.concatenate([part.values for part in parts])
    return Instances(np.append(0, sizes.cumsum()), keys, values)


def summed(rows: Instances) -> Instances:
    """Return the rows with each key once in a row, and the sum of its values."""
    return rows if _ascending(rows) else _merged(rows)


def _ascending(rows: Instances) -> bool:
    """Return whether the keys of each row ascend, so that none is there twice."""
    if rows.keys.size < 2:
        return True
    falls = rows.keys[1:] <= rows.keys[:-1]
    if not falls.any():
        return True
    starts = rows.indptr[1:-1]  # from one row to the next they may fall
    falls[starts[(starts > 0) & (starts < rows.keys.size)] - 1] = False
    return not falls.any()


def _merged(rows: Instances) -> Instances:
    row = np.repeat(np.arange(len(rows)), np.diff(rows.indptr))
    order = np.lexsort((rows.keys, row))
    row, keys, values = row[order], rows.keys[order], rows.values[order]
    first = np.ones(keys.size, bool)
    first[1:] = (keys[1:] != keys[:-1]) | (row[1:] != row[:-1])
    starts = np.flatnonzero(first)
    with np.errstate(over="ignore"):  # a sum beyond float32 makes a score that is refused
        sums = np.add.reduceat(values, starts)
    indptr = np.searchsorted(row[starts], np.arange(len(rows) + 1))
    return Instances(indptr.astype(np.int64), keys[starts], sums)
