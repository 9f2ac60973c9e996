"""A mini-batch step in two halves for several hosts: compute gradients, then apply their sum.

The hosts exchange one message each between the halves: a head of HEAD words, then the u keys, the
u sums `gw`, the u sums `c` and the u x k sums `g` of `types.ThreadState`, four bytes a number.
"""

from typing import Any

import numpy as np
from numba import types

from factorization_machines.kernels.columns import COLUMNS
from factorization_machines.kernels.jit import inlined_kernel
from factorization_machines.kernels.losses import BLOCK, GRADIENT, empty_rows
from factorization_machines.kernels.optimizers import bias_correction
from factorization_machines.kernels.parts import (
    accumulate_gradients,
    apply_optimizer,
    loss_and_gradient,
    number_features,
    prefetch_distance,
    reduce_blocks,
    scores,
    update_bias,
)
from factorization_machines.kernels.simd import LINE, estimates, load, store
from factorization_machines.kernels.types import (
    D1,
    F1,
    F3,
    INT,
    L1,
    L2,
    MODEL,
    ROWS,
    STEP_CONFIG,
    THREAD_STATE,
    UI1,
    Float32,
    Float64,
    Int64,
    Model,
    Rows,
    StepConfig,
    ThreadState,
    UInt32,
)

HEAD = 16  # words: the metric sums and the gradient of the bias, as float64

Int = Any


@inlined_kernel(types.void(ROWS, L2, THREAD_STATE, L1))
def count(rows: Rows, batches: Int64, local: ThreadState, out: Int64) -> None:
    """Write the number of distinct features of each batch (m, 2) to `out` (m,)."""
    for batch in range(batches.shape[0]):
        distance = prefetch_distance(rows, batches[batch, 1])
        _, n = number_features(rows, batches[batch, 0], batches[batch, 1], 0, 1, local, distance)
        for u in range(n):
            local.slot[local.touched[u]] = -1
        out[batch] = n


@inlined_kernel(INT(ROWS, INT, INT, STEP_CONFIG, MODEL, F3, THREAD_STATE, UI1, F1, D1))
def gradients(
    rows: Rows,
    start: Int,
    stop: Int,
    config: StepConfig,
    model: Model,
    shared: Float32,
    local: ThreadState,
    words: UInt32,
    floats: Float32,
    head: Float64,
) -> Int:
    """Write the metrics and gradients of the rows [start, stop) as a message; return u.

    Args:
        rows: the data.
        start: first row.
        stop: end.
        config: of the step.
        model: bias and weights, which are read.
        shared: (2, P, B) scratch memory, `SharedState.parts`.
        local: scratch memory of this thread, with the factors.
        words: the message.
        floats: the same memory as float32.
        head: (HEAD / 2,) the start of the same memory as float64.
    """
    estimates()
    distance = prefetch_distance(rows, stop)
    parts = shared[0]
    blocks = (stop - start + BLOCK - 1) // BLOCK
    scores(rows, model, start, 0, stop - start, parts, local, distance)
    loss_and_gradient(rows, start, stop, 0, blocks, config, parts, local)
    local.sums[:] = 0
    head[GRADIENT] = reduce_blocks(
        config, local, blocks, 0, np.float32(0)
    )  # `apply` adds the padding
    for column in range(COLUMNS):
        head[column] = local.sums[column]
    nonzeros, features = number_features(rows, start, stop, 0, 1, local, distance)
    accumulate_gradients(rows, start, nonzeros, features, local)
    q = local.g.shape[1]
    for u in range(features):
        words[HEAD + u] = local.touched[u]
        floats[HEAD + features + u] = local.gw[u]
        floats[HEAD + 2 * features + u] = local.c[u]
        local.slot[local.touched[u]] = -1
    base = HEAD + 3 * features
    for place in range(0, features * q, LINE):
        n = features * q - place
        store(floats, base + place, n, load(local.g, place, n))
    return features


@inlined_kernel(types.void(UI1, F1, D1, L1, L1, STEP_CONFIG, MODEL, THREAD_STATE, INT, INT, D1))
def apply(
    words: UInt32,
    floats: Float32,
    doubles: Float64,
    places: Int64,
    counts: Int64,
    config: StepConfig,
    model: Model,
    local: ThreadState,
    step: int,
    padding: int,
    sums: Float64,
) -> None:
    """Sum the messages of all hosts in rank order and update; every host gets the same bits.

    `words`, `floats` and `doubles` are the memory of the messages. Host h's begins at places[h], an
    even number of words, and has counts[h] features. `step` counts from 1; `padding` empty rows
    fill up the batch. `sums` (COLUMNS,) receives the metric sums of the batch. Bias and weights in
    `model`, and the factors in `local`, are updated.
    """
    estimates()
    q = local.g.shape[1]
    gradient, n = 0.0, 0
    sums[:] = 0
    for host in range(places.size):
        place, features = places[host], counts[host]
        for column in range(COLUMNS):
            sums[column] += doubles[place // 2 + column]
        gradient += doubles[place // 2 + GRADIENT]
        base = place + HEAD
        for r in range(features):
            j = words[base + r]
            u = local.slot[j]
            row = base + 3 * features + r * q
            if u < 0:
                u = n
                n += 1
                local.slot[j] = u
                local.touched[u] = j
                local.gw[u] = floats[base + features + r]
                local.c[u] = floats[base + 2 * features + r]
                for f in range(0, q, LINE):
                    store(local.g, u * q + f, q - f, load(floats, row + f, q - f))
            else:
                local.gw[u] += floats[base + features + r]
                local.c[u] += floats[base + 2 * features + r]
                for f in range(0, q, LINE):
                    more = load(floats, row + f, q - f)
                    store(local.g, u * q + f, q - f, load(local.g, u * q + f, q - f) + more)
    if padding > 0:
        gradient += empty_rows(config.classifier, model.w0[0], padding, config.scale, sums)
    factor = bias_correction(config.optimizer, step)
    if config.use_bias:
        update_bias(config, model, gradient, factor)
    apply_optimizer(n, config.use_linear, config, model, local, factor)
