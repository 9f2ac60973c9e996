"""Refuses tuning jobs that cannot be executed, and completes the others."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from local_sagemaker import builtin, builtin_tuning
from local_sagemaker.api import training, warm_start
from local_sagemaker.context import Context
from local_sagemaker.errors import invalid
from local_sagemaker.jobs import search
from local_sagemaker.jobs.evaluations import resources, training_request
from local_sagemaker.storage.records import Record

_NO_RANGES: Record = {  # SDKs read each of them
    "IntegerParameterRanges": [],
    "ContinuousParameterRanges": [],
    "CategoricalParameterRanges": [],
}
_NUMBERS: dict[str, Any] = {"IntegerParameterRanges": int, "ContinuousParameterRanges": float}
_MAX_RANGES = 30
_AUTOTUNE_JOBS = 20  # for a request with Autotune and without MaxNumberOfTrainingJobs


def complete(context: Context, request: Record) -> None:
    """Refuse a request that cannot be executed, and complete its definitions and its ranges.

    Raises: ServiceError.
    """
    config = request["HyperParameterTuningJobConfig"]
    _check_strategy(config)
    if automatic := "Autotune" in request:
        config["ResourceLimits"].setdefault("MaxNumberOfTrainingJobs", _AUTOTUNE_JOBS)
    for definition in _definitions(request):
        ranges = definition["HyperParameterRanges"] or {}
        if ranges.get("AutoParameters") and not automatic:
            raise invalid("AutoParameters need Autotune with the Mode Enabled.")
        _complete_definition(context, definition)
        ranges = {**_NO_RANGES, **ranges}
        if automatic:
            _choose_ranges(definition, ranges)
        definition["HyperParameterRanges"] = ranges
        _check_ranges(definition, config)
    if single := request.get("TrainingJobDefinition"):
        config["HyperParameterTuningJobObjective"] = single.pop("TuningObjective")
        config["ParameterRanges"] = single.pop("HyperParameterRanges")
    config.setdefault("TrainingJobEarlyStoppingType", "Off")
    warm_start.check(context, request)


def _definitions(request: Record) -> Sequence[Record]:
    """Return the definitions, each with its objective and its ranges."""
    config = request["HyperParameterTuningJobConfig"]
    several, single = request.get("TrainingJobDefinitions"), request.get("TrainingJobDefinition")
    if (several is None) == (single is None):
        raise invalid("Specify either TrainingJobDefinition or TrainingJobDefinitions.")
    common = {
        "TuningObjective": config.get("HyperParameterTuningJobObjective"),
        "HyperParameterRanges": config.get("ParameterRanges"),
    }
    given = [member for member, value in common.items() if value]
    for definition in several or [single]:
        if twice := [member for member in given if several or definition.get(member)]:
            raise invalid(
                f"{' and '.join(twice)} must be in each of TrainingJobDefinitions, or for a single"
                " TrainingJobDefinition in HyperParameterTuningJobConfig, and not in both."
            )
        for member, value in common.items():
            definition.setdefault(member, value)
        if definition["TuningObjective"] is None:
            raise invalid("A TrainingJobDefinition needs an objective metric.")
    definitions: list[Record] = several or [single]
    names = [definition.get("DefinitionName") for definition in definitions]
    if several and (None in names or len(set(names)) != len(names)):
        raise invalid("Each of TrainingJobDefinitions must have a DefinitionName of its own.")
    if len({definition["TuningObjective"]["Type"] for definition in definitions}) > 1:
        raise invalid("The objectives of all TrainingJobDefinitions must have the same Type.")
    return definitions


def _check_strategy(config: Record) -> None:
    strategy = config["Strategy"]
    if strategy != "Hyperband":
        if "StrategyConfig" in config:
            raise invalid("StrategyConfig is for the strategy Hyperband only.")
        return
    if config.get("TrainingJobEarlyStoppingType", "Off") != "Off":
        raise invalid("TrainingJobEarlyStoppingType must be Off for the strategy Hyperband.")


def _complete_definition(context: Context, definition: Record) -> None:
    """Check a definition as a training job, and its objective."""
    older, newer = definition.get("ResourceConfig"), "HyperParameterTuningResourceConfig"
    if older is None and newer not in definition:
        raise invalid(f"Specify either ResourceConfig or {newer}.")
    if "InstanceConfigs" in (config := definition.get(newer) or {}):
        if twice := [n for n in config if n in ("InstanceType", "InstanceCount", "VolumeSizeInGB")]:
            raise invalid(f"{newer}: {', '.join(twice)} must not be beside InstanceConfigs.")
    elif "AllocationStrategy" in config:
        raise invalid(f"{newer}: AllocationStrategy needs InstanceConfigs.")
    static = definition.setdefault("StaticHyperParameters", {})
    job = training_request(definition, {})
    if older not in (None, job["ResourceConfig"]):
        raise invalid(f"Specify either ResourceConfig or {newer}, or the same in both.")
    specification = training.check(context, job)
    objective, image = definition["TuningObjective"], specification["TrainingImage"]
    if builtin.is_builtin(image):
        builtin_tuning.check_objective(objective, image)
    elif objective["MetricName"] not in [m["Name"] for m in specification["MetricDefinitions"]]:
        raise invalid(
            "A metric is required for this hyperparameter tuning job objective. Provide a metric in"
            f" the metric definitions; none of them is {objective['MetricName']}."
        )
    definition |= {
        "AlgorithmSpecification": specification,
        "ResourceConfig": job["ResourceConfig"],  # the SDK's `attach` reads it
        "OutputDataConfig": {"KmsKeyId": "", **definition["OutputDataConfig"]},
        "StaticHyperParameters": {**static, "_tuning_objective_metric": objective["MetricName"]},
    }


def _choose_ranges(definition: Record, ranges: Record) -> None:
    """Add a range for each of AutoParameters; those that cannot be tuned keep their hint.

    Without ranges, all tunable hyperparameters that are not static are chosen.
    """
    ours = builtin.is_ours(definition["AlgorithmSpecification"]["TrainingImage"])
    static = definition["StaticHyperParameters"]
    hints = {entry["Name"]: entry["ValueHint"] for entry in ranges.get("AutoParameters") or ()}
    if ours and not any(ranges.values()):
        hints = {k: v for k, v in builtin_tuning.defaults().items() if k not in static}
    for name, hint in hints.items():
        if chosen := builtin_tuning.automatic_range(name, hint, ours):
            kind, entry = chosen
            ranges[kind] = [*ranges[kind], entry]
        else:
            static[name] = hint


def _check_ranges(definition: Record, config: Record) -> None:
    """Check the ranges of a definition, and the limits that depend on them."""
    ranges = {k: v for k, v in definition["HyperParameterRanges"].items() if k in _NO_RANGES}
    names = [entry["Name"] for entries in ranges.values() for entry in entries or ()]
    if not names:
        raise invalid("ParameterRanges must have at least one range.")
    if len(names) > _MAX_RANGES:
        raise invalid(f"ParameterRanges may have {_MAX_RANGES} ranges at most; got {len(names)}.")
    if len(set(names)) != len(names):
        raise invalid("A hyperparameter may have one range only.")
    if both := [name for name in names if name in definition["StaticHyperParameters"]]:
        raise invalid(f"Hyperparameters cannot be static and have a range: {', '.join(both)}.")
    if config["Strategy"] == "Grid" and len(names) != len(ranges["CategoricalParameterRanges"]):
        raise invalid("Grid search takes categorical ranges only.")
    image = definition["AlgorithmSpecification"]["TrainingImage"]
    if builtin.is_builtin(image):
        builtin_tuning.check_ranges(ranges, image)
    for kind, number in _NUMBERS.items():
        for entry in ranges[kind]:
            _check_range(entry, number)
    for entry in ranges["CategoricalParameterRanges"]:
        if len(set(entry["Values"])) != len(entry["Values"]):
            raise invalid(f"The values of {entry['Name']} must differ.")
    _check_limits(definition, config, search.combinations(ranges))


def _check_limits(definition: Record, config: Record, combinations: float) -> None:
    limits = config["ResourceLimits"]
    count = limits.get("MaxNumberOfTrainingJobs")
    if count is None and config["Strategy"] != "Grid":
        raise invalid("ResourceLimits: MaxNumberOfTrainingJobs is required.")
    if count is not None and combinations < count:
        raise invalid(
            "You don't have enough combinations of hyperparameter ranges. The total number of"
            f" hyperparameter combinations for the provided ranges [{combinations}] must be equal"
            f" or greater than the value of MaxNumberOfJobs, [{count}]. Provide additional ranges."
        )
    if bounds := resources(config, definition):
        if not bounds[1]:
            raise invalid(
                "HyperbandStrategyConfig: MaxResource is required, because it is not among the"
                " static hyperparameters as epochs."
            )
        if bounds[0] > bounds[1]:
            raise invalid(
                f"HyperbandStrategyConfig: MinResource {bounds[0]} must not be above MaxResource"
                f" {bounds[1]}."
            )


def _check_range(entry: Mapping[str, Any], number: Any) -> None:
    name = entry["Name"]
    try:
        low, high = number(entry["MinValue"]), number(entry["MaxValue"])
    except ValueError as error:
        kind = "integer" if number is int else "number"
        raise invalid(f"The ends of the range of {name} must be a {kind} each.") from error
    if not low < high or not math.isfinite(high - low):
        raise invalid(f"The range of {name} must not be empty; got {low} to {high}.")
    scaling = entry.get("ScalingType", "Auto")
    if scaling == "Logarithmic" and low <= 0:
        raise invalid(f"The range of {name} must be above 0 for ScalingType Logarithmic.")
    if scaling == "ReverseLogarithmic" and (number is int or low < 0 or high >= 1):
        raise invalid(
            f"ReverseLogarithmic is for continuous ranges within [0, 1); got that of {name}."
        )
