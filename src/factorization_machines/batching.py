"""Mini-batches over rows that arrive in chunks; the same batches as over all rows at once."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from factorization_machines.errors import PlatformError
from factorization_machines.parameters import Float32

Bounds = NDArray[np.int64]
"""First row and end of each mini-batch, (m, 2)."""


class Chunk(Protocol):
    """Consecutive rows: `x` (n, d) float32 in canonical CSR form, `y` (n,) float32."""

    @property
    def x(self) -> csr_array:
        """Return the features."""

    @property
    def y(self) -> Float32:
        """Return the labels."""


@dataclass(frozen=True)
class BatchedChunk:
    """A chunk of rows, and the bounds of its mini-batches."""

    x: csr_array
    y: Float32
    bounds: Bounds


def batch_bounds(rows: int, batch_size: int) -> Bounds:
    """Return the bounds of the mini-batches of an epoch.

    The last batch has the remaining rows; the engines fill it up with empty rows.
    """
    starts = np.arange(0, rows, batch_size)
    return np.stack([starts, np.minimum(starts + batch_size, rows)], axis=1)


def shuffled_bounds(bounds: Bounds, seed: int, epoch: int) -> Bounds:
    """Return mini-batches in an order that depends only on the seed and the epoch.

    A resumed epoch, and each of several hosts, draws the same order again.
    """
    order: Bounds = bounds[np.random.default_rng([seed, epoch]).permutation(len(bounds))]
    return order


def batched(
    chunks: Iterable[Chunk], batch_size: int, *, max_bytes: float = np.inf
) -> Iterator[BatchedChunk]:
    """Yield the mini-batches of one pass over the rows of `chunks`, in their order.

    Rows that do not fill a batch are carried over to the next chunk: fewer than `batch_size` rows.

    Args:
        chunks: the rows in their order; each chunk is released before the next one is requested.
        batch_size: rows of a batch.
        max_bytes: memory for rows that wait for their batch to be complete.

    Raises: PlatformError if the rows of a batch need more than `max_bytes`.
    """
    pending: list[Chunk] = []
    count = 0  # pending rows
    for chunk in chunks:
        pending.append(chunk)
        count += chunk.y.size
        complete = count // batch_size * batch_size
        if not complete:
            if (size := sum(map(_nbytes, pending))) > max_bytes:
                raise PlatformError(
                    f"not enough memory for mini_batch_size {batch_size}: {count} rows take "
                    f"{size / 1e6:.0f} MB and there are {max_bytes / 1e6:.0f} MB; "
                    f"up to {int(count * max_bytes / size)} rows would fit"
                )
            continue
        joined = _join(pending, batch_bounds(complete, batch_size))
        yield joined
        pending = []
        if complete < count:
            pending.append(BatchedChunk(joined.x[complete:], joined.y[complete:], joined.bounds))
        count -= complete
    if count:
        yield _join(pending, batch_bounds(count, batch_size))


def _join(chunks: list[Chunk], bounds: Bounds) -> BatchedChunk:
    """Return the rows of several chunks as one chunk."""
    if len(chunks) == 1:
        return BatchedChunk(chunks[0].x, chunks[0].y, bounds)
    ends = np.cumsum([chunk.x.indptr[-1] for chunk in chunks], dtype=np.int64)
    pointers = [chunks[0].x.indptr.astype(np.int64)]
    for chunk, offset in zip(chunks[1:], ends, strict=False):
        pointers.append(chunk.x.indptr[1:] + offset)
    indptr: Any = np.concatenate(pointers)
    if ends[-1] <= np.iinfo(np.int32).max:  # scipy copies the keys if the two types differ
        indptr = indptr.astype(np.int32)
    values = np.concatenate([chunk.x.data for chunk in chunks])
    keys = np.concatenate([chunk.x.indices for chunk in chunks])
    x = csr_array((values, keys, indptr), shape=(indptr.size - 1, chunks[0].x.shape[1]))
    return BatchedChunk(x, np.concatenate([chunk.y for chunk in chunks]), bounds)


def _nbytes(chunk: Chunk) -> int:
    x = chunk.x
    return int(x.data.nbytes + x.indices.nbytes + x.indptr.nbytes + chunk.y.nbytes)
