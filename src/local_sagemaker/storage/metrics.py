"""Metrics in a log, found by the regular expressions of a job's metric definitions."""

import datetime
import math
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_sagemaker.api.errors import invalid
from local_sagemaker.storage.logs import read_on


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
            raise invalid(
                f"Metric {one['Name']}: {one['Regex']!r} is no regular expression: {error}."
            ) from error
        if groups < 1:
            raise invalid(f"Metric {one['Name']}: {one['Regex']!r} has no group for the value.")


class Follower:
    """Finds metrics in logs that grow: each line is read once."""

    def __init__(self, definitions: Sequence[Mapping[str, Any]]):
        """Take MetricDefinitions."""
        self._patterns = [(one["Name"], re.compile(one["Regex"])) for one in definitions]
        self._found: dict[str, list[Point]] = {}
        self._read: dict[Path, int] = {}  # bytes
        self._lock = threading.Lock()

    def update(self, files: Iterable[Path]) -> dict[str, list[Point]]:
        """Read on, and return each metric's values in the order of the logs."""
        with self._lock:
            for file in files if self._patterns else ():
                self._read[file], lines = read_on(file, self._read.get(file, 0))
                self.take(lines)
            return {name: list(points) for name, points in self._found.items()}

    def take(self, lines: Iterable[tuple[int, str]]) -> dict[str, list[Point]]:
        """Look through lines, each with its milliseconds since 1970; return all values so far."""
        for milliseconds, line in lines:
            for name, pattern in self._patterns:
                match = pattern.search(line)
                value = None if match is None else _number(match[1])
                if value is not None:
                    self._found.setdefault(name, []).append(Point(milliseconds, value))
        return self._found


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
