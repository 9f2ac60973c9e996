"""Mini-batch steps over CSR rows as compiled loops: forward, gradient and update in one pass.

Threads share a batch in two phases, with a barrier after each: first by rows (scores and loss
gradients), then by features (parameter gradients and updates). Every sum has one order, by row, by
block of rows or by non-zero, that does not depend on the number of threads: one seed gives one
result.
"""

import math
from typing import Any

import numpy as np
from numba import types

from fm_container.algorithm.kernel_types import (
    D1,
    F1,
    L2,
    MODEL,
    OWN,
    ROWS,
    SHARED,
    TASK,
    Float32,
    Float64,
    Int64,
    Model,
    Own,
    Rows,
    Shared,
    Task,
)
from fm_container.algorithm.metrics import (
    ABSOLUTE,
    COLUMNS,
    CORRECT,
    LOSS,
    POSITIVE,
    PREDICTED,
    SQUARE,
    TRUE_POSITIVE,
)
from fm_container.algorithm.memory import LINE, prefetch
from fm_container.algorithm.threads import meet
from fm_container.algorithm.updates import ADAM, update_factors, update_one
from fm_container.jit import LEAN, REASSOCIATE, kernel

AHEAD = 32
BLOCK = 64  # rows that one sum is over; a product of as many factors up to 2 is within float64
OWNED = 16  # neighbouring features of one thread: their weights share a cache line
BIAS, LINEAR, FACTORS = range(3)

# A block's sums: the columns of metrics.py, then the loss gradient.
GRADIENT = COLUMNS
BLOCK_COLUMNS = COLUMNS + 1

DONE, DIVERGED = range(2)  # slots of Shared.progress

Int = Any


@kernel(types.float32(ROWS, MODEL, types.int64, F1), fastmath=REASSOCIATE, **LEAN)
def row_score(rows: Rows, model: Model, row: Int, s: Float32) -> Any:
    """Return the score of a row, and leave its factor sums in s (k,)."""
    keys, values, w, v = rows.keys, rows.values, model.w, model.v
    k = v.shape[1]
    begin, end = rows.indptr[row], rows.indptr[row + 1]
    linear = np.float32(0)
    pairs = np.float32(0)
    for f in range(k):
        s[f] = 0
    for p in range(begin, end):
        if p + AHEAD < keys.size:
            ahead = keys[p + AHEAD]
            prefetch(w, ahead)
            for f in range(0, k, LINE):
                prefetch(v, ahead * k + f)
        j, x = keys[p], values[p]
        linear += x * w[j]
        factors = v[j]
        for f in range(k):
            part = x * factors[f]
            pairs += part * s[f]
            s[f] += part
    return model.w0[0] + linear + pairs


@kernel(
    types.void(F1, F1, types.int64, types.int64, types.int64, types.float32, types.boolean, F1, D1),
    **LEAN,
)
def block_loss(
    z: Float32,
    y: Float32,
    begin: Int,
    end: Int,
    start: Int,
    scale: Any,
    classifier: bool,
    dz: Float32,
    out: Float64,
) -> None:
    """Leave the loss gradients of the rows [begin, end) of a batch in `dz`, their sums in `out`.

    Row i of the batch has the label y[start + i]. There are BLOCK rows at the most.
    """
    out[:] = 0
    product = 1.0
    for i in range(begin, end):
        label = y[start + i]
        if classifier:
            # exp of a number that is not positive cannot overflow.
            small = np.exp(-abs(z[i]))
            score = (np.float32(1) if z[i] >= 0 else small) / (np.float32(1) + small)
            gradient = score - label
            # -log of the label's probability is log(1 + small) + max(z, 0) - z * y: one logarithm
            # of a product serves the whole block.
            product *= 1.0 + small
            out[LOSS] += max(np.float64(z[i]), 0.0) - np.float64(z[i]) * label
            predicted, positive = score > 0.5, label > 0.5
            out[CORRECT] += predicted == positive
            out[TRUE_POSITIVE] += predicted and positive
            out[PREDICTED] += predicted
            out[POSITIVE] += positive
        else:
            gradient = z[i] - label
            error = np.float64(z[i]) - label
            out[SQUARE] += error * error
            out[ABSOLUTE] += abs(error)
        dz[i] = gradient * scale
        out[GRADIENT] += dz[i]
    if classifier:
        out[LOSS] += math.log(product)


@kernel(
    types.int64(ROWS, types.int64, types.int64, types.int64, types.int64, SHARED, OWN),
    fastmath=REASSOCIATE,
    **LEAN,
)
def gather(
    rows: Rows, start: Int, stop: Int, thread: Int, threads: Int, shared: Shared, own: Own
) -> Any:
    """Sum the gradients of the features that a thread owns; return how many occur."""
    s, slot = shared.s, shared.slot
    k = s.shape[1]
    n = 0
    keys = rows.keys
    for row in range(start, stop):
        i = row - start
        sums = s[i]
        for p in range(rows.indptr[row], rows.indptr[row + 1]):
            if p + AHEAD < keys.size:
                prefetch(slot, np.int64(keys[p + AHEAD]))
            j = keys[p]
            if threads > 1 and (j // OWNED) % threads != thread:
                continue
            x = rows.values[p]
            d = shared.dz[i] * x
            u = slot[j]
            if u < 0:
                slot[j] = n
                own.touched[n] = j
                own.gw[n] = d
                own.c[n] = d * x
                grads = own.g[n]
                for f in range(k):
                    grads[f] = d * sums[f]
                n += 1
            else:
                own.gw[u] += d
                own.c[u] += d * x
                grads = own.g[u]
                for f in range(k):
                    grads[f] += d * sums[f]
    return n


@kernel(
    types.void(types.int64, TASK, MODEL, SHARED, OWN, types.float64),
    fastmath=REASSOCIATE,
    **LEAN,
)
def update(n: Int, task: Task, model: Model, shared: Shared, own: Own, correction: float) -> None:
    """Update the n touched features of a thread, and reset their slots."""
    w, v, g, clip = model.w, model.v, own.g, task.clip
    k = v.shape[1]
    size = np.float32(task.lr[FACTORS] * correction)
    size_w = np.float32(task.lr[LINEAR] * correction)
    last = model.state.shape[1] - 1
    for u in range(n):
        j = own.touched[u]
        if u + 8 < n:
            ahead = own.touched[u + 8]
            for f in range(0, model.state.shape[1], LINE):
                prefetch(model.state, ahead * model.state.shape[1] + f)
            for f in range(0, k, LINE):
                prefetch(v, ahead * k + f)
            prefetch(w, np.int64(ahead))
        shared.slot[j] = -1
        # The gradient of v[j] is g[u] - c[u] * v[j]; with decay, g[u] + shrink * v[j].
        shrink = task.wd[FACTORS] - own.c[u]
        slope = own.gw[u]
        if clip > 0:  # before decay is added
            for f in range(k):
                g[u, f] = min(max(g[u, f] - own.c[u] * v[j, f], -clip), clip)
            slope = min(max(slope, -clip), clip)
            shrink = task.wd[FACTORS]
        update_factors(task.optimizer, v, model.state, j, g, u, shrink, size, task.eps)
        if task.use_linear:
            grad = slope + task.wd[LINEAR] * w[j]
            w[j] = update_one(task.optimizer, w[j], grad, model.state[j], k, last, size_w, task.eps)


@kernel(types.void(TASK, MODEL, SHARED, types.int64, types.float64), **LEAN)
def finish(task: Task, model: Model, shared: Shared, count: Int, correction: float) -> None:
    """Add up a batch's blocks of rows: its metrics, and the bias's gradient and update."""
    gradient = 0.0
    for b in range(count):
        for column in range(COLUMNS):
            shared.sums[column] += shared.blocks[b, column]
        gradient += shared.blocks[b, GRADIENT]
    if task.use_bias:
        grad = np.float32(gradient)
        if task.clip > 0:
            grad = min(max(grad, -task.clip), task.clip)
        bias = model.w0[0]
        grad += task.wd[BIAS] * bias
        size = np.float32(task.lr[BIAS] * correction)
        model.w0[0] = update_one(task.optimizer, bias, grad, model.state0, 0, 1, size, task.eps)
    shared.progress[DONE] += 1
    shared.progress[DIVERGED] = not np.isfinite(shared.sums[LOSS])


@kernel(
    types.void(ROWS, L2, TASK, MODEL, SHARED, OWN, types.int64, types.int64, types.int64),
    **LEAN,
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
        batches: (m, 2) first row and end of each.
        task: what is done.
        model: what is trained.
        shared: of all threads; `sums`, `progress` and `barrier` are zero.
        own: of this thread.
        steps: steps before this call, for Adam's bias correction.
        thread: from 0; thread 0 does what is to be done once.
        threads: how many there are.
    """
    for index in range(batches.shape[0]):
        start, stop = batches[index, 0], batches[index, 1]
        scale = task.rescale if task.rescale > 0 else np.float32(1.0 / (stop - start))
        count = (stop - start + BLOCK - 1) // BLOCK
        for b in range(count * thread // threads, count * (thread + 1) // threads):
            begin, end = b * BLOCK, min(b * BLOCK + BLOCK, stop - start)
            for i in range(begin, end):
                shared.z[i] = row_score(rows, model, start + i, shared.s[i])
            block_loss(
                shared.z, rows.y, begin, end, start, scale, task.classifier, shared.dz,
                shared.blocks[b],
            )  # fmt: skip
        meet(shared.barrier, threads)
        correction = 1.0
        if task.optimizer == ADAM:
            t = steps + index + 1
            correction = math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        if thread == 0:
            finish(task, model, shared, count, correction)
        n = gather(rows, start, stop, thread, threads, shared, own)
        update(n, task, model, shared, own, correction)
        meet(shared.barrier, threads)
        if shared.progress[DIVERGED]:
            return


@kernel(types.void(ROWS, MODEL, F1, F1, types.int64, types.int64), **LEAN)
def score(rows: Rows, model: Model, s: Float32, z: Float32, start: int, stop: int) -> None:
    """Leave the scores of the rows [start, stop) in z; s (k,) is for their factor sums."""
    for row in range(start, stop):
        z[row] = row_score(rows, model, row, s)
