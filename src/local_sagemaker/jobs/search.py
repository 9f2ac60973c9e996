"""The search for hyperparameters of a tuning job: optuna's samplers and pruners, and a grid."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import optuna

_WIDE = 1000.0  # ScalingType Auto is logarithmic if the ends of a range differ by this factor
Values = dict[str, str]
Range = Mapping[str, Any]
Evaluation = tuple[Mapping[str, str], float]  # a job's hyperparameters and its final objective


class Search(Protocol):
    """Proposes hyperparameters and learns from the results."""

    def propose(self) -> tuple[Any, Values] | None:
        """Return a key and the values to try next, or None if there are no more."""

    def report(self, key: Any, step: int, value: float) -> bool:
        """Take a running job's objective; return whether the job should be stopped early."""

    def finish(self, key: Any, value: float | None, pruned: bool = False) -> None:
        """Take a job's final objective, or None if it has none."""


class Grid:
    """Each combination of categorical values, once."""

    def __init__(self, ranges: Mapping[str, Any]):
        """Take ParameterRanges that have categorical ranges only."""
        categorical = ranges.get("CategoricalParameterRanges") or ()
        values = {entry["Name"]: entry["Values"] for entry in categorical}
        self._combinations: Iterator[tuple[str, ...]] = itertools.product(*values.values())
        self._names = list(values)

    def propose(self) -> tuple[Any, Values] | None:
        """Return the next combination."""
        values = next(self._combinations, None)
        return None if values is None else (None, dict(zip(self._names, values, strict=True)))

    def report(self, _key: Any, _step: int, _value: float) -> bool:
        """Return False: a grid has no early stopping."""
        return False

    def finish(self, _key: Any, _value: float | None, _pruned: bool = False) -> None:
        """Do nothing."""


class Sampler:
    """Random values, or those of a tree-structured Parzen estimator."""

    def __init__(
        self,
        ranges: Mapping[str, Any],
        maximize: bool,
        sampler: optuna.samplers.BaseSampler,
        pruner: optuna.pruners.BasePruner,
    ):
        """Take ParameterRanges, and what proposes values and stops jobs early."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._distributions, self._reversed = _distributions(ranges)
        self._study = optuna.create_study(
            study_name="tuning",  # Hyperband derives a trial's bracket from the name
            sampler=sampler,
            pruner=pruner,
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
        """Return whether the pruner stops the job at this step, given the other jobs' values."""
        key.report(value, step)
        return bool(key.should_prune())

    def finish(self, key: Any, value: float | None, pruned: bool = False) -> None:
        """Take a trial's result."""
        if value is not None:
            self._study.tell(key, value)
        else:
            states = optuna.trial.TrialState
            self._study.tell(key, state=states.PRUNED if pruned else states.FAIL)

    def learn(self, hyperparameters: Mapping[str, str], value: float) -> None:
        """Add a finished trial with those values that are within the ranges."""
        known = {}
        for name, distribution in self._distributions.items():
            if name in hyperparameters:
                drawn = _drawn(distribution, hyperparameters[name], name in self._reversed)
                if drawn is not None:
                    known[name] = drawn
        if known:
            trial = optuna.trial.create_trial(
                params=known,
                distributions={name: self._distributions[name] for name in known},
                value=value,
            )
            self._study.add_trial(trial)


def create(
    ranges: Mapping[str, Any],
    strategy: str,
    maximize: bool,
    seed: int,
    resources: tuple[int, int] | None = None,
    known: Sequence[Evaluation] = (),
) -> Grid | Sampler:
    """Return the search for a strategy: Random, Grid, Bayesian or Hyperband.

    Args:
        ranges: ParameterRanges without AutoParameters.
        strategy: the strategy's name.
        maximize: whether a larger objective is better.
        seed: makes the proposals reproducible.
        resources: for Hyperband, the least and the largest number of epochs of a job.
        known: evaluations of other tuning jobs, from which the search starts.
    """
    if strategy == "Grid":
        return Grid(ranges)
    seed += len(known)  # with the same seed, the parents' values would be proposed again
    sampler: optuna.samplers.BaseSampler
    if strategy == "Random":
        sampler = optuna.samplers.RandomSampler(seed=seed)
    else:
        # 10 random values come first, as optuna's default; constant_liar is for parallel jobs.
        sampler = optuna.samplers.TPESampler(
            seed=seed, constant_liar=True, n_startup_trials=1 if known else 10
        )
    pruner: optuna.pruners.BasePruner
    if resources:
        pruner = optuna.pruners.HyperbandPruner(*resources)
    else:
        pruner = optuna.pruners.MedianPruner(n_startup_trials=3)
    search = Sampler(ranges, maximize, sampler, pruner)
    for evaluation in known:
        search.learn(*evaluation)
    return search


def combinations(ranges: Mapping[str, Any]) -> float:
    """Return the number of combinations of values; infinity if a range is continuous."""
    if ranges.get("ContinuousParameterRanges"):
        return math.inf
    integers = (
        int(entry["MaxValue"]) - int(entry["MinValue"]) + 1
        for entry in ranges.get("IntegerParameterRanges") or ()
    )
    categorical = (len(e["Values"]) for e in ranges.get("CategoricalParameterRanges") or ())
    return math.prod((*integers, *categorical))


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


def _drawn(distribution: Any, text: str, is_reversed: bool) -> Any:
    """Return the value of a distribution that a hyperparameter's text is, or None."""
    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        return text if text in distribution.choices else None
    number = int if isinstance(distribution, optuna.distributions.IntDistribution) else float
    try:
        value = 1.0 - float(text) if is_reversed else number(text)
    except ValueError:
        return None
    return value if distribution.low <= value <= distribution.high else None
