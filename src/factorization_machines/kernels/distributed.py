"""A mini-batch step in two halves, for hosts that share a batch: gradients, and their update.

Between them goes what one host found: a head of HEAD words, then for each of its u features the
key, the sums `gw` and `c`, and k sums `g`, as `kernel_types.Own` has them; four bytes each.
"""

from typing import Any

import numpy as np
from numba import types

from factorization_machines.kernels.columns import COLUMNS
from factorization_machines.kernels.jit import LEAN, kernel
from factorization_machines.kernels.losses import BLOCK, GRADIENT, empty_rows
from factorization_machines.kernels.parts import (
    add_up,
    correction,
    gather,
    index,
    look_ahead,
    measure,
    scores,
    update,
    update_bias,
)
from factorization_machines.kernels.simd import LINE, estimates, load, store
from factorization_machines.kernels.types import (
    D1,
    F1,
    F3,
    L1,
    L2,
    MODEL,
    OWN,
    ROWS,
    TASK,
    UI1,
    Float32,
    Float64,
    Int64,
    Model,
    Own,
    Rows,
    Task,
    UInt32,
)

HEAD = 16  # words: the metrics' sums and the gradient of the bias, as float64

Int = Any


@kernel(types.void(ROWS, L2, OWN, L1), **LEAN)
def count(rows: Rows, batches: Int64, own: Own, out: Int64) -> None:
    """Leave in out (m,) how many features occur in each of the batches (m, 2)."""
    for batch in range(batches.shape[0]):
        ahead = look_ahead(rows, batches[batch, 1])
        _, n = index(rows, batches[batch, 0], batches[batch, 1], 0, 1, own, ahead)
        for u in range(n):
            own.slot[own.touched[u]] = -1
        out[batch] = n


@kernel(
    types.int64(
        *(ROWS, types.int64, types.int64, TASK, MODEL, F3, OWN),
        *(UI1, F1, D1),
    ),
    **LEAN,
)
def gradients(
    rows: Rows,
    start: Int,
    stop: Int,
    task: Task,
    model: Model,
    shared: Float32,
    own: Own,
    words: UInt32,
    floats: Float32,
    head: Float64,
) -> Int:
    """Write what the rows [start, stop) give: their metrics and gradients; return u.

    Args:
        rows: the data.
        start: first row.
        stop: end.
        task: what is done.
        model: as it is.
        shared: (2, P, B) `Shared.parts`, to work in.
        own: to work in.
        words: the message.
        floats: the same memory.
        head: its head, (HEAD / 2,) of the same memory.
    """
    estimates()
    ahead = look_ahead(rows, stop)
    parts = shared[0]
    blocks = (stop - start + BLOCK - 1) // BLOCK
    scores(rows, model, start, 0, stop - start, parts, own, ahead)
    measure(rows, start, stop, 0, blocks, task, parts, own)
    own.sums[:] = 0
    head[GRADIENT] = add_up(task, own, blocks, 0, np.float32(0))  # `apply` adds the padding
    for column in range(COLUMNS):
        head[column] = own.sums[column]
    nonzeros, found = index(rows, start, stop, 0, 1, own, ahead)
    gather(rows, start, nonzeros, found, own)
    q = own.g.shape[1]
    for u in range(found):
        words[HEAD + u] = own.touched[u]
        floats[HEAD + found + u] = own.gw[u]
        floats[HEAD + 2 * found + u] = own.c[u]
        own.slot[own.touched[u]] = -1
    base = HEAD + 3 * found
    for place in range(0, found * q, LINE):
        n = found * q - place
        store(floats, base + place, n, load(own.g, place, n))
    return found


@kernel(
    types.void(UI1, F1, D1, L1, L1, TASK, MODEL, OWN, types.int64, types.int64, D1),
    **LEAN,
)
def apply(
    words: UInt32,
    floats: Float32,
    doubles: Float64,
    places: Int64,
    counts: Int64,
    task: Task,
    model: Model,
    own: Own,
    step: int,
    padding: int,
    sums: Float64,
) -> None:
    """Add up the messages of all hosts in their order, and update; the same bits on every host.

    Args:
        words: the messages.
        floats: the same memory.
        doubles: the same memory.
        places: (H,) where each begins, in words, an even number.
        counts: (H,) how many features each has.
        task: what is done.
        model: what is trained.
        own: with the factors, to work in.
        step: number of this step, from 1.
        padding: empty rows that fill up the batch.
        sums: (COLUMNS,) gets the metrics of the batch.
    """
    estimates()
    q = own.g.shape[1]
    gradient, n = 0.0, 0
    sums[:] = 0
    for host in range(places.size):
        place, found = places[host], counts[host]
        for column in range(COLUMNS):
            sums[column] += doubles[place // 2 + column]
        gradient += doubles[place // 2 + GRADIENT]
        base = place + HEAD
        for r in range(found):
            j = words[base + r]
            u = own.slot[j]
            row = base + 3 * found + r * q
            if u < 0:
                u = n
                n += 1
                own.slot[j] = u
                own.touched[u] = j
                own.gw[u] = floats[base + found + r]
                own.c[u] = floats[base + 2 * found + r]
                for f in range(0, q, LINE):
                    store(own.g, u * q + f, q - f, load(floats, row + f, q - f))
            else:
                own.gw[u] += floats[base + found + r]
                own.c[u] += floats[base + 2 * found + r]
                for f in range(0, q, LINE):
                    more = load(floats, row + f, q - f)
                    store(own.g, u * q + f, q - f, load(own.g, u * q + f, q - f) + more)
    if padding > 0:
        gradient += empty_rows(task.classifier, model.w0[0], padding, task.scale, sums)
    factor = correction(task.optimizer, step)
    if task.use_bias:
        update_bias(task, model, gradient, factor)
    update(n, task.use_linear, task, model, own, factor)
