"""The parts of a mini-batch step over CSR rows; `step` and `distributed` combine them.

Every sum has a fixed order that does not depend on the number of threads.
"""

from typing import Any

import numpy as np
from numba import types

from factorization_machines.kernels.columns import COLUMNS, LOSS
from factorization_machines.kernels.jit import REASSOCIATE, inlined_kernel
from factorization_machines.kernels.losses import (
    BLOCK,
    GRADIENT,
    empty_rows,
    logistic,
    squared,
    weigh,
)
from factorization_machines.kernels.optimizers import update_factors, update_scalar
from factorization_machines.kernels.simd import LINE, load, prefetch, splat, store, total
from factorization_machines.kernels.types import (
    F2,
    INT,
    MODEL,
    ROWS,
    STEP_CONFIG,
    THREAD_STATE,
    Float32,
    Model,
    Rows,
    StepConfig,
    ThreadState,
)

OWNED = 16  # consecutive features of one thread, because their weights share a cache line
BIAS, LINEAR, FACTORS = range(3)

# Distances of prefetches, in non-zeros and in features: about the latency of memory.
PREFETCH_NONZEROS, PREFETCH_FEATURES = 32, 4

DONE, DIVERGED = range(2)  # indexes of ThreadState.progress

Int = Any


@inlined_kernel(types.uint64(ROWS, INT))
def prefetch_distance(rows: Rows, stop: Int) -> Any:
    """Return the distance of prefetches in non-zeros for rows up to `stop`; 0 at the end."""
    distance = np.uint64(PREFETCH_NONZEROS)
    return distance if rows.indptr[stop] + distance <= np.uint64(rows.keys.size) else np.uint64(0)


@inlined_kernel(types.float32(ROWS, F2, INT, INT, INT, F2, INT, types.uint64))
def pairs(
    rows: Rows, v: Float32, row: Int, first: Int, last: Int, s: Float32, i: Int, distance: Int
) -> Any:  # fmt: skip
    """Return the contribution of the factors [first, last) to a row's score; write sums to s[i].

    Each feature's part is multiplied by the sum of the parts before it: one pass over the row, and
    no subtraction that could cancel digits.
    """
    keys, values = rows.keys, rows.values
    q = v.shape[1]
    products = splat(np.float32(0))
    for f in range(first, last, LINE):
        n = last - f
        sums = splat(np.float32(0))
        for p in range(rows.indptr[row], rows.indptr[row + 1]):
            prefetch(v, keys[p + distance] * q + f)
            part = splat(values[p]) * load(v, keys[p] * q + f, n)
            products += part * sums
            sums += part
        store(s, i * q + f, n, sums)
    return total(products)


@inlined_kernel(types.float32(ROWS, MODEL, INT, types.uint64), fastmath=REASSOCIATE)
def linear(rows: Rows, model: Model, row: Int, distance: Int) -> Any:
    """Return the contribution of the bias and the linear weights to a row's score."""
    keys, w = rows.keys, model.w
    total = np.float32(0)
    for p in range(rows.indptr[row], rows.indptr[row + 1]):
        prefetch(w, np.int64(keys[p + distance]))
        total += rows.values[p] * w[keys[p]]
    return model.w0[0] + total


@inlined_kernel(types.void(ROWS, MODEL, INT, INT, INT, F2, THREAD_STATE, types.uint64))
def scores(
    rows: Rows, model: Model, start: Int, first: Int, last: Int, parts: Float32, local: ThreadState,
    distance: Int,
) -> None:  # fmt: skip
    """Write to `parts` (P, B) what a thread's pieces add to the scores of rows [first, last).

    Row i of the batch is row start + i of the data. The first piece includes bias and weights.
    """
    bounds = local.bounds
    for i in range(first, last):
        for n in range(bounds.size - 1):
            parts[local.piece + n, i] = pairs(
                rows, local.v, start + i, bounds[n], bounds[n + 1], local.s, i, distance
            )
        if local.piece == 0:
            parts[0, i] += linear(rows, model, start + i, distance)


@inlined_kernel(types.void(ROWS, INT, INT, INT, INT, STEP_CONFIG, F2, THREAD_STATE))
def loss_and_gradient(
    rows: Rows, start: Int, stop: Int, begin: Int, end: Int, config: StepConfig, parts: Float32,
    local: ThreadState,
) -> None:  # fmt: skip
    """Sum the scores of the blocks [begin, end) and write their loss gradients and sums.

    The metric sums are those of the rows without weights.
    """
    for b in range(begin, end):
        first, last = b * BLOCK, min(b * BLOCK + BLOCK, stop - start)
        z, dz = local.z[first:last], local.dz[first:last]
        for i in range(last - first):
            z[i] = 0
        for piece in range(parts.shape[0]):
            part = parts[piece, first:last]
            for i in range(last - first):
                z[i] += part[i]
        labels = rows.y[start + first : start + last]
        if config.classifier:
            logistic(z, labels, config.scale, dz, local.blocks[b])
        else:
            squared(z, labels, config.scale, dz, local.blocks[b])
        if rows.weights.size > 0:
            weigh(rows.weights[start + first : start + last], dz, local.blocks[b])


@inlined_kernel(types.float64(STEP_CONFIG, THREAD_STATE, INT, INT, types.float32))
def reduce_blocks(
    config: StepConfig, local: ThreadState, count: Int, padding: Int, bias: Any
) -> Any:
    """Add the metrics of a batch to `local.sums`; return the gradient of the bias.

    The batch has `count` blocks of rows and `padding` empty rows, whose score is the bias.
    """
    gradient = 0.0
    for b in range(count):
        for column in range(COLUMNS):
            local.sums[column] += local.blocks[b, column]
        gradient += local.blocks[b, GRADIENT]
    if padding > 0:
        gradient += empty_rows(config.classifier, bias, padding, config.scale, local.sums)
    local.progress[DONE] += 1
    local.progress[DIVERGED] = not np.isfinite(local.sums[LOSS])
    return gradient


@inlined_kernel(types.void(STEP_CONFIG, MODEL, types.float64, types.float64))
def update_bias(config: StepConfig, model: Model, gradient: float, factor: float) -> None:
    """Update the bias in `model`."""
    grad = np.float32(gradient)
    grad += config.wd[BIAS] * model.w0[0]
    if config.clip > 0:
        grad = min(max(grad, -config.clip), config.clip)
    size = np.float32(config.lr[BIAS] * factor)
    model.w0[0] = update_scalar(config.optimizer, model.w0[0], grad, model.state0, size, config.eps)


@inlined_kernel(types.UniTuple(INT, 2)(ROWS, INT, INT, INT, INT, THREAD_STATE, types.uint64))
def number_features(
    rows: Rows, start: Int, stop: Int, owner: Int, owners: Int, local: ThreadState, distance: Int
) -> tuple[Any, Any]:
    """Number the features that occur in a batch, or only those of one owner.

    Returns the number of non-zeros and of features. There is no branch on whether a feature is new,
    because the processor could not predict it.
    """
    slot, keys, touched, nonzeros = local.slot, rows.keys, local.touched, local.nonzeros
    count, n = 0, 0
    base = rows.indptr[start]
    for row in range(start, stop):
        for p in range(rows.indptr[row], rows.indptr[row + 1]):
            prefetch(slot, np.int64(keys[p + distance]))
            j = keys[p]
            if owners > 1 and (j // OWNED) % owners != owner:
                continue
            u = slot[j]
            new = u < 0
            u = n if new else u
            slot[j] = u
            touched[n] = j
            n += new
            nonzeros[count, 0] = p - base
            nonzeros[count, 1] = row - start
            nonzeros[count, 2] = u
            count += 1
    return count, n


@inlined_kernel(types.void(ROWS, INT, INT, INT, THREAD_STATE), fastmath=REASSOCIATE)
def accumulate_gradients(rows: Rows, start: Int, count: Int, n: Int, local: ThreadState) -> None:
    """Sum the gradients of a batch's n features over its `count` non-zeros."""
    s, g, nonzeros = local.s, local.g, local.nonzeros
    q = s.shape[1]
    for u in range(n):
        local.gw[u] = 0
        local.c[u] = 0
    for place in range(0, n * q, LINE):
        store(g, place, n * q - place, splat(np.float32(0)))
    for nonzero in range(count):
        p, i, u = nonzeros[nonzero, 0], nonzeros[nonzero, 1], nonzeros[nonzero, 2]
        x = rows.values[rows.indptr[start] + p]
        d = local.dz[i] * x
        local.gw[u] += d
        local.c[u] += d * x
        for f in range(0, q, LINE):
            grads = load(g, u * q + f, q - f) + splat(d) * load(s, i * q + f, q - f)
            store(g, u * q + f, q - f, grads)


@inlined_kernel(
    types.void(INT, types.boolean, STEP_CONFIG, MODEL, THREAD_STATE, types.float64),
    fastmath=REASSOCIATE,
)
def apply_optimizer(
    n: Int, weights: bool, config: StepConfig, model: Model, local: ThreadState, factor: float
) -> None:
    """Update a thread's factors of n touched features, and their weights if `weights` is set."""
    w, v, g, clip = model.w, local.v, local.g, config.clip
    q, wide = v.shape[1], local.state.shape[1]
    size = np.float32(config.lr[FACTORS] * factor)
    size_w = np.float32(config.lr[LINEAR] * factor)
    for u in range(n):
        if u + PREFETCH_FEATURES < n:
            later = np.int64(local.touched[u + PREFETCH_FEATURES])
            for f in range(0, q, LINE):
                prefetch(v, later * q + f)
            for f in range(0, wide, LINE):
                prefetch(local.state, later * wide + f)
            if weights:
                prefetch(w, later)
                prefetch(model.state, later * model.state.shape[1])
        j = local.touched[u]
        local.slot[j] = -1
        # The gradient of v[j] is g[u] - c[u] * v[j]; with decay, g[u] + shrink * v[j].
        shrink = config.wd[FACTORS] - local.c[u]
        if clip > 0:  # after decay is added
            for f in range(q):
                grad = g[u, f] + shrink * v[j, f]
                g[u, f] = min(max(grad, -clip), clip)
            shrink = np.float32(0)
        update_factors(config.optimizer, v, local.state, j, g, u, shrink, size, config.eps)
        if weights:
            grad = local.gw[u] + config.wd[LINEAR] * w[j]
            if clip > 0:
                grad = min(max(grad, -clip), clip)
            w[j] = update_scalar(config.optimizer, w[j], grad, model.state[j], size_w, config.eps)
