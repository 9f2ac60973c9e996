"""The parameters of a factorization machine as NumPy arrays, and their score; loads no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # serving must not load scipy
    from scipy.sparse import csr_array

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

    def arrays(self) -> Parameters:
        """Return themselves, so that an engine can train them without a module."""
        return self

    def copy(self) -> Parameters:
        """Return a copy in newly allocated, aligned memory."""
        copy = Parameters(*(aligned(array.shape) for array in (self.w0, self.w, self.v)))
        copy.copy_from(self)
        return copy

    def copy_from(self, other: Parameters) -> None:
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


def score(x: csr_array, parameters: Parameters) -> Float32:
    """Return the second-order factorization-machine score of each row, in O(nnz(x) * k) time.

    Faster implementations are tested against this one.

    Args:
        x: (B, d) float32 features, finite, in canonical form.
        parameters: of the same feature_dim d.

    Returns: (B,) float32. Regressor: in units of the label. Classifier: log-odds, before the
        sigmoid.

    Source: Rendle, "Factorization Machines", ICDM 2010, eq. (1), rewritten by lemma 3.1.
    """
    w0, w, v = parameters.w0, parameters.w, parameters.v
    s = x @ v  # (B, k); the pair sum is 0.5 * sum_f(s_f**2 - sum_i (x_i v_if)**2)
    pairs = (s * s - (x * x) @ (v * v)).sum(axis=1)
    result: Any = w0 + x @ w + np.float32(0.5) * pairs
    return np.asarray(result, np.float32)


def sigmoid(z: Float32) -> Float32:
    """Return 1 / (1 + exp(-z)) element by element, without overflow, in float32."""
    # exp(-|z|) cannot overflow.
    small = np.exp(-np.abs(z))
    scores: Float32 = np.maximum(small, z >= 0) / (1 + small)
    return scores
