"""Lanes where nothing is compiled (NUMBA_DISABLE_JIT): numpy arrays of sixteen, for a debugger.

The functions are those of `lanes`, which says what they do.
"""

from typing import Any

import numpy as np

LINE = 16


def splat(scalar: Any) -> Any:
    """Return a float32 in every lane."""
    return np.full(LINE, scalar, np.float32)


def load(array: Any, index: Any, count: Any) -> Any:
    """Return `count` elements and then zeros."""
    lanes = splat(0)
    n = min(LINE, int(count))
    lanes[:n] = array.reshape(-1)[int(index) : int(index) + n]
    return lanes


def store(array: Any, index: Any, count: Any, lanes: Any) -> None:
    """Write the first `count` lanes."""
    n = min(LINE, int(count))
    array.reshape(-1)[int(index) : int(index) + n] = lanes[:n]


def clipped(lanes: Any, limit: Any) -> Any:
    """Return each lane brought within [-limit, limit]."""
    return np.clip(lanes, -limit, limit)


def total(lanes: Any) -> Any:
    """Return the sum of the lanes."""
    return np.float32(lanes.sum())


def float_of(bits: Any) -> Any:
    """Return the float32 that is written with the bits of an int32."""
    return np.int32(bits).view(np.float32)


square_root = np.sqrt


def nothing(*_: Any) -> None:
    """Do nothing: caches and estimates are the compiler's."""


prefetch = estimates = nothing
