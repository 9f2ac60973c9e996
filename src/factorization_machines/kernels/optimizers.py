"""The update of one feature by each optimizer.

Each feature has a row of optimizer state for its factors and one for its weight. Adam keeps
`[m of v (k), s of v (k)]` and `[m, s]`, AdaGrad `[s of v (k)]` and `[s]`, SGD nothing.
"""

import math
from typing import Any

import numpy as np
from numba import types

from factorization_machines.kernels.jit import REASSOCIATE, inlined_kernel
from factorization_machines.kernels.simd import LINE, load, splat, square_root, store

ADAM, ADAGRAD, SGD = range(3)  # as in `optimizers.OPTIMIZERS`
BETA1, BETA2 = np.float32(0.9), np.float32(0.999)
# The built-in algorithm subtracts in float32: 0.10000002 and 0.00099998713.
REST1, REST2 = np.float32(1) - BETA1, np.float32(1) - BETA2

_F1 = types.float32[::1]
_F2 = types.float32[:, ::1]


@inlined_kernel(
    types.float32(types.int64, types.float32, types.float32, _F1, types.float32, types.float32),
    fastmath=REASSOCIATE,
)
def update_scalar(optimizer: Any, p: Any, g: Any, state: Any, size: Any, eps: Any) -> Any:
    """Return the updated value of parameter `p`.

    `g` is the gradient after decay and clipping; `size` is the step size after bias correction.
    """
    if optimizer == ADAM:
        m = BETA1 * state[0] + REST1 * g
        s = BETA2 * state[1] + REST2 * g * g
        state[0] = m
        state[1] = s
        return p - size * m / (np.sqrt(s) + eps)
    if optimizer == ADAGRAD:
        s = state[0] + g * g
        state[0] = s
        return p - size * g / (np.sqrt(s) + eps)
    return p - size * g


@inlined_kernel(
    types.void(types.int64, _F2, _F2, types.int64, _F2, types.int64, types.float32,
               types.float32, types.float32),
)  # fmt: skip
def update_factors(
    optimizer: Any, v: Any, state: Any, j: Any, g: Any, u: Any, shrink: Any, size: Any, eps: Any
) -> None:
    """Update the factors v[j] with the gradient g[u] + shrink * v[j]."""
    q, wide = v.shape[1], state.shape[1]
    for f in range(0, q, LINE):
        n = q - f
        p = load(v, j * q + f, n)
        grad = load(g, u * q + f, n) + splat(shrink) * p
        if optimizer == ADAM:
            m = splat(BETA1) * load(state, j * wide + f, n) + splat(REST1) * grad
            s = splat(BETA2) * load(state, j * wide + q + f, n) + splat(REST2) * grad * grad
            store(state, j * wide + f, n, m)
            store(state, j * wide + q + f, n, s)
            step = splat(size) * m / (square_root(s) + splat(eps))
        elif optimizer == ADAGRAD:
            s = load(state, j * wide + f, n) + grad * grad
            store(state, j * wide + f, n, s)
            step = splat(size) * grad / (square_root(s) + splat(eps))
        else:
            step = splat(size) * grad
        store(v, j * q + f, n, p - step)


@inlined_kernel(types.float64(types.int64, types.int64))
def bias_correction(optimizer: Any, step: Any) -> Any:
    """Return Adam's bias correction of the step size at a step, from 1; 1 for other optimizers."""
    if optimizer == ADAM:
        return math.sqrt(1 - 0.999**step) / (1 - 0.9**step)
    return 1.0
