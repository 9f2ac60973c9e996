"""Training on mini-batches with one or several threads, and scoring.

With many factors, each thread trains a piece of the factors of every feature, and the threads wait
for each other once a batch to sum the scores. With fewer factors, whose pieces would share cache
lines, threads divide a batch by rows (scores and loss gradients) and then by features (parameter
gradients and updates), and wait after both. The result is the same for any number of threads.
"""

import numpy as np
from numba import types

from factorization_machines.kernels.barrier import barrier_wait
from factorization_machines.kernels.jit import inlined_kernel
from factorization_machines.kernels.losses import BLOCK
from factorization_machines.kernels.optimizers import bias_correction
from factorization_machines.kernels.parts import (
    DIVERGED,
    accumulate_gradients,
    apply_optimizer,
    linear,
    loss_and_gradient,
    number_features,
    pairs,
    prefetch_distance,
    reduce_blocks,
    scores,
    update_bias,
)
from factorization_machines.kernels.simd import LINE, estimates
from factorization_machines.kernels.types import (
    F1,
    F2,
    INT,
    L1,
    L2,
    MODEL,
    ROWS,
    SHARED_STATE,
    STEP_CONFIG,
    THREAD_STATE,
    Float32,
    Int64,
    Model,
    Rows,
    SharedState,
    StepConfig,
    ThreadState,
)


def pieces(num_factors: int) -> Int64:
    """Return the first factor of each piece, and num_factors at the end: (P + 1,).

    P is a power of two, so that two or four threads get equal shares. It is 1 below two cache lines
    of factors, then 2, and at most one piece for each pair of cache lines.
    """
    lines = num_factors // LINE
    count = 1 if lines < 2 else max(2, 1 << (lines // 2).bit_length() - 1)
    bounds = np.arange(count + 1) * lines // count * LINE
    bounds[-1] = num_factors
    return bounds.astype(np.int64)


@inlined_kernel(types.void(ROWS, L2, STEP_CONFIG, MODEL, SHARED_STATE, THREAD_STATE, INT, INT, INT))
def train(
    rows: Rows,
    batches: Int64,
    config: StepConfig,
    model: Model,
    shared: SharedState,
    local: ThreadState,
    steps: int,
    thread: int,
    threads: int,
) -> None:
    """Train on mini-batches as one of several threads; return early if the loss is not finite.

    Args:
        rows: the data.
        batches: (m, 2) first row and end of each; empty rows fill it up to the batch size.
        config: of each step.
        model: bias and weights, which are updated.
        shared: memory of all threads; `barrier` must be zero.
        local: memory of this thread; `progress` must be zero.
        steps: steps before this call, for Adam's bias correction.
        thread: number of this thread from 0; thread 0 updates the bias.
        threads: number of threads; at most one for each piece if there are several pieces.
    """
    estimates()
    by_factors = shared.parts.shape[1] > 1
    owner, owners = (0, 1) if by_factors else (thread, threads)
    weights = config.use_linear and local.piece == 0
    for batch in range(batches.shape[0]):
        start, stop = batches[batch, 0], batches[batch, 1]
        rows_of_data = stop - start
        distance = prefetch_distance(rows, stop)
        parts = shared.parts[batch % 2]
        count = (rows_of_data + BLOCK - 1) // BLOCK
        begin, end = count * owner // owners, count * (owner + 1) // owners
        last = min(end * BLOCK, rows_of_data)
        scores(rows, model, start, begin * BLOCK, last, parts, local, distance)
        if local.piece == 0:
            parts[0, rows_of_data] = model.w0[0]  # a copy, because thread 0 updates the bias
        if by_factors:
            barrier_wait(shared.barrier, threads)
        loss_and_gradient(rows, start, stop, begin, end, config, parts, local)
        if not by_factors:
            barrier_wait(shared.barrier, threads)
        factor = bias_correction(config.optimizer, steps + batch + 1)
        padding = config.batch_size - rows_of_data
        gradient = reduce_blocks(config, local, count, padding, parts[0, rows_of_data])
        if thread == 0 and config.use_bias:
            update_bias(config, model, gradient, factor)
        nonzeros, touched = number_features(rows, start, stop, owner, owners, local, distance)
        accumulate_gradients(rows, start, nonzeros, touched, local)
        apply_optimizer(touched, weights, config, model, local, factor)
        if not by_factors:
            barrier_wait(shared.barrier, threads)
        if local.progress[DIVERGED]:
            return


@inlined_kernel(types.void(ROWS, MODEL, F2, L1, F2, F1, INT, INT))
def score(
    rows: Rows,
    model: Model,
    v: Float32,
    bounds: Int64,
    s: Float32,
    z: Float32,
    start: int,
    stop: int,
) -> None:
    """Write the scores of the rows [start, stop) to `z`.

    `bounds` are the pieces of v (d, k); s (1, k) is scratch memory.
    """
    distance = prefetch_distance(rows, stop)
    for row in range(start, stop):
        total = linear(rows, model, row, distance)
        for n in range(bounds.size - 1):
            total += pairs(rows, v, row, bounds[n], bounds[n + 1], s, 0, distance)
        z[row] = total
