"""How a tuning job chooses hyperparameters: optuna does the search, a grid is gone through."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import optuna

from local_sagemaker.api.errors import invalid

_WIDE = 1000.0  # a range whose ends differ by more is searched by its logarithm, where left open
_KINDS = {
    "IntegerParameterRanges": int,
    "ContinuousParameterRanges": float,
}
Values = dict[str, str]


class Search(Protocol):
    """Something that proposes hyperparameters and learns from what came of them."""

    def propose(self) -> tuple[Any, Values] | None:
        """Return a key and the values to try next, or None where all were tried."""

    def report(self, key: Any, step: int, value: float) -> bool:
        """Take a running job's objective; return whether the job is better ended."""

    def tell(self, key: Any, value: float | None) -> None:
        """Take a job's final objective, None where there is none."""


class Grid:
    """Every combination of categorical values, once."""

    def __init__(self, ranges: Mapping[str, Any]):
        """Take ParameterRanges with categorical ranges alone."""
        lists = {
            one["Name"]: one["Values"] for one in ranges.get("CategoricalParameterRanges") or ()
        }
        self.size = math.prod(len(values) for values in lists.values())
        self._left: Iterator[tuple[str, ...]] = itertools.product(*lists.values())
        self._names = list(lists)

    def propose(self) -> tuple[Any, Values] | None:
        """Return the next combination."""
        found = next(self._left, None)
        return None if found is None else (None, dict(zip(self._names, found, strict=True)))

    def report(self, _key: Any, _step: int, _value: float) -> bool:
        """Return False: a grid is gone through whole."""
        return False

    def tell(self, _key: Any, _value: float | None) -> None:
        """Do nothing."""


class Sampler:
    """Random values, or those that a tree-structured Parzen estimator expects most of."""

    def __init__(self, ranges: Mapping[str, Any], strategy: str, maximize: bool, seed: int):
        """Take ParameterRanges; strategy is Random or Bayesian."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler: optuna.samplers.BaseSampler
        if strategy == "Random":
            sampler = optuna.samplers.RandomSampler(seed=seed)
        else:
            # 10 random ones first are optuna's default; constant_liar is for jobs in parallel.
            sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        self._distributions, self._reversed = _distributions(ranges)
        self._study = optuna.create_study(
            sampler=sampler,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
            direction="maximize" if maximize else "minimize",
        )

    def propose(self) -> tuple[Any, Values] | None:
        """Return a trial and its values."""
        trial = self._study.ask(self._distributions)
        values = {}
        for name, value in trial.params.items():
            shown = 1.0 - value if name in self._reversed else value
            values[name] = repr(shown) if isinstance(shown, float) else str(shown)
        return trial, values

    def report(self, key: Any, step: int, value: float) -> bool:
        """Return whether the job is worse than the median of the others at this step."""
        key.report(value, step)
        return bool(key.should_prune())

    def tell(self, key: Any, value: float | None) -> None:
        """Take what came of a trial."""
        if value is None:
            self._study.tell(key, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(key, value)


def check(ranges: Mapping[str, Any], strategy: str) -> None:
    """Raise a ValidationException where the ranges cannot be searched."""
    names = [one["Name"] for found in ranges.values() for one in found or ()]
    if not names:
        raise invalid("ParameterRanges must have at least one range.")
    if len(set(names)) != len(names):
        raise invalid("A hyperparameter may have one range only.")
    if ranges.get("AutoParameters"):
        raise invalid("AutoParameters are not offered here; give each range.")
    if strategy == "Grid" and len(names) != len(ranges.get("CategoricalParameterRanges") or ()):
        raise invalid("Grid search takes categorical ranges only.")
    for kind, read in _KINDS.items():
        for one in ranges.get(kind) or ():
            _check_range(one, read)


def make(ranges: Mapping[str, Any], strategy: str, maximize: bool, seed: int) -> Grid | Sampler:
    """Return the search for a strategy: Random, Grid or Bayesian."""
    return Grid(ranges) if strategy == "Grid" else Sampler(ranges, strategy, maximize, seed)


def _check_range(one: Mapping[str, Any], read: Any) -> None:
    name = one["Name"]
    try:
        low, high = read(one["MinValue"]), read(one["MaxValue"])
    except ValueError as error:
        kind = "integer" if read is int else "number"
        raise invalid(f"The ends of the range of {name} must be a {kind} each.") from error
    if not low <= high or not math.isfinite(high - low):
        raise invalid(f"The range of {name} must not be empty; got {low} to {high}.")
    scaling = one.get("ScalingType", "Auto")
    if scaling == "Logarithmic" and low <= 0:
        raise invalid(f"The range of {name} must be above 0 for ScalingType Logarithmic.")
    if scaling == "ReverseLogarithmic" and (read is int or low < 0 or high >= 1):
        raise invalid(
            f"ReverseLogarithmic is for continuous ranges within [0, 1); got that of {name}."
        )


def _distributions(ranges: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """Return optuna's distributions, and the names whose values are 1 minus what is drawn."""
    found: dict[str, Any] = {}
    turned: set[str] = set()
    for one in ranges.get("IntegerParameterRanges") or ():
        low, high = int(one["MinValue"]), int(one["MaxValue"])
        found[one["Name"]] = optuna.distributions.IntDistribution(low, high, log=_log(one))
    for one in ranges.get("ContinuousParameterRanges") or ():
        low_value, high_value = float(one["MinValue"]), float(one["MaxValue"])
        log = _log(one)
        if one.get("ScalingType") == "ReverseLogarithmic":
            turned.add(one["Name"])
            low_value, high_value, log = 1.0 - high_value, 1.0 - low_value, True
        found[one["Name"]] = optuna.distributions.FloatDistribution(low_value, high_value, log=log)
    categories: Sequence[Mapping[str, Any]] = ranges.get("CategoricalParameterRanges") or ()
    for one in categories:
        found[one["Name"]] = optuna.distributions.CategoricalDistribution(one["Values"])
    return found, turned


def _log(one: Mapping[str, Any]) -> bool:
    scaling, low = one.get("ScalingType", "Auto"), float(one["MinValue"])
    wide = low > 0 and float(one["MaxValue"]) / low >= _WIDE
    return bool(scaling == "Logarithmic" or (scaling == "Auto" and wide))
