"""What the compiled steps work on, in groups that one argument carries."""

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
UInt32 = NDArray[np.uint32]
UInt64 = NDArray[np.uint64]
Float64 = NDArray[np.float64]

F1 = types.float32[::1]
F2 = types.float32[:, ::1]
F3 = types.float32[:, :, ::1]
D1 = types.float64[::1]
D2 = types.float64[:, ::1]
I1 = types.int32[::1]
L1 = types.int64[::1]
UI1 = types.uint32[::1]  # unsigned: an index that cannot be from the end is one step less
UI2 = types.uint32[:, ::1]
UL1 = types.uint64[::1]
L2 = types.int64[:, ::1]


class Rows(NamedTuple):
    """Rows in canonical CSR form: row i is keys[indptr[i]:indptr[i + 1]], with the label y[i]."""

    indptr: UInt64
    keys: UInt32
    values: Float32
    y: Float32


class Task(NamedTuple):
    """What is done at each step. A clip of 0 is none; `optimizer` is of `updates`."""

    classifier: bool
    use_bias: bool
    use_linear: bool
    optimizer: int
    batch_size: int  # rows of a batch, with the empty ones that fill it up
    lr: Float32  # (3,) of bias, linear, factors
    wd: Float32  # (3,)
    clip: Any  # float32, as the next two
    eps: Any
    scale: Any  # of the loss gradients


class Model(NamedTuple):
    """Bias and weights, and the optimiser's state of them: see `updates`."""

    w0: Float32
    w: Float32
    state0: Float32  # (2,)
    state: Float32  # (d, n)


class Shared(NamedTuple):
    """What the threads of a batch of up to B rows share."""

    parts: Float32  # (2, P, B + 1) what each piece adds to a row's score; batches take turns
    barrier: Int64  # (8,) see `threads.meet`


class Own(NamedTuple):
    """What one thread works in, on its pieces of the factors, of the width q together.

    Threads that share a batch by rows and features have the arrays v to blocks in common.
    """

    bounds: Int64  # where each of its pieces begins in v, and q
    piece: int  # the number of its first one
    v: Float32  # (d, q) the factors
    state: Float32  # (d, n q) the optimiser's, of its factors
    s: Float32  # (B, q) factor sums of each row
    z: Float32  # (B,) scores
    dz: Float32  # (B,) loss gradients
    blocks: Float64  # (B / BLOCK, BLOCK_COLUMNS) sums over blocks of rows
    sums: Float64  # (COLUMNS,) of all rows, as in metrics.py
    progress: Int64  # (2,) batches done, and whether the last one's loss is not finite
    slot: Int32  # (d,) where a touched feature's gradient is; -1 between batches
    touched: UInt32  # (u + 1,) the features
    nonzeros: UInt32  # (nnz, 3) number and row in the batch, and where its feature's gradient is
    g: Float32  # (u, q) sum of dz * x * s
    gw: Float32  # (u,) sum of dz * x
    c: Float32  # (u,) sum of dz * x^2


ROWS = types.NamedTuple((UL1, UI1, F1, F1), Rows)
TASK = types.NamedTuple(
    (*3 * (types.boolean,), *2 * (types.int64,), F1, F1, *3 * (types.float32,)), Task
)
MODEL = types.NamedTuple((F1, F1, F1, F2), Model)
SHARED = types.NamedTuple((F3, L1), Shared)
OWN = types.NamedTuple(
    (L1, types.int64, F2, F2, F2, F1, F1, D2, D1, L1, I1, UI1, UI2, F2, F1, F1), Own
)
