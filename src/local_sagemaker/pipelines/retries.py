"""The retry policies of a step: whether and when a step starts again after an internal error."""

from collections.abc import Mapping, Sequence
from typing import Any

from local_sagemaker.errors import invalid
from local_sagemaker.pipelines.steps import STEP_TYPES

SERVICE_FAULT, JOB_ERROR = "Step.SERVICE_FAULT", "SageMaker.JOB_INTERNAL_ERROR"
# The service neither throttles nor limits, so that the last three do not occur here.
_EXCEPTIONS = (
    *(SERVICE_FAULT, JOB_ERROR),
    *("Step.THROTTLING", "SageMaker.CAPACITY_ERROR", "SageMaker.RESOURCE_LIMIT"),
)
_LIMITS: Mapping[str, tuple[float, float]] = {
    "IntervalSeconds": (0, 86400),
    "BackoffRate": (0, 100),
    "MaxAttempts": (1, 20),
    "ExpireAfterMin": (0, 14400),
}


def check(policies: Sequence[Any], title: str, kind: str) -> None:
    """Raise a ValidationException if the RetryPolicies of a step are invalid."""
    if policies and kind not in STEP_TYPES:
        raise invalid(f"{title}: a {kind} step cannot have RetryPolicies.")
    for policy in policies:
        if not isinstance(policy, dict) or policy.keys() - {"ExceptionType", *_LIMITS}:
            members = ", ".join(("ExceptionType", *_LIMITS))
            raise invalid(f"{title}: a retry policy must be an object of {members}.")
        exceptions = policy.get("ExceptionType")
        if not isinstance(exceptions, list) or not set(map(str, exceptions)) <= {*_EXCEPTIONS}:
            allowed = ", ".join(_EXCEPTIONS)
            raise invalid(f"{title}: ExceptionType of a retry policy must list {allowed}.")
        for member, (low, high) in _LIMITS.items():
            value = policy.get(member, low)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise invalid(f"{title}: {member} of a retry policy must be a number.")
            if not low <= value <= high:
                raise invalid(f"{title}: {member} must be {low} to {high}; got {value}.")


def delay(
    policies: Sequence[Mapping[str, Any]], exception: str, attempt: int, elapsed: float
) -> float | None:
    """Return the seconds until a step starts again, or None if it fails.

    Args:
        policies: the step's.
        exception: the type of the error.
        attempt: the number of the attempt that failed, from 1.
        elapsed: seconds since the first attempt.
    """
    policy = next((p for p in policies if exception in p["ExceptionType"]), None)
    if policy is None or attempt >= policy.get("MaxAttempts", 20):
        return None
    if elapsed >= policy.get("ExpireAfterMin", 14400) * 60:
        return None
    rate = float(policy.get("BackoffRate", 2.0))
    return float(policy.get("IntervalSeconds", 1)) * rate ** (attempt - 1)
