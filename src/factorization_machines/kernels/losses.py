"""Loss gradients and metric sums of a block of rows."""

import math
from typing import Any

import numpy as np
from numba import types

from factorization_machines.kernels.columns import (
    ABSOLUTE,
    COLUMNS,
    CORRECT,
    LOSS,
    POSITIVE,
    PREDICTED,
    SQUARE,
    TRUE_POSITIVE,
)
from factorization_machines.kernels.jit import REASSOCIATE, inlined_kernel
from factorization_machines.kernels.simd import float_of
from factorization_machines.kernels.types import D1, F1, Float32, Float64

BLOCK = 64  # rows of one partial sum; a product of 64 factors up to 2 fits float64

# The sums of a block: the columns of the metrics, then the loss gradient.
GRADIENT = COLUMNS
BLOCK_COLUMNS = COLUMNS + 1

Int = Any

_LOWEST = np.float32(-87)  # about the log of the smallest normal number
_LOG2_E = np.float32(1 / math.log(2))
# log(2) in two parts: a multiple of the first below 256 is exact.
_LOG_2 = np.float32(0.693359375)
_LOG_2_REST = np.float32(math.log(2) - 0.693359375)
_TAYLOR = tuple(np.float32(1 / math.factorial(n)) for n in (7, 6, 5, 4, 3, 2))


@inlined_kernel(types.float32(types.float32), fastmath={"contract"})
def exponential(x: Any) -> Any:
    """Return exp(x) for x <= 0 with a relative error of 2e-7; exp(-87) for smaller x and NaN.

    A loop over this function is vectorised; one over the C library's function is not.
    """
    x = x if x > _LOWEST else _LOWEST
    whole = np.floor(x * _LOG2_E + np.float32(0.5))
    rest = x - whole * _LOG_2 - whole * _LOG_2_REST
    series = _TAYLOR[0]
    for factor in _TAYLOR[1:]:
        series = series * rest + factor
    value = (series * rest + np.float32(1)) * rest + np.float32(1)
    return value * float_of((np.int32(whole) + np.int32(127)) << np.int32(23))


_LOSS = types.void(F1, F1, types.float32, F1, D1)


@inlined_kernel(_LOSS, fastmath=REASSOCIATE)
def logistic(z: Float32, y: Float32, scale: Any, dz: Float32, out: Float64) -> None:
    """Write the logistic loss gradients and sums of at most BLOCK rows.

    Args:
        z: (n,) scores.
        y: (n,) labels.
        scale: factor of the gradients.
        dz: (n,) receives the gradients.
        out: (BLOCK_COLUMNS,) receives the sums.
    """
    # The compiler vectorises separate loops that each use one type. Counts are float32, which is
    # exact up to BLOCK.
    one, zero, half = np.float32(1), np.float32(0), np.float32(0.5)
    for i in range(z.size):
        dz[i] = exponential(-abs(z[i]))
    # The loss is log(1 + small) + max(z, 0) - z * y. The block needs only one logarithm, of the
    # product of all (1 + small). z * y keeps a NaN of z.
    loss, product = 0.0, 1.0
    for i in range(z.size):
        product *= 1.0 + np.float64(dz[i])
        loss += np.float64(z[i]) * ((1.0 if z[i] > zero else 0.0) - np.float64(y[i]))
    correct, true_positive, predicted, positive = zero, zero, zero, zero
    for i in range(z.size):
        small, label = dz[i], y[i]
        score = (one if z[i] >= zero else small) / (one + small)
        prediction = one if score > half else zero
        actual = one if label > half else zero
        correct += one if prediction == actual else zero
        true_positive += prediction * actual
        predicted += prediction
        positive += actual
        dz[i] = (score - label) * scale
    gradients = 0.0
    for i in range(z.size):
        gradients += np.float64(dz[i])
    out[:] = 0
    out[LOSS] = loss + math.log(product)
    out[CORRECT], out[TRUE_POSITIVE] = correct, true_positive
    out[PREDICTED], out[POSITIVE] = predicted, positive
    out[GRADIENT] = gradients


@inlined_kernel(_LOSS, fastmath=REASSOCIATE)
def squared(z: Float32, y: Float32, scale: Any, dz: Float32, out: Float64) -> None:
    """Write the gradients and sums of the squared error; see `logistic`."""
    square, absolute, gradients = 0.0, 0.0, 0.0
    for i in range(z.size):
        error = np.float64(z[i]) - np.float64(y[i])
        square += error * error
        absolute += abs(error)
        dz[i] = (z[i] - y[i]) * scale
        gradients += np.float64(dz[i])
    out[:] = 0
    out[SQUARE], out[ABSOLUTE], out[GRADIENT] = square, absolute, gradients


@inlined_kernel(types.void(F1, F1, D1))
def weigh(weights: Float32, dz: Float32, out: Float64) -> None:
    """Multiply the loss gradients of a block by the weights of its rows, and sum them again."""
    gradients = 0.0
    for i in range(dz.size):
        dz[i] *= weights[i]
        gradients += np.float64(dz[i])
    out[GRADIENT] = gradients


@inlined_kernel(types.float64(types.boolean, types.float32, types.int64, types.float32, D1))
def empty_rows(classifier: bool, z: Any, count: int, scale: Any, sums: Float64) -> Any:
    """Add the metrics of `count` empty rows of label 0 to `sums`; return their gradient of w0.

    The built-in algorithm fills up the last batch of an epoch with such rows. They change only the
    bias, so a closed form replaces them.

    Args:
        classifier: selects `logistic` or `squared`.
        z: score of the rows, which is the bias.
        count: number of rows.
        scale: factor of the loss gradients.
        sums: (COLUMNS,) metric sums.
    """
    wide = np.float64(z)
    if not classifier:
        sums[SQUARE] += count * wide * wide
        sums[ABSOLUTE] += count * abs(wide)
        return count * np.float64(z * scale)
    one, half = np.float32(1), np.float32(0.5)
    small = exponential(-abs(z))
    score = (one if z >= 0 else small) / (one + small)
    sums[LOSS] += count * (math.log(1.0 + np.float64(small)) + max(wide, 0.0))
    if score > half:
        sums[PREDICTED] += count
    else:
        sums[CORRECT] += count
    return count * np.float64(score * scale)
