"""The search for hyperparameters of a tuning job: optuna's samplers, and a grid."""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import optuna

from local_sagemaker.errors import invalid

_WIDE = 1000.0  # ScalingType Auto is logarithmic if the ends of a range differ by this factor
_KINDS = {
    "IntegerParameterRanges": int,
    "ContinuousParameterRanges": float,
}
Values = dict[str, str]
Range = Mapping[str, Any]


class Search(Protocol):
    """Proposes hyperparameters and learns from the results."""

    def propose(self) -> tuple[Any, Values] | None:
        """Return a key and the values to try next, or None if there are no more."""

    def report(self, key: Any, step: int, value: float) -> bool:
        """Take a running job's objective; return whether the job should be stopped early."""

    def finish(self, key: Any, value: float | None) -> None:
        """Take a job's final objective, or None if it has none."""


class Grid:
    """Each combination of categorical values, once."""

    def __init__(self, ranges: Mapping[str, Any]):
        """Take ParameterRanges that have categorical ranges only."""
        categorical = ranges.get("CategoricalParameterRanges") or ()
        values = {entry["Name"]: entry["Values"] for entry in categorical}
        self.size = math.prod(map(len, values.values()))
        self._combinations: Iterator[tuple[str, ...]] = itertools.product(*values.values())
        self._names = list(values)

    def propose(self) -> tuple[Any, Values] | None:
        """Return the next combination."""
        values = next(self._combinations, None)
        return None if values is None else (None, dict(zip(self._names, values, strict=True)))

    def report(self, _key: Any, _step: int, _value: float) -> bool:
        """Return False: a grid has no early stopping."""
        return False

    def finish(self, _key: Any, _value: float | None) -> None:
        """Do nothing."""


class Sampler:
    """Random values, or those of a tree-structured Parzen estimator."""

    def __init__(self, ranges: Mapping[str, Any], strategy: str, maximize: bool, seed: int):
        """Take ParameterRanges; strategy is Random or Bayesian."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler: optuna.samplers.BaseSampler
        if strategy == "Random":
            sampler = optuna.samplers.RandomSampler(seed=seed)
        else:
            # optuna's default starts with 10 random values; constant_liar is for parallel jobs.
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
        for name, drawn in trial.params.items():
            value = 1.0 - drawn if name in self._reversed else drawn
            values[name] = repr(value) if isinstance(value, float) else str(value)
        return trial, values

    def report(self, key: Any, step: int, value: float) -> bool:
        """Return whether the job is worse than the median of the others at this step."""
        key.report(value, step)
        return bool(key.should_prune())

    def finish(self, key: Any, value: float | None) -> None:
        """Take a trial's result."""
        if value is None:
            self._study.tell(key, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(key, value)


def check(ranges: Mapping[str, Any], strategy: str) -> None:
    """Raise a ValidationException if the ranges cannot be searched."""
    names = [entry["Name"] for entries in ranges.values() for entry in entries or ()]
    if not names:
        raise invalid("ParameterRanges must have at least one range.")
    if len(set(names)) != len(names):
        raise invalid("A hyperparameter may have one range only.")
    if ranges.get("AutoParameters"):
        raise invalid("AutoParameters are not offered here; specify each range.")
    if strategy == "Grid" and len(names) != len(ranges.get("CategoricalParameterRanges") or ()):
        raise invalid("Grid search takes categorical ranges only.")
    for kind, number in _KINDS.items():
        for entry in ranges.get(kind) or ():
            _check_range(entry, number)


def create(ranges: Mapping[str, Any], strategy: str, maximize: bool, seed: int) -> Grid | Sampler:
    """Return the search for a strategy: Random, Grid or Bayesian."""
    return Grid(ranges) if strategy == "Grid" else Sampler(ranges, strategy, maximize, seed)


def _check_range(entry: Range, number: Any) -> None:
    name = entry["Name"]
    try:
        low, high = number(entry["MinValue"]), number(entry["MaxValue"])
    except ValueError as error:
        kind = "integer" if number is int else "number"
        raise invalid(f"The ends of the range of {name} must be a {kind} each.") from error
    if not low <= high or not math.isfinite(high - low):
        raise invalid(f"The range of {name} must not be empty; got {low} to {high}.")
    scaling = entry.get("ScalingType", "Auto")
    if scaling == "Logarithmic" and low <= 0:
        raise invalid(f"The range of {name} must be above 0 for ScalingType Logarithmic.")
    if scaling == "ReverseLogarithmic" and (number is int or low < 0 or high >= 1):
        raise invalid(
            f"ReverseLogarithmic is for continuous ranges within [0, 1); got that of {name}."
        )


def _distributions(ranges: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """Return optuna's distributions, and the names whose values are 1 minus the drawn value."""
    distributions: dict[str, Any] = {}
    reversed_names: set[str] = set()
    for entry in ranges.get("IntegerParameterRanges") or ():
        first, last = int(entry["MinValue"]), int(entry["MaxValue"])
        distributions[entry["Name"]] = optuna.distributions.IntDistribution(
            first, last, log=_is_logarithmic(entry)
        )
    for entry in ranges.get("ContinuousParameterRanges") or ():
        low, high, log = float(entry["MinValue"]), float(entry["MaxValue"]), _is_logarithmic(entry)
        if entry.get("ScalingType") == "ReverseLogarithmic":
            reversed_names.add(entry["Name"])
            low, high, log = 1.0 - high, 1.0 - low, True
        distributions[entry["Name"]] = optuna.distributions.FloatDistribution(low, high, log=log)
    for entry in ranges.get("CategoricalParameterRanges") or ():
        distributions[entry["Name"]] = optuna.distributions.CategoricalDistribution(entry["Values"])
    return distributions, reversed_names


def _is_logarithmic(entry: Range) -> bool:
    scaling, low = entry.get("ScalingType", "Auto"), float(entry["MinValue"])
    wide = low > 0 and float(entry["MaxValue"]) / low >= _WIDE
    return bool(scaling == "Logarithmic" or (scaling == "Auto" and wide))
