"""Metrics in a log, found by the regular expressions of a job's metric definitions."""

import datetime
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local_sagemaker.service.errors import validation


@dataclass(frozen=True)
class Point:
    """A metric's value and when it was logged, in milliseconds since 1970."""

    milliseconds: int
    value: float


def check_definitions(definitions: Sequence[Mapping[str, Any]]) -> None:
    """Raise a ValidationException for an expression that cannot be used."""
    for one in definitions:
        try:
            groups = re.compile(one["Regex"]).groups
        except re.error as error:
            raise validation(
                f"Metric {one['Name']}: {one['Regex']!r} is no regular expression: {error}."
            ) from error
        if groups < 1:
            raise validation(f"Metric {one['Name']}: {one['Regex']!r} has no group for the value.")


def find(
    definitions: Sequence[Mapping[str, Any]], lines: Iterable[tuple[int, str]]
) -> dict[str, list[Point]]:
    """Return each metric's values in the order of the log; one without a value is left out."""
    patterns = [(one["Name"], re.compile(one["Regex"])) for one in definitions]
    found: dict[str, list[Point]] = {}
    for milliseconds, line in lines:
        for name, pattern in patterns:
            match = pattern.search(line)
            value = None if match is None else _number(match[1])
            if value is not None:
                found.setdefault(name, []).append(Point(milliseconds, value))
    return found


def final(found: Mapping[str, Sequence[Point]]) -> list[dict[str, Any]]:
    """Return FinalMetricDataList: each metric's last value."""
    return [
        {"MetricName": name, "Value": points[-1].value, "Timestamp": _time(points[-1])}
        for name, points in found.items()
    ]


def data(found: Mapping[str, Sequence[Point]], job: str) -> Iterable[dict[str, Any]]:
    """Yield CloudWatch's MetricData of a job."""
    for name, points in found.items():
        for point in points:
            yield {
                "MetricName": name,
                "Dimensions": [{"Name": "TrainingJobName", "Value": job}],
                "Timestamp": _time(point),
                "Value": point.value,
            }


def _time(point: Point) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(point.milliseconds / 1000, datetime.timezone.utc)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
