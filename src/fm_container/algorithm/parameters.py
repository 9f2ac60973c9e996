"""The parameters of a factorization machine, and their initial values."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fm_container.algorithm.settings import Settings
from fm_container.errors import PlatformError

Float32 = NDArray[np.float32]

LINE = 64  # bytes


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
        """Return the same values in memory of their own."""
        copy = Parameters(*(aligned(array.shape) for array in (self.w0, self.w, self.v)))
        copy.take(self)
        return copy

    def take(self, other: "Parameters") -> None:
        """Take over the values of another one of the same shapes, in place."""
        self.w0[:], self.w[:], self.v[:] = other.w0, other.w, other.v

    def finite(self) -> bool:
        """Return whether no parameter is NaN or infinite."""
        return all(bool(np.isfinite(array).all()) for array in (self.w0, self.w, self.v))


def initial(settings: Settings) -> Parameters:
    """Return the initial parameters: those of the built-in where the seed is 0.

    A term that is switched off is zero and stays so. The same seed gives the same bytes wherever
    the C library has the same logarithm.

    Raises: PlatformError if they do not fit into memory.
    """
    d, k = settings.feature_dim, settings.num_factors
    try:
        arrays = {"w0": aligned((1,)), "w": aligned((d,)), "v": aligned((d, k))}
    except (MemoryError, ValueError):  # numpy's words for what no address space can hold
        raise PlatformError(
            f"not enough memory for feature_dim {d} x num_factors {k}: "
            f"{d * k * 4 / 1e9:.1f} GB, and Adam's moments take twice as much again"
        ) from None
    # Here and not above: serving takes `Parameters` from here, and does not load numba.
    from fm_container.algorithm.generator import Draw, draw

    draws = []
    terms = {"w0": settings.bias, "w": settings.linear, "v": settings.factors}
    used = {"w0": settings.use_bias, "w": settings.use_linear, "v": True}
    for name in filter(used.get, settings.draw_order):
        values, term = arrays[name].reshape(-1), terms[name]
        if term.init_method == "constant":
            values[:] = term.init_value
        elif term.init_method == "uniform":
            draws.append(Draw(values, normal=False, scale=term.init_scale or 0.0))
        else:
            draws.append(Draw(values, normal=True, scale=term.init_sigma))
    draw(settings.seed, draws)
    return Parameters(**arrays)


def aligned(shape: tuple[int, ...], dtype: type[np.generic] = np.float32) -> NDArray[Any]:
    """Return zeros that share no cache line with anything else, as those of numpy may."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.zeros(-(-size // LINE) * LINE + LINE, np.uint8)
    begin = -memory.ctypes.data % LINE
    return memory[begin : begin + size].view(dtype).reshape(shape)
