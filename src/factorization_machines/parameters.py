"""The parameters of a factorization machine as NumPy arrays; loads no torch."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

CACHE_LINE = 64  # bytes


@dataclass(frozen=True)
class Parameters:
    """Float32 arrays: `w0` (1,) bias, `w` (d,) linear weights, `v` (d, k) factors.

    d is feature_dim, k is num_factors; row v[i] belongs to feature i.
    """

    w0: Float32
    w: Float32
    v: Float32

    @property
    def feature_dim(self) -> int:
        """Return d."""
        return int(self.v.shape[0])

    @property
    def num_factors(self) -> int:
        """Return k."""
        return int(self.v.shape[1])

    def copy(self) -> "Parameters":
        """Return a copy in newly allocated, aligned memory."""
        copy = Parameters(*(aligned(array.shape) for array in (self.w0, self.w, self.v)))
        copy.copy_from(self)
        return copy

    def copy_from(self, other: "Parameters") -> None:
        """Copy the values of other parameters of the same shapes in place."""
        self.w0[:], self.w[:], self.v[:] = other.w0, other.w, other.v

    def finite(self) -> bool:
        """Return whether no parameter is NaN or infinite."""
        return all(bool(np.isfinite(array).all()) for array in (self.w0, self.w, self.v))


def aligned(shape: tuple[int, ...], dtype: type[np.generic] = np.float32) -> NDArray[Any]:
    """Return zeros that share no cache line with other memory."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.zeros(-(-size // CACHE_LINE) * CACHE_LINE + CACHE_LINE, np.uint8)
    begin = -memory.ctypes.data % CACHE_LINE
    return memory[begin : begin + size].view(dtype).reshape(shape)
