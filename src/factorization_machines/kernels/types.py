"""Argument types of the kernels: arrays, and named tuples that group them."""

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

INT = types.int64
F1 = types.float32[::1]
F2 = types.float32[:, ::1]
F3 = types.float32[:, :, ::1]
D1 = types.float64[::1]
D2 = types.float64[:, ::1]
I1 = types.int32[::1]
L1 = types.int64[::1]
UI1 = types.uint32[::1]  # unsigned indexes need no check for a negative one
UI2 = types.uint32[:, ::1]
UL1 = types.uint64[::1]
L2 = types.int64[:, ::1]


class Rows(NamedTuple):
    """Rows in canonical CSR form: row i is keys[indptr[i]:indptr[i + 1]], with the label y[i].

    `weights` (n,) are the factors of the rows' loss gradients, or (0,) if all are 1.
    """

    indptr: UInt64
    keys: UInt32
    values: Float32
    y: Float32
    weights: Float32


class StepConfig(NamedTuple):
    """Constants of a step. A clip of 0 means no clipping; `optimizer` is one of `optimizers`."""

    classifier: bool
    use_bias: bool
    use_linear: bool
    optimizer: int
    batch_size: int  # rows that empty ones fill a batch up to; 0: none
    lr: Float32  # (3,) of bias, linear, factors
    wd: Float32  # (3,)
    clip: Any  # float32, as the next two
    eps: Any
    scale: Any  # factor of the loss gradients


class Model(NamedTuple):
    """Bias and weights, and their optimizer state: see `optimizers`."""

    w0: Float32
    w: Float32
    state0: Float32  # (n,)
    state: Float32  # (d, n)


class SharedState(NamedTuple):
    """Memory that all threads share, for batches of up to B rows."""

    parts: Float32  # (2, P, B + 1) what each piece adds to a row's score, for even and odd batches
    barrier: Int64  # (8,) see `barrier.barrier_wait`


class ThreadState(NamedTuple):
    """Memory of one thread, for its pieces of the factors with q columns in total.

    Threads that divide a batch by rows and features share the arrays from v to blocks.
    """

    bounds: Int64  # first column of each of its pieces in v, and q
    piece: int  # number of its first piece
    v: Float32  # (d, q) the factors
    state: Float32  # (d, n q) optimizer state of its factors
    s: Float32  # (B, q) factor sums of each row
    z: Float32  # (B,) scores
    dz: Float32  # (B,) loss gradients
    blocks: Float64  # (B / BLOCK, BLOCK_COLUMNS) sums over blocks of rows
    sums: Float64  # (COLUMNS,) metric sums of all rows
    progress: Int64  # (2,) batches done, and whether the loss of the last one is not finite
    slot: Int32  # (d,) number of each feature in the batch; -1 between batches
    touched: UInt32  # (u + 1,) the features by number
    nonzeros: UInt32  # (nnz, 3) index and row in the batch, and the number of the feature
    g: Float32  # (u, q) sum of dz * x * s
    gw: Float32  # (u,) sum of dz * x
    c: Float32  # (u,) sum of dz * x^2


ROWS = types.NamedTuple((UL1, UI1, F1, F1, F1), Rows)
STEP_CONFIG = types.NamedTuple(
    (*3 * (types.boolean,), *2 * (types.int64,), F1, F1, *3 * (types.float32,)), StepConfig
)
MODEL = types.NamedTuple((F1, F1, F1, F2), Model)
SHARED_STATE = types.NamedTuple((F3, L1), SharedState)
THREAD_STATE = types.NamedTuple(
    (L1, types.int64, F2, F2, F2, F1, F1, D2, D1, L1, I1, UI1, UI2, F2, F1, F1), ThreadState
)
