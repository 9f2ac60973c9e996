"""Initial parameters: the built-in's, which MXNet's CPU random generator draws.

MXNet has 1024 engines. A tensor is split into equal parts, one for each engine, and an engine
continues with the next tensor where it stopped.
Source: MXNet 1.9, `include/mxnet/random_generator.h` and `src/operator/random/sampler.h`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from factorization_machines.config import Settings
from factorization_machines.errors import PlatformError
from factorization_machines.kernels.random import WORDS, fill, seed_engine
from factorization_machines.parameters import Float32, Parameters, aligned

ENGINES = 1024
NUMBERS_OF_AN_ENGINE = 64  # at least, unless the tensor has fewer
SEED_STEP = 127  # engine i of seed s is seeded with 127 * s + i


@dataclass(frozen=True)
class Draw:
    """One tensor to fill: `out` (n,) float32, which is written."""

    out: Float32
    normal: bool
    """Whether its numbers are normal with mean 0, or uniform."""
    scale: float
    """The standard deviation, or half of the range around 0."""


def draw(seed: int, draws: Sequence[Draw]) -> None:
    """Fill tensors in their order, with the numbers that MXNet draws after `mx.random.seed(seed)`.

    Cost: about 20 ns a normal number.
    """
    shares = [-(-one.out.size // _engines(one.out.size)) for one in draws]
    state, outputs, position = (
        np.empty(WORDS, np.uint32),
        np.empty(WORDS, np.uint32),
        np.empty(1, np.int64),
    )
    for engine in range(max((_engines(one.out.size) for one in draws), default=0)):
        seed_engine(state, position, np.uint32((SEED_STEP * seed + engine) % 2**32))
        for one, share in zip(draws, shares, strict=True):
            part = one.out[engine * share : (engine + 1) * share]
            fill(state, outputs, position, one.normal, np.float32(one.scale), part)


def _engines(size: int) -> int:
    return max(1, min(-(-size // NUMBERS_OF_AN_ENGINE), ENGINES))


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
