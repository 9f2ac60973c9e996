"""The losses of a block of rows, their gradients and the sums of the metrics, as compiled loops."""

import math
from typing import Any

import numpy as np
from numba import types

from fm_container.algorithm.kernel_types import D1, F1, Float32, Float64
from fm_container.algorithm.lanes import float_of
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
from fm_container.jit import LEAN, REASSOCIATE, kernel

BLOCK = 64  # rows that one sum is over; a product of as many factors up to 2 is within float64

# A block's sums: the columns of metrics.py, then the loss gradient.
GRADIENT = COLUMNS
BLOCK_COLUMNS = COLUMNS + 1

Int = Any

_LOWEST = np.float32(-87)  # about the log of the smallest normal number
_LOG2_E = np.float32(1 / math.log(2))
# log(2) in two parts: a multiple of the first below 256 is exact.
_LOG_2 = np.float32(0.693359375)
_LOG_2_REST = np.float32(math.log(2) - 0.693359375)
_TAYLOR = tuple(np.float32(1 / math.factorial(n)) for n in (7, 6, 5, 4, 3, 2))


@kernel(types.float32(types.float32), fastmath={"contract"}, **LEAN)
def exponential(x: Any) -> Any:
    """Return exp of a number that is not positive, to 2e-7 of it; exp(-87) below that, and of NaN.

    The library's is a call for each number; of this, a loop does sixteen at once.
    """
    x = x if x > _LOWEST else _LOWEST
    whole = np.floor(x * _LOG2_E + np.float32(0.5))
    rest = x - whole * _LOG_2 - whole * _LOG_2_REST
    series = _TAYLOR[0]
    for factor in _TAYLOR[1:]:
        series = series * rest + factor
    value = (series * rest + np.float32(1)) * rest + np.float32(1)
    return value * float_of((np.int32(whole) + np.int32(127)) << np.int32(23))


_LOSS = types.void(F1, F1, types.int64, types.int64, types.int64, types.float32, F1, D1)


@kernel(_LOSS, fastmath=REASSOCIATE, **LEAN)
def logistic(
    z: Float32, y: Float32, begin: Int, end: Int, start: Int, scale: Any, dz: Float32, out: Float64
) -> None:
    """Leave the gradients of the rows [begin, end) of a batch in dz, the sums of all in out.

    Row i of the batch has the label y[start + i]. There are BLOCK rows at the most.
    """
    for i in range(begin, end):
        dz[i] = exponential(-abs(z[i]))
    loss, gradients, product = 0.0, 0.0, 1.0
    correct, true_positive, predicted, positive = 0, 0, 0, 0
    for i in range(begin, end):
        small, label = dz[i], y[start + i]
        score = (np.float32(1) if z[i] >= 0 else small) / (np.float32(1) + small)
        # -log of the label's probability is log(1 + small) + max(z, 0) - z * y: one logarithm
        # of a product serves the whole block. That z * y is NaN where z is.
        product *= 1.0 + np.float64(small)
        loss += max(np.float64(z[i]), 0.0) - np.float64(z[i]) * np.float64(label)
        says, is_one = score > np.float32(0.5), label > np.float32(0.5)
        correct += says == is_one
        true_positive += says and is_one
        predicted += says
        positive += is_one
        gradient = (score - label) * scale
        gradients += np.float64(gradient)
        dz[i] = gradient
    out[:] = 0
    out[LOSS] = loss + math.log(product)
    out[CORRECT], out[TRUE_POSITIVE] = correct, true_positive
    out[PREDICTED], out[POSITIVE] = predicted, positive
    out[GRADIENT] = gradients


@kernel(_LOSS, fastmath=REASSOCIATE, **LEAN)
def squared(
    z: Float32, y: Float32, begin: Int, end: Int, start: Int, scale: Any, dz: Float32, out: Float64
) -> None:
    """Leave gradients and sums as `logistic` does, of the squared error."""
    square, absolute, gradients = 0.0, 0.0, 0.0
    for i in range(begin, end):
        error = np.float64(z[i]) - np.float64(y[start + i])
        square += error * error
        absolute += abs(error)
        gradient = (z[i] - y[start + i]) * scale
        gradients += np.float64(gradient)
        dz[i] = gradient
    out[:] = 0
    out[SQUARE], out[ABSOLUTE], out[GRADIENT] = square, absolute, gradients
