"""How much memory a training run needs for its parameters."""

from bisect import bisect_right
from dataclasses import replace

from factorization_machines.config import TrainingConfig
from factorization_machines.optimizers import OPTIMIZERS


def parameter_bytes(config: TrainingConfig, threads: int = 1, *, copied: bool = False) -> int:
    """Return the bytes of parameters, optimizer state and per-feature scratch memory.

    `copied` includes the copy of parameters and optimizer state that a checkpoint is written from.
    """
    d, k = config.feature_dim, config.num_factors
    states = 1 + len(OPTIMIZERS[config.optimizer].state_names)
    arrays = states * (1 + copied) + (config.patience > 0)
    # Several threads keep copies of the factors; every thread has an index of the features; the
    # check for values that are not finite takes a byte for each parameter.
    return 4 * d * ((k + 1) * arrays + k * (threads > 1) + threads) + d * k


def fitting(
    config: TrainingConfig, threads: int, available_bytes: int, *, copied: bool = False
) -> tuple[int, int]:
    """Return the largest num_factors and the largest feature_dim that fit `available_bytes`.

    Each is computed with the other one unchanged; 0 means that none fits.
    """

    def with_factors(k: int) -> int:
        return parameter_bytes(replace(config, num_factors=k), threads, copied=copied)

    def with_features(d: int) -> int:
        return parameter_bytes(replace(config, feature_dim=d), threads, copied=copied)

    k = bisect_right(range(1, config.num_factors + 1), available_bytes, key=with_factors)
    d = bisect_right(range(1, config.feature_dim + 1), available_bytes, key=with_features)
    return k, d
