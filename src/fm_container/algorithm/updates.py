"""One feature's update by each optimiser, on its parameters and its row of optimiser state.

The state of feature j is one row, so that a step touches one place of memory for it:
adam `[m of v (k), m of w, s of v (k), s of w]`, adagrad `[sum of v (k), sum of w]`, sgd nothing.
"""

from typing import Any

import numpy as np
from numba import types

from fm_container.jit import LEAN, REASSOCIATE, kernel

ADAM, ADAGRAD, SGD = range(3)
NUMBERS = {"adam": ADAM, "adagrad": ADAGRAD, "sgd": SGD}
STATE_PARTS = {ADAM: 2, ADAGRAD: 1, SGD: 0}  # state numbers a parameter
BETA1, BETA2 = np.float32(0.9), np.float32(0.999)
REST1, REST2 = np.float32(1 - 0.9), np.float32(1 - 0.999)

_F1 = types.float32[::1]
_F2 = types.float32[:, ::1]


@kernel(
    types.float32(types.int64, types.float32, types.float32, _F1, types.int64, types.int64,
                  types.float32, types.float32),
    fastmath=REASSOCIATE,
    **LEAN,
)  # fmt: skip
def update_one(
    optimizer: Any, p: Any, g: Any, state: Any, first: Any, second: Any, size: Any, eps: Any
) -> Any:
    """Return a parameter after its update; its state is state[first], and state[second] for adam.

    `g` is the gradient, clipped and with decay; `size` is the step size, bias correction included.
    """
    if optimizer == ADAM:
        m = BETA1 * state[first] + REST1 * g
        s = BETA2 * state[second] + REST2 * g * g
        state[first] = m
        state[second] = s
        return p - size * m / (np.sqrt(s) + eps)
    if optimizer == ADAGRAD:
        s = state[first] + g * g
        state[first] = s
        return p - size * g / (np.sqrt(s) + eps)
    return p - size * g


@kernel(
    types.void(types.int64, _F2, _F2, types.int64, _F2, types.int64, types.float32,
               types.float32, types.float32),
    fastmath=REASSOCIATE,
    **LEAN,
)  # fmt: skip
def update_factors(
    optimizer: Any, v: Any, state: Any, j: Any, g: Any, u: Any, shrink: Any, size: Any, eps: Any
) -> None:
    """Update v[j] by the gradient g[u] + shrink * v[j]."""
    k = v.shape[1]
    # Rows as arrays of their own: the compiler then finds that they do not overlap.
    p, grads = v[j], g[u]
    if optimizer == ADAM:
        ms, ss = state[j, :k], state[j, k + 1 : 2 * k + 1]
        for f in range(k):
            grad = grads[f] + shrink * p[f]
            m = BETA1 * ms[f] + REST1 * grad
            s = BETA2 * ss[f] + REST2 * grad * grad
            ms[f] = m
            ss[f] = s
            p[f] -= size * m / (np.sqrt(s) + eps)
    elif optimizer == ADAGRAD:
        ss = state[j, :k]
        for f in range(k):
            grad = grads[f] + shrink * p[f]
            s = ss[f] + grad * grad
            ss[f] = s
            p[f] -= size * grad / (np.sqrt(s) + eps)
    else:
        for f in range(k):
            p[f] -= size * (grads[f] + shrink * p[f])
