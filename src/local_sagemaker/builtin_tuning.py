"""What the built-in algorithm lets a tuning job tune: hyperparameters, ranges and objectives."""

import math
from collections.abc import Mapping
from typing import Any

from local_sagemaker.errors import invalid
from sagemaker_container.contract.hyperparameter_types import Hyperparameter, Integer
from sagemaker_container.contract.hyperparameters import TABLE

OBJECTIVES = {
    "test:rmse": "Minimize",
    "test:binary_classification_accuracy": "Maximize",
    "test:binary_classification_cross_entropy": "Minimize",
    "test:binary_f_beta": "Maximize",
}
_TUNABLE: dict[str, Hyperparameter] = {row.name: row for row in TABLE if row.tunable}
_PUBLISHED = (1e-8, 512.0)  # the range that the public documentation suggests for each number
_INTEGERS, _CONTINUOUS = "IntegerParameterRanges", "ContinuousParameterRanges"


def check_objective(objective: Mapping[str, str], image: str) -> None:
    """Raise a ValidationException for an objective that the built-in does not have."""
    name, kind = objective["MetricName"], objective["Type"]
    if name not in OBJECTIVES:
        raise invalid(
            f"The objective metric for the hyperparameter tuning job, [{name}], isn't valid for"
            f" the [{image}] algorithm. Choose a valid objective metric: {', '.join(OBJECTIVES)}."
        )
    if kind != OBJECTIVES[name]:
        raise invalid(
            f"The objective metric type, [{kind}], that you specified for objective metric,"
            f" [{name}], isn't valid for the [{image}] algorithm. Choose a valid objective metric"
            f" type: {OBJECTIVES[name]}."
        )


def check_ranges(ranges: Mapping[str, Any], image: str) -> None:
    """Raise a ValidationException for a range that the built-in does not allow."""
    entries = [(kind, entry) for kind, group in ranges.items() for entry in group or ()]
    wrong = [entry["Name"] for _, entry in entries if entry["Name"] not in _TUNABLE]
    if wrong:
        raise invalid(
            "The hyperparameter tuning job that you requested has the following untunable"
            f" hyperparameters: [{', '.join(wrong)}]. For the algorithm, {image}, you can tune only"
            f" [{', '.join(sorted(_TUNABLE))}]. Delete untunable hyperparameters."
        )
    for kind, entry in entries:
        row = _TUNABLE[entry["Name"]]
        if kind == _CONTINUOUS and isinstance(row, Integer):
            raise invalid(f"The range of {row.name} must be one of {_INTEGERS}.")
        for value in entry.get("Values") or (entry["MinValue"], entry["MaxValue"]):
            _parse(row, value)


def defaults() -> dict[str, str]:
    """Return the tunable hyperparameters that have a default, with it."""
    return {name: row.default for name, row in _TUNABLE.items() if row.default}


def automatic_range(name: str, hint: str, builtin: bool) -> tuple[str, dict[str, str]] | None:
    """Return the kind and the entry of a range around a value, or None if there is none.

    An integer's range is a quarter to four times the value. A number's is a tenth to ten times the
    value, within the published range.

    Raises: ServiceError if the built-in does not allow the value.
    """
    row = _TUNABLE.get(name)
    if builtin:
        if row is None:
            return None
        integer, value = isinstance(row, Integer), _parse(row, hint)
    else:
        integer, value = _number(hint)
        if value is None:
            return None
    if integer:
        low, high, kind = max(1, value // 4), max(4, value * 4), _INTEGERS
    else:
        ends = sorted((value / 10, value * 10)) if value else _PUBLISHED
        low, high, kind = ends[0], min(ends[1], max(_PUBLISHED[1], value)), _CONTINUOUS
    scaling = "Logarithmic" if low > 0 else "Auto"
    entry = {"Name": name, "MinValue": str(low), "MaxValue": str(high), "ScalingType": scaling}
    return kind, entry


def _number(text: str) -> tuple[bool, Any]:
    """Return whether a text is an integer, and its value; None if it is not a positive number."""
    for number in (int, float):
        try:
            value = number(text)
        except ValueError:
            continue
        return number is int, value if math.isfinite(value) and value > 0 else None
    return False, None


def _parse(row: Hyperparameter, text: str) -> Any:
    try:
        return row.parse(text)
    except ValueError:
        raise invalid(
            f"The range of {row.name} has the value [{text}], which must be {row.allowed()}."
        ) from None
