"""How much memory training takes for its parameters, before any of it is asked for."""

from bisect import bisect_right
from dataclasses import replace

from factorization_machines.config import Settings
from factorization_machines.training_state import MOMENTS


def parameter_bytes(settings: Settings, threads: int = 1, *, copied: bool = False) -> int:
    """Return the bytes of parameters, optimiser state and what training keeps beside them.

    `copied`: with the copy of parameters and state that a checkpoint is written from.
    """
    d, k = settings.feature_dim, settings.num_factors
    trained = 1 + len(MOMENTS[settings.optimizer])
    arrays = trained * (1 + copied) + (settings.patience > 0)
    # Threads that share the factors have them in memory of their own; every thread has an index
    # of the features; the check for numbers that are not finite takes a byte a parameter.
    return 4 * d * ((k + 1) * arrays + k * (threads > 1) + threads) + d * k


def fitting(
    settings: Settings, threads: int, room: int, *, copied: bool = False
) -> tuple[int, int]:
    """Return the largest num_factors, and the largest feature_dim, that take no more than `room`.

    Each is what fits with the other as it is; 0 where none does.
    """

    def of_factors(k: int) -> int:
        return parameter_bytes(replace(settings, num_factors=k), threads, copied=copied)

    def of_features(d: int) -> int:
        return parameter_bytes(replace(settings, feature_dim=d), threads, copied=copied)

    k = bisect_right(range(1, settings.num_factors + 1), room, key=of_factors)
    d = bisect_right(range(1, settings.feature_dim + 1), room, key=of_features)
    return k, d
