"""Metrics scraped from logs by the regular expressions of a job's metric definitions."""

import datetime
import math
import re
import statistics
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_sagemaker.errors import invalid
from local_sagemaker.storage.logs import read_on


@dataclass(frozen=True)
class Point:
    """A metric's value and the time of its log line, in milliseconds since 1970."""

    milliseconds: int
    value: float


def check_definitions(definitions: Sequence[Mapping[str, Any]]) -> None:
    """Raise a ValidationException for a regular expression that cannot be used."""
    for definition in definitions:
        name, regex = definition["Name"], definition["Regex"]
        try:
            groups = re.compile(regex).groups
        except re.error as error:
            raise invalid(f"Metric {name}: {regex!r} is no regular expression: {error}.") from error
        if groups < 1:
            raise invalid(f"Metric {name}: {regex!r} has no group for the value.")


class MetricScraper:
    """Finds metrics in growing logs, and reads each line once."""

    def __init__(self, definitions: Sequence[Mapping[str, Any]]):
        """Take MetricDefinitions."""
        self._patterns = [(entry["Name"], re.compile(entry["Regex"])) for entry in definitions]
        self._points: dict[str, list[Point]] = {}
        self._offsets: dict[Path, int] = {}  # bytes
        self._lock = threading.Lock()

    def update(self, files: Iterable[Path]) -> dict[str, list[Point]]:
        """Read the new lines, and return each metric's values in the order of the logs."""
        with self._lock:
            for file in files if self._patterns else ():
                self._offsets[file], lines = read_on(file, self._offsets.get(file, 0))
                self.scrape(lines)
            return {name: list(points) for name, points in self._points.items()}

    def scrape(self, lines: Iterable[tuple[int, str]]) -> dict[str, list[Point]]:
        """Search lines, each with its milliseconds since 1970; return all values so far."""
        for milliseconds, line in lines:
            for name, pattern in self._patterns:
                match = pattern.search(line)
                value = None if match is None else _number(match[1])
                if value is not None:
                    self._points.setdefault(name, []).append(Point(milliseconds, value))
        return self._points


def final(points: Mapping[str, Sequence[Point]]) -> list[dict[str, Any]]:
    """Return FinalMetricDataList: each metric's last value."""
    return [
        {"MetricName": name, "Value": values[-1].value, "Timestamp": _time(values[-1])}
        for name, values in points.items()
    ]


def summary(values: Sequence[Point]) -> dict[str, Any]:
    """Return the statistics of a metric's values, in the order of their times."""
    numbers = [point.value for point in values]
    return {
        "TimeStamp": _time(values[-1]),
        "Max": max(numbers),
        "Min": min(numbers),
        "Last": numbers[-1],
        "Count": len(numbers),
        "Avg": statistics.fmean(numbers),
        "StdDev": statistics.pstdev(numbers),
    }


def data(points: Mapping[str, Sequence[Point]], job: str) -> Iterable[dict[str, Any]]:
    """Yield CloudWatch's MetricData of a job."""
    for name, values in points.items():
        for point in values:
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
