"""Metrics scraped from logs by the regular expressions of a job's metric definitions."""

import datetime
import math
import statistics
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import regex
from moto.cloudwatch.models import cloudwatch_backends

from local_sagemaker.account import ACCOUNT, REGION
from local_sagemaker.errors import invalid
from local_sagemaker.storage.logs import read_on

# Processor time that a job's regular expressions may take in addition to that of usual ones.
_MAX_SECONDS = 2.0
_LEAST_SECONDS = 0.05  # of a search, when the others have taken all
_USUAL_SECONDS = 0.0001  # of a search


@dataclass(frozen=True)
class Point:
    """A metric's value and the time of its log line, in milliseconds since 1970."""

    milliseconds: int
    value: float


def check_definitions(definitions: Sequence[Mapping[str, Any]]) -> None:
    """Raise a ValidationException for a regular expression that cannot be used."""
    for definition in definitions:
        name, text = definition["Name"], definition["Regex"]
        try:
            groups = regex.compile(text).groups
        except (regex.error, RecursionError, OverflowError) as error:
            raise invalid(
                f"Metric {name}: {text!r} is not a regular expression: {error}."
            ) from error
        if groups < 1:
            raise invalid(f"Metric {name}: {text!r} has no group for the value.")


class MetricScraper:
    """Finds metrics in growing logs, and reads each line once.

    `too_slow` has the names of the metrics whose regular expressions took too long, and that are
    searched no longer.
    """

    def __init__(self, definitions: Sequence[Mapping[str, Any]], *, limited: bool = True):
        """Take MetricDefinitions, and whether the time of their regular expressions is limited."""
        self._limited = limited
        self._patterns = [(entry["Name"], regex.compile(entry["Regex"])) for entry in definitions]
        self._seconds_left = _MAX_SECONDS
        self.too_slow: list[str] = []
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
            for name, pattern in list(self._patterns):
                value = _number(self._search(name, pattern, line))
                if value is not None:
                    self._points.setdefault(name, []).append(Point(milliseconds, value))
        return self._points

    def _search(self, name: str, pattern: Any, line: str) -> str | None:
        """Return what a metric's group matches in a line; a search that takes too long is the last.

        The time is limited because backtracking may take exponential time.
        """
        if not self._limited:
            found = pattern.search(line)
            return None if found is None else found[1]
        started = time.thread_time()
        seconds = max(self._seconds_left, _LEAST_SECONDS)
        try:
            match = pattern.search(line, timeout=seconds)
        except TimeoutError:
            match = None
            self._patterns.remove((name, pattern))
            self.too_slow.append(name)
        self._seconds_left -= max(0.0, time.thread_time() - started - _USUAL_SECONDS)
        return None if match is None else match[1]


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


def publish(namespace: str, data: Iterable[dict[str, Any]]) -> None:
    """Put MetricData into CloudWatch; without a request, which takes 0.1 s for a job's metrics."""
    # The times of moto are in UTC and have no time zone.
    naive = [{**datum, "Timestamp": datum["Timestamp"].replace(tzinfo=None)} for datum in data]
    cloudwatch_backends[ACCOUNT][REGION].put_metric_data(namespace, naive)


def _time(point: Point) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(point.milliseconds / 1000, datetime.timezone.utc)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")  # a group that took no part in the match is None
    except ValueError:
        return None
    return value if math.isfinite(value) else None
