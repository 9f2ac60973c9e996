"""Mini-batches by one thread or several, and scores: compiled, without the interpreter's lock.

With many factors, threads share a batch by pieces of them: each trains its own factors of every
feature and meets the others once a batch, to add up the rows' scores, one number a piece and row.
With fewer factors, whose pieces would share cache lines, they share it by rows (scores and
loss gradients) and then by features (parameter gradients and updates), and meet after each.
Either way the result is the same with any number of threads.
"""

import numpy as np
from numba import types

from factorization_machines.kernels.barrier import meet
from factorization_machines.kernels.jit import LEAN, kernel
from factorization_machines.kernels.losses import BLOCK
from factorization_machines.kernels.parts import (
    DIVERGED,
    add_up,
    correction,
    gather,
    index,
    linear,
    look_ahead,
    measure,
    pairs,
    scores,
    update,
    update_bias,
)
from factorization_machines.kernels.simd import LINE, estimates
from factorization_machines.kernels.types import (
    F1,
    F2,
    L1,
    L2,
    MODEL,
    OWN,
    ROWS,
    SHARED,
    TASK,
    Float32,
    Int64,
    Model,
    Own,
    Rows,
    Shared,
    Task,
)


def pieces(num_factors: int) -> Int64:
    """Return where each piece of the factors begins, (P + 1,) with num_factors at the end.

    P is a power of two, so that two or four threads have equal shares: one for less than two cache
    lines of factors, then two, and as many as there are pairs of cache lines.
    """
    lines = num_factors // LINE
    count = 1 if lines < 2 else max(2, 1 << (lines // 2).bit_length() - 1)
    bounds = np.arange(count + 1) * lines // count * LINE
    bounds[-1] = num_factors
    return bounds.astype(np.int64)


@kernel(
    types.void(ROWS, L2, TASK, MODEL, SHARED, OWN, types.int64, types.int64, types.int64), **LEAN
)
def train(
    rows: Rows,
    batches: Int64,
    task: Task,
    model: Model,
    shared: Shared,
    own: Own,
    steps: int,
    thread: int,
    threads: int,
) -> None:
    """Run mini-batches as one of several threads; ends after one whose loss is not finite.

    Args:
        rows: the data.
        batches: (m, 2) first row and end of each; empty rows fill it up to the batch size.
        task: what is done.
        model: what is trained.
        shared: of all threads; `barrier` is zero.
        own: of this thread; `sums` and `progress` are zero.
        steps: steps before this call, for Adam's bias correction.
        thread: from 0; thread 0 has the bias.
        threads: how many there are; no more than there are pieces, if these are several.
    """
    estimates()
    by_factors = shared.parts.shape[1] > 1
    owner, owners = (0, 1) if by_factors else (thread, threads)
    weights = task.use_linear and own.piece == 0
    for batch in range(batches.shape[0]):
        start, stop = batches[batch, 0], batches[batch, 1]
        rows_of_data = stop - start
        ahead = look_ahead(rows, stop)
        parts = shared.parts[batch % 2]
        count = (rows_of_data + BLOCK - 1) // BLOCK
        begin, end = count * owner // owners, count * (owner + 1) // owners
        last = min(end * BLOCK, rows_of_data)
        scores(rows, model, start, begin * BLOCK, last, parts, own, ahead)
        if own.piece == 0:
            parts[0, rows_of_data] = model.w0[0]  # for all threads: the bias is about to change
        if by_factors:
            meet(shared.barrier, threads)
        measure(rows, start, stop, begin, end, task, parts, own)
        if not by_factors:
            meet(shared.barrier, threads)
        factor = correction(task.optimizer, steps + batch + 1)
        padding = task.batch_size - rows_of_data
        gradient = add_up(task, own, count, padding, parts[0, rows_of_data])
        if thread == 0 and task.use_bias:
            update_bias(task, model, gradient, factor)
        nonzeros, touched = index(rows, start, stop, owner, owners, own, ahead)
        gather(rows, start, nonzeros, touched, own)
        update(touched, weights, task, model, own, factor)
        if not by_factors:
            meet(shared.barrier, threads)
        if own.progress[DIVERGED]:
            return


@kernel(types.void(ROWS, MODEL, F2, L1, F2, F1, types.int64, types.int64), **LEAN)
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
    """Leave the scores of the rows [start, stop) in z.

    v (d, k) has pieces that begin at `bounds`; s (1, k) is for a row's factor sums.
    """
    ahead = look_ahead(rows, stop)
    for row in range(start, stop):
        total = linear(rows, model, row, ahead)
        for n in range(bounds.size - 1):
            total += pairs(rows, v, row, bounds[n], bounds[n + 1], s, 0, ahead)
        z[row] = total
