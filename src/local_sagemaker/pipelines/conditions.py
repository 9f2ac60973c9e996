"""The conditions of a Condition step."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from local_sagemaker.errors import LocalError, invalid

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}
_MEMBERS: Mapping[str, set[str]] = {
    **dict.fromkeys(_COMPARISONS, {"LeftValue", "RightValue"}),
    "In": {"QueryValue", "Values"},
    "Not": {"Condition"},
    "Or": {"Conditions"},
}


def check(condition: Any) -> None:
    """Raise a ValidationException if a condition is malformed."""
    kind = str(condition.get("Type") if isinstance(condition, dict) else condition)
    if kind not in _MEMBERS:
        raise invalid(f"The Type of a condition must be one of {', '.join(_MEMBERS)}; got {kind}.")
    if condition.keys() != {"Type", *_MEMBERS[kind]}:
        needed = ", ".join(sorted(_MEMBERS[kind]))
        raise invalid(f"A condition of the Type {kind} must have {needed} and nothing else.")
    for member in ("Values", "Conditions"):
        if member in condition and not isinstance(condition[member], list):
            raise invalid(f"The {member} of a condition must be a list.")
    for inner in _inner(condition):
        check(inner)


def holds(condition: Mapping[str, Any]) -> bool:
    """Return whether a condition without expressions is true.

    Raises: LocalError if its values cannot be compared.
    """
    kind = condition["Type"]
    if kind == "Not":
        return not holds(condition["Condition"])
    if kind == "Or":
        return any(holds(inner) for inner in condition["Conditions"])
    if kind == "In":
        return condition["QueryValue"] in condition["Values"]
    left, right = condition["LeftValue"], condition["RightValue"]
    if _type(left) != _type(right) or type(left) not in (str, bool, int, float):
        raise LocalError(f"ClientError: {kind} cannot compare {left!r} with {right!r}.")
    return _COMPARISONS[kind](left, right)


def _inner(condition: Mapping[str, Any]) -> list[Any]:
    if condition["Type"] == "Not":
        return [condition["Condition"]]
    return condition["Conditions"] if condition["Type"] == "Or" else []


def _type(value: Any) -> type:
    """Return the type of a value, which is the same for all numbers."""
    return float if type(value) is int else type(value)
