"""Mini-batches over rows that come in pieces: the same ones as over all rows at once."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from factorization_machines.errors import PlatformError
from factorization_machines.parameters import Float32

Batches = NDArray[np.int64]


class Piece(Protocol):
    """Some rows of the data: `x` (n, d) float32 in canonical CSR form, `y` (n,) float32."""

    @property
    def x(self) -> csr_array:
        """Return the features."""

    @property
    def y(self) -> Float32:
        """Return the labels."""


@dataclass(frozen=True)
class Block:
    """Rows, and the mini-batches over them, (m, 2) first row and end in this block."""

    x: csr_array
    y: Float32
    batches: Batches


def batches(rows: int, size: int) -> Batches:
    """Return first row and end of each mini-batch of an epoch, (m, 2).

    The last batch has the rows that are left; the engines fill it up with empty rows.
    """
    starts = np.arange(0, rows, size)
    return np.stack([starts, np.minimum(starts + size, rows)], axis=1)


def reordered(whole: Batches, seed: int, epoch: int) -> Batches:
    """Return an epoch's mini-batches in an order of its own; the same for the same seed and epoch.

    An epoch that is gone on with, or that several hosts share, has to draw it again.
    """
    order: Batches = whole[np.random.default_rng([seed, epoch]).permutation(len(whole))]
    return order


def blocks(pieces: Iterable[Piece], size: int, *, most: float = np.inf) -> Iterator[Block]:
    """Yield the mini-batches of one pass, as `batches` has them, with the rows that they are of.

    A block has the rows of one piece, and those of the pieces before that no batch has had: less
    than `size` rows.

    Args:
        pieces: the rows in their order; each can go when the next is asked for.
        size: rows of a batch.
        most: bytes that may wait for a batch to be whole.

    Raises: PlatformError if `size` rows take more than that.
    """
    waiting: list[Piece] = []
    count = 0  # rows that wait
    for piece in pieces:
        waiting.append(piece)
        count += piece.y.size
        whole = count // size * size
        if not whole:
            if (waits := sum(map(_bytes, waiting))) > most:
                raise PlatformError(
                    f"not enough memory for mini_batch_size {size}: {count} rows take "
                    f"{waits / 1e6:.0f} MB and there are {most / 1e6:.0f} MB; "
                    f"up to {int(count * most / waits)} rows would fit"
                )
            continue
        block = _join(waiting, batches(whole, size))
        yield block
        waiting = [Block(block.x[whole:], block.y[whole:], block.batches)] if whole < count else []
        count -= whole
    if count:
        yield _join(waiting, batches(count, size))


def _join(pieces: list[Piece], plan: Batches) -> Block:
    """Return pieces as a block with these batches."""
    if len(pieces) == 1:
        return Block(pieces[0].x, pieces[0].y, plan)
    ends = np.cumsum([piece.x.indptr[-1] for piece in pieces], dtype=np.int64)
    pointers = [pieces[0].x.indptr.astype(np.int64)]
    for piece, offset in zip(pieces[1:], ends, strict=False):
        pointers.append(piece.x.indptr[1:] + offset)
    indptr: Any = np.concatenate(pointers)
    if ends[-1] <= np.iinfo(np.int32).max:  # one type for both, or scipy copies the keys
        indptr = indptr.astype(np.int32)
    values = np.concatenate([piece.x.data for piece in pieces])
    keys = np.concatenate([piece.x.indices for piece in pieces])
    x = csr_array((values, keys, indptr), shape=(indptr.size - 1, pieces[0].x.shape[1]))
    return Block(x, np.concatenate([piece.y for piece in pieces]), plan)


def _bytes(piece: Piece) -> int:
    x = piece.x
    return int(x.data.nbytes + x.indices.nbytes + x.indptr.nbytes + piece.y.nbytes)
