"""Learning curves of training jobs as the console displays them."""

import math
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from local_sagemaker import builtin
from local_sagemaker.context import Context
from local_sagemaker.jobs.training import ENDED
from local_sagemaker.jobs.training_metrics import log_files, scrape_metrics
from local_sagemaker.storage.logs import read_on
from local_sagemaker.storage.metrics import Point
from local_sagemaker.storage.records import Record

# A score of the built-in after an epoch, or without an epoch after training.
_SCORE = re.compile(r"#quality_metric: host=\S+, (?:epoch=(\d+), )?(train|test) (\S+) <\w+>=(\S+)")
# The metrics in the list of training jobs, by title.
_MAIN = {"Accuracy": "binary_classification_accuracy", "RMSE": "rmse"}
_MAX_POINTS = 2000  # of a series
_MAX_JOBS = 32  # whose scores are kept in memory


class EpochScores:
    """The scores in a growing log of the built-in, by metric and channel; reads each line once.

    `by_epoch` has the score of each epoch; `final` has those of the test data after training.
    """

    def __init__(self) -> None:
        """Start without scores."""
        self.by_epoch: dict[str, dict[str, dict[int, float]]] = {}
        self.final: dict[str, float] = {}
        self._offsets: dict[Path, int] = {}
        self._lock = threading.Lock()

    def update(self, files: Iterable[Path]) -> None:
        """Read the new lines."""
        with self._lock:
            for file in files:
                self._offsets[file], lines = read_on(file, self._offsets.get(file, 0))
                for _, line in lines:
                    if match := _SCORE.search(line):
                        self._add(*match.groups())

    def curves(self) -> dict[str, dict[str, Any]]:
        """Return the chart of each metric."""
        with self._lock:
            return {
                metric: {
                    "x": "epoch",
                    "series": {
                        channel: _thinned(list(scores), list(scores.values()))
                        for channel, scores in channels.items()
                    },
                    # Scores of epochs include the last one, which `final` repeats.
                    "final": None if "test" in channels else self.final.get(metric),
                }
                for metric, channels in self.by_epoch.items()
            }

    def last(self) -> dict[str, float]:
        """Return the scores of the last epoch, by channel and metric."""
        with self._lock:
            return {
                f"{channel}:{metric}": scores[next(reversed(scores))]
                for metric, channels in self.by_epoch.items()
                for channel, scores in channels.items()
            }

    def _add(self, epoch: str | None, channel: str, metric: str, text: str) -> None:
        try:
            value = float(text)
        except ValueError:
            return
        if not math.isfinite(value):
            return
        if epoch is not None:
            self.by_epoch.setdefault(metric, {}).setdefault(channel, {})[int(epoch)] = value
        elif channel == "test":
            self.final[metric] = value


class Curves:
    """The curves of all jobs. The scores of the last jobs that were viewed stay in memory."""

    def __init__(self, context: Context):
        """Start without scores."""
        self._context = context
        self._scores: dict[tuple[str, Any], EpochScores] = {}

    def of(self, record: Record) -> dict[str, dict[str, Any]]:
        """Return the chart of each metric of a job.

        The x axis is the epoch for the built-in. For other images it is the number of the value in
        the log, because their lines name no epoch.
        """
        scores = self._updated(record)
        charts = scores.curves() if scores else {}
        return charts or _numbered(scrape_metrics(self._context, record))

    def main_scores(self, record: Record) -> dict[str, float]:
        """Return a job's scores for the list of jobs; while it runs, those of the last epoch."""
        final = record.get("FinalMetricDataList") or ()
        values = {metric["MetricName"]: metric["Value"] for metric in final}
        if record["TrainingJobStatus"] not in ENDED and (scores := self._updated(record)):
            values = scores.last()
        return {
            f"{title}, {channel}": values[name]
            for title, metric in _MAIN.items()
            for channel in ("train", "test")
            if (name := f"{channel}:{metric}") in values
        }

    def _updated(self, record: Record) -> EpochScores | None:
        """Return the scores in the log of a job of the built-in; None for other images."""
        if not builtin.is_ours(record["AlgorithmSpecification"]["TrainingImage"]):
            return None
        name = record["TrainingJobName"]
        # A later job of the name is another one.
        scores = self._scores.setdefault((name, record["CreationTime"]), EpochScores())
        if len(self._scores) > _MAX_JOBS:
            self._scores.pop(next(iter(self._scores)), None)
        scores.update(log_files(self._context, name).values())
        return scores


def _numbered(points: Mapping[str, Sequence[Point]]) -> dict[str, dict[str, Any]]:
    charts: dict[str, dict[str, Any]] = {}
    for name, values in points.items():
        if len(values) > 1:
            channel, _, metric = name.rpartition(":")
            chart = charts.setdefault(metric, {"x": "value in the log", "series": {}})
            numbers = [point.value for point in values]
            chart["series"][channel or metric] = _thinned(list(range(len(values))), numbers)
    return charts


def _thinned(x: list[int], y: list[float]) -> list[list[Any]]:
    """Return x and y; of a long series a part, with its last point."""
    step = -(-len(x) // _MAX_POINTS) or 1
    kept = [*range(0, len(x) - 1, step), len(x) - 1]
    return [[x[index] for index in kept], [y[index] for index in kept]]
