"""The built-in's log lines, identical to the letter where people and tools search for them."""

import json
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TextIO

from factorization_machines.errors import printable

ALGORITHM = "factorization-machines"
_LEVELS = ("debug", "info", "warning", "error")

# The metrics in `#quality_metric` lines, each with the tag that says whether higher is better.
TAGS: Mapping[str, str] = {
    "binary_classification_accuracy": "<score>",
    "binary_classification_cross_entropy": "<loss>",
    "binary_f_1.000": "<score>",
    "rmse": "<loss>",
    "mse": "<loss>",
    "absolute_loss": "<loss>",
}


def statistics(*values: float) -> dict[str, float]:
    """Return sum, count, min and max of a series, as in `#metrics` lines.

    The sum is a float and the others keep their type, as in the built-in's lines.
    """
    if not values:
        return {"sum": 0.0, "count": 0, "min": 0, "max": 0}
    return {
        "sum": float(sum(values)),
        "count": len(values),
        "min": min(values),
        "max": max(values),
    }


@dataclass(frozen=True)
class Read:
    """The amount of data read from a channel in a pass, or in its first batch."""

    seconds: float
    batches: int
    nbytes: int


def counters(records: int, batches: int, passes: int, *, first: int = 0) -> dict[str, int]:
    """Return the counters for `JobLog.data_iter` after some passes over a channel.

    Args:
        records: number of records in a pass.
        batches: number of batches in a pass.
        passes: number of passes.
        first: number of records in the batch that is read before training, after which the reader
            is reset.
    """
    first_batches = 1 if first else 0
    last_records, last_batches = (records, batches) if passes else (0, 0)
    return {
        "Total Records Seen": first + passes * records,
        "Total Batches Seen": first_batches + passes * batches,
        "Max Records Seen Between Resets": max(first, last_records),
        "Max Batches Seen Between Resets": max(first_batches, last_batches),
        "Reset Count": first_batches + passes,
        "Number of Records Since Last Reset": last_records,
        "Number of Batches Since Last Reset": last_batches,
    }


class JobLog:
    """Writes the log lines of a job to a stream, and flushes it after each line."""

    def __init__(self, host: str, level: str = "info", stream: TextIO | None = None):
        self.host = host
        self.level = level
        # sys.stdout is None if the process was started without a standard output.
        self._stream: TextIO | None = stream or sys.stdout

    def plain(self, text: str) -> None:
        """Write a line without a prefix; if the stream is closed, drop it and continue."""
        if self._stream is None:
            return
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except UnicodeEncodeError:
            self.plain(text.encode("ascii", "backslashreplace").decode())
        except (OSError, ValueError):  # ValueError: this process closed it
            self._stream = None

    def message(self, text: str, level: str = "info") -> None:
        """Write a line, prefixed with the time, the level and the thread."""
        if self._shows(level):
            now = time.strftime("%m/%d/%Y %H:%M:%S", time.gmtime())
            self.plain(f"[{now} {level.upper()} {threading.get_ident()}] {printable(text)}")

    def _shows(self, level: str) -> bool:
        return _LEVELS.index(level) >= _LEVELS.index(self.level)

    def warning(self, text: str) -> None:
        """Write a line with the level `warning`."""
        self.message(text, "warning")

    def quality(
        self,
        channel: str,
        scores: Mapping[str, float],
        epoch: int | None = None,
        batch: int | None = None,
    ) -> None:
        """Write a `#quality_metric` line for each score of a channel."""
        prefix = f"host={self.host}, "
        if epoch is not None:
            prefix += f"epoch={epoch}, "
        if batch is not None:
            # The built-in has no comma between batch and channel.
            prefix += f"batch={batch} "
        for name, value in scores.items():
            self.message(f"#quality_metric: {prefix}{channel} {name} {TAGS[name]}={value}")

    def test_scores(self, scores: Mapping[str, float]) -> None:
        """Write a `#test_score` line for each score, then their `#quality_metric` lines."""
        for name, value in scores.items():
            self.message(f"#test_score ({self.host}) : {(name, value)}")
        self.quality("test", scores)

    def progress(self, epoch: int, epochs: int) -> None:
        """Write the `#progress_metric` line of an epoch, counted from 0."""
        percent = (epoch + 1) * 100 / epochs
        self.message(f"#progress_metric: host={self.host}, completed {percent} % of epochs")

    def throughput(self, records: int, seconds: float) -> None:
        """Write the `#throughput_metric` line of an epoch."""
        rate = records / max(seconds, 1e-9)
        self.message(
            f"#throughput_metric: host={self.host}, train throughput={rate} records/second"
        )

    def epoch_stats(self, channel: Path, epoch: int, read: Read) -> None:
        """Write the line that the service's data reader logs after each pass over a channel."""
        stats = {
            "data_pipeline": str(channel),
            "epoch": epoch,
            "duration": round(1000 * read.seconds),
            "num_examples": read.batches,
            "num_bytes": read.nbytes,
        }
        if self._shows("info"):
            now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
            self.plain(f"[{now}] [tensorio] [info] epoch_stats={json.dumps(stats)}")

    def data_iter(
        self, name: str, counters: Mapping[str, int], start: float, end: float, **dimensions: object
    ) -> None:
        """Write the `#metrics` line with the counters of a channel."""
        numbers = {counter: statistics(count) for counter, count in counters.items()}
        self.metrics(numbers, start, end, **dimensions, Meta=f"{name}_data_iter")

    def metrics(
        self,
        numbers: Mapping[str, Mapping[str, float]],
        start: float,
        end: float,
        **dimensions: object,
    ) -> None:
        """Write a `#metrics` line.

        Args:
            numbers: the statistics of each metric; times are in milliseconds.
            start: seconds since 1970.
            end: seconds since 1970.
            dimensions: in addition to those of every line.
        """
        content = {
            "StartTime": start,
            "EndTime": end,
            "Dimensions": {
                "Algorithm": ALGORITHM,
                "Host": self.host,
                "Operation": "training",
                **dimensions,
            },
            "Metrics": numbers,
        }
        # Independent of the log level, because tools of the service read these lines.
        self.plain("#metrics " + json.dumps(content))
