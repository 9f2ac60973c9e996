"""The parts of a mini-batch step over CSR rows, as compiled loops; `kernel` puts them together.

Every sum has one order, by row, by block of rows, by non-zero or by piece of the factors, that does
not depend on the number of threads.
"""

import math
from typing import Any

import numpy as np
from numba import types

from factorization_machines.kernels.columns import COLUMNS, LOSS
from factorization_machines.kernels.jit import LEAN, REASSOCIATE, kernel
from factorization_machines.kernels.losses import BLOCK, GRADIENT, empty_rows, logistic, squared
from factorization_machines.kernels.optimizers import ADAM, update_factors, update_one
from factorization_machines.kernels.simd import LINE, load, prefetch, splat, store, total
from factorization_machines.kernels.types import (
    F2,
    MODEL,
    OWN,
    ROWS,
    TASK,
    Float32,
    Model,
    Own,
    Rows,
    Task,
)

OWNED = 16  # neighbouring features of one thread: their weights share a cache line
BIAS, LINEAR, FACTORS = range(3)

# How far ahead memory is asked for, in non-zeros and in features: about the time that it takes.
AHEAD, AHEAD_FEATURES = 32, 4

DONE, DIVERGED = range(2)  # slots of Own.progress

Int = Any


@kernel(types.uint64(ROWS, types.int64), **LEAN)
def look_ahead(rows: Rows, stop: Int) -> Any:
    """Return how many non-zeros ahead memory is asked for in rows up to `stop`: 0 at the end."""
    ahead = np.uint64(AHEAD)
    return ahead if rows.indptr[stop] + ahead <= np.uint64(rows.keys.size) else np.uint64(0)


@kernel(
    types.float32(
        ROWS, F2, types.int64, types.int64, types.int64, F2, types.int64, types.uint64
    ),
    **LEAN,
)  # fmt: skip
def pairs(
    rows: Rows, v: Float32, row: Int, first: Int, last: Int, s: Float32, i: Int, ahead: Int
) -> Any:  # fmt: skip
    """Return what the factors [first, last) of v add to a row's score; leave their sums in s[i].

    The sum over all pairs of features is, for one feature after the other, its part times the sum
    of the parts before: one pass, and nothing cancels.
    """
    keys, values = rows.keys, rows.values
    q = v.shape[1]
    products = splat(np.float32(0))
    for f in range(first, last, LINE):
        n = last - f
        sums = splat(np.float32(0))
        for p in range(rows.indptr[row], rows.indptr[row + 1]):
            prefetch(v, keys[p + ahead] * q + f)
            part = splat(values[p]) * load(v, keys[p] * q + f, n)
            products += part * sums
            sums += part
        store(s, i * q + f, n, sums)
    return total(products)


@kernel(types.float32(ROWS, MODEL, types.int64, types.uint64), fastmath=REASSOCIATE, **LEAN)
def linear(rows: Rows, model: Model, row: Int, ahead: Int) -> Any:
    """Return what bias and linear weights add to a row's score."""
    keys, w = rows.keys, model.w
    total = np.float32(0)
    for p in range(rows.indptr[row], rows.indptr[row + 1]):
        prefetch(w, np.int64(keys[p + ahead]))
        total += rows.values[p] * w[keys[p]]
    return model.w0[0] + total


@kernel(
    types.void(
        *(ROWS, MODEL, types.int64, types.int64, types.int64, F2, OWN, types.uint64),
    ),
    **LEAN,
)
def scores(
    rows: Rows, model: Model, start: Int, first: Int, last: Int, parts: Float32, own: Own,
    ahead: Int,
) -> None:  # fmt: skip
    """Leave in parts (P, B) what a thread's pieces add to the scores of a batch's [first, last).

    Row i of the batch is start + i of the data. Bias and weights go with the first piece.
    """
    bounds = own.bounds
    for i in range(first, last):
        for n in range(bounds.size - 1):
            parts[own.piece + n, i] = pairs(
                rows, own.v, start + i, bounds[n], bounds[n + 1], own.s, i, ahead
            )
        if own.piece == 0:
            parts[0, i] += linear(rows, model, start + i, ahead)


@kernel(
    types.void(
        *(ROWS, types.int64, types.int64, types.int64, types.int64),
        *(TASK, F2, OWN),
    ),
    **LEAN,
)
def measure(
    rows: Rows, start: Int, stop: Int, begin: Int, end: Int, task: Task, parts: Float32, own: Own
) -> None:  # fmt: skip
    """Add up the scores of a batch's blocks [begin, end), and leave their gradients and sums."""
    for b in range(begin, end):
        first, last = b * BLOCK, min(b * BLOCK + BLOCK, stop - start)
        z, dz = own.z[first:last], own.dz[first:last]
        for i in range(last - first):
            z[i] = 0
        for piece in range(parts.shape[0]):
            part = parts[piece, first:last]
            for i in range(last - first):
                z[i] += part[i]
        labels = rows.y[start + first : start + last]
        if task.classifier:
            logistic(z, labels, task.scale, dz, own.blocks[b])
        else:
            squared(z, labels, task.scale, dz, own.blocks[b])


@kernel(types.float64(types.int64, types.int64), **LEAN)
def correction(optimizer: Int, step: Int) -> Any:
    """Return the factor of the step size at a step, from 1: Adam's bias correction."""
    if optimizer == ADAM:
        return math.sqrt(1 - 0.999**step) / (1 - 0.9**step)
    return 1.0


@kernel(types.float64(TASK, OWN, types.int64, types.int64, types.float32), **LEAN)
def add_up(task: Task, own: Own, count: Int, padding: Int, bias: Any) -> Any:
    """Add up a batch's blocks of rows, and its `padding` empty rows, whose score is the bias.

    That is its metrics; returns the gradient of the bias.
    """
    gradient = 0.0
    for b in range(count):
        for column in range(COLUMNS):
            own.sums[column] += own.blocks[b, column]
        gradient += own.blocks[b, GRADIENT]
    if padding > 0:
        gradient += empty_rows(task.classifier, bias, padding, task.scale, own.sums)
    own.progress[DONE] += 1
    own.progress[DIVERGED] = not np.isfinite(own.sums[LOSS])
    return gradient


@kernel(types.void(TASK, MODEL, types.float64, types.float64), **LEAN)
def update_bias(task: Task, model: Model, gradient: float, factor: float) -> None:
    """Update the bias."""
    grad = np.float32(gradient)
    grad += task.wd[BIAS] * model.w0[0]
    if task.clip > 0:
        grad = min(max(grad, -task.clip), task.clip)
    size = np.float32(task.lr[BIAS] * factor)
    model.w0[0] = update_one(task.optimizer, model.w0[0], grad, model.state0, size, task.eps)


@kernel(
    types.UniTuple(types.int64, 2)(
        ROWS, types.int64, types.int64, types.int64, types.int64, OWN, types.uint64
    ),
    **LEAN,
)
def index(
    rows: Rows, start: Int, stop: Int, owner: Int, owners: Int, own: Own, ahead: Int
) -> tuple[Any, Any]:
    """Number the features that occur in a batch, or those of one owner.

    Returns how many non-zeros and how many features there are. Without a branch: whether a feature
    was there before is as good as random.
    """
    slot, keys, touched, nonzeros = own.slot, rows.keys, own.touched, own.nonzeros
    count, n = 0, 0
    base = rows.indptr[start]
    for row in range(start, stop):
        for p in range(rows.indptr[row], rows.indptr[row + 1]):
            prefetch(slot, np.int64(keys[p + ahead]))
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


@kernel(types.void(ROWS, types.int64, types.int64, types.int64, OWN), fastmath=REASSOCIATE, **LEAN)
def gather(rows: Rows, start: Int, count: Int, n: Int, own: Own) -> None:
    """Sum the gradients of a batch's n features over `count` non-zeros."""
    s, g, nonzeros = own.s, own.g, own.nonzeros
    q = s.shape[1]
    for u in range(n):
        own.gw[u] = 0
        own.c[u] = 0
    for place in range(0, n * q, LINE):
        store(g, place, n * q - place, splat(np.float32(0)))
    for nonzero in range(count):
        p, i, u = nonzeros[nonzero, 0], nonzeros[nonzero, 1], nonzeros[nonzero, 2]
        x = rows.values[rows.indptr[start] + p]
        d = own.dz[i] * x
        own.gw[u] += d
        own.c[u] += d * x
        for f in range(0, q, LINE):
            grads = load(g, u * q + f, q - f) + splat(d) * load(s, i * q + f, q - f)
            store(g, u * q + f, q - f, grads)


@kernel(
    types.void(types.int64, types.boolean, TASK, MODEL, OWN, types.float64),
    fastmath=REASSOCIATE,
    **LEAN,
)
def update(n: Int, weights: bool, task: Task, model: Model, own: Own, factor: float) -> None:
    """Update a thread's factors of n touched features, and maybe their weights."""
    w, v, g, clip = model.w, own.v, own.g, task.clip
    q, wide = v.shape[1], own.state.shape[1]
    size = np.float32(task.lr[FACTORS] * factor)
    size_w = np.float32(task.lr[LINEAR] * factor)
    for u in range(n):
        if u + AHEAD_FEATURES < n:
            ahead = np.int64(own.touched[u + AHEAD_FEATURES])
            for f in range(0, q, LINE):
                prefetch(v, ahead * q + f)
            for f in range(0, wide, LINE):
                prefetch(own.state, ahead * wide + f)
            if weights:
                prefetch(w, ahead)
                prefetch(model.state, ahead * model.state.shape[1])
        j = own.touched[u]
        own.slot[j] = -1
        # The gradient of v[j] is g[u] - c[u] * v[j]; with decay, g[u] + shrink * v[j].
        shrink = task.wd[FACTORS] - own.c[u]
        if clip > 0:  # after decay is added
            for f in range(q):
                grad = g[u, f] + shrink * v[j, f]
                g[u, f] = min(max(grad, -clip), clip)
            shrink = np.float32(0)
        update_factors(task.optimizer, v, own.state, j, g, u, shrink, size, task.eps)
        if weights:
            grad = own.gw[u] + task.wd[LINEAR] * w[j]
            if clip > 0:
                grad = min(max(grad, -clip), clip)
            w[j] = update_one(task.optimizer, w[j], grad, model.state[j], size_w, task.eps)
