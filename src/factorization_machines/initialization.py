"""Initial parameters: those of the built-in, which MXNet's CPU random generator draws.

MXNet has 1024 engines. A tensor is split into equal parts, one for each engine, and an engine
continues with the next tensor where it stopped.
Source: MXNet 1.9, `include/mxnet/random_generator.h` and `src/operator/random/sampler.h`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from factorization_machines.config import TrainingConfig
from factorization_machines.errors import PlatformError
from factorization_machines.kernels.random import WORDS, fill, seed_engine
from factorization_machines.parameters import Float32, Parameters, aligned

ENGINES = 1024
MIN_NUMBERS = 64  # that an engine draws, unless the tensor has fewer
SEED_STEP = 127  # engine i of seed s is seeded with 127 * s + i


@dataclass(frozen=True)
class Draw:
    """A tensor to fill with random numbers: `out` (n,) float32."""

    out: Float32
    normal: bool
    """Whether the numbers are normal with mean 0, or uniform."""
    scale: float
    """The standard deviation, or half of the range around 0."""


def draw(seed: int, draws: Sequence[Draw]) -> None:
    """Fill tensors with the numbers that MXNet draws in this order after `mx.random.seed(seed)`.

    Cost: about 20 ns for a normal number.
    """
    shares = [-(-item.out.size // _engines(item.out.size)) for item in draws]
    state, outputs, position = (
        np.empty(WORDS, np.uint32),
        np.empty(WORDS, np.uint32),
        np.empty(1, np.int64),
    )
    for engine in range(max((_engines(item.out.size) for item in draws), default=0)):
        seed_engine(state, position, np.uint32((SEED_STEP * seed + engine) % 2**32))
        for item, share in zip(draws, shares, strict=True):
            part = item.out[engine * share : (engine + 1) * share]
            fill(state, outputs, position, item.normal, np.float32(item.scale), part)


def _engines(size: int) -> int:
    return max(1, min(-(-size // MIN_NUMBERS), ENGINES))


def initial_parameters(config: TrainingConfig) -> Parameters:
    """Return the initial parameters; with seed 0 those of the built-in.

    A term that is switched off is zero. The same seed gives the same bytes wherever the C library
    has the same logarithm.

    Raises: PlatformError if they do not fit into memory.
    """
    d, k = config.feature_dim, config.num_factors
    try:
        arrays = {"w0": aligned((1,)), "w": aligned((d,)), "v": aligned((d, k))}
    except (MemoryError, ValueError):  # numpy raises ValueError beyond the address space
        raise PlatformError(
            f"not enough memory for feature_dim {d} x num_factors {k}: "
            f"{d * k * 4 / 1e9:.1f} GB, and Adam's moments take twice as much again"
        ) from None
    draws = []
    terms = {"w0": config.bias, "w": config.linear, "v": config.factors}
    used = {"w0": config.use_bias, "w": config.use_linear, "v": True}
    for name in filter(used.get, config.draw_order):
        values, term = arrays[name].reshape(-1), terms[name]
        if term.init_method == "constant":
            values[:] = term.init_value
        elif term.init_method == "uniform":
            draws.append(Draw(values, normal=False, scale=term.init_scale or 0.0))
        else:
            draws.append(Draw(values, normal=True, scale=term.init_sigma))
    draw(config.seed, draws)
    return Parameters(**arrays)
