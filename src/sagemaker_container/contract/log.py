"""The log lines of the built-in, to the letter where people and tools search for them."""

import json
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TextIO

ALGORITHM = "factorization-machines"
_LEVELS = ("debug", "info", "warning", "error")

# What a metric is called in a line, with the tag that says which way is better.
TAGS: Mapping[str, str] = {
    "binary_classification_accuracy": "<score>",
    "binary_classification_cross_entropy": "<loss>",
    "binary_f_1.000": "<score>",
    "rmse": "<loss>",
    "mse": "<loss>",
    "absolute_loss": "<loss>",
}


def statistics(*values: float) -> dict[str, float]:
    """Return sum, count, min and max of a series: how `#metrics` lines give each number.

    The sum is a float and the others keep their type, as the built-in prints them.
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
    """What was read of a channel in one pass, or in its first batch."""

    seconds: float
    batches: int
    nbytes: int


def counters(records: int, batches: int, passes: int, *, first: int = 0) -> dict[str, int]:
    """Return what `JobLog.data_iter` counts after some passes over a channel.

    Args:
        records: of one pass.
        batches: of one pass.
        passes: how many there were.
        first: records of the batch that is read before training, after which the reader is reset.
    """
    read_first = 1 if first else 0
    ever, last = min(passes, 1), (records, batches) if passes else (0, 0)
    return {
        "Total Records Seen": first + passes * records,
        "Total Batches Seen": read_first + passes * batches,
        "Max Records Seen Between Resets": max(first, ever * records),
        "Max Batches Seen Between Resets": max(read_first, ever * batches),
        "Reset Count": read_first + passes,
        "Number of Records Since Last Reset": last[0],
        "Number of Batches Since Last Reset": last[1],
    }


class JobLog:
    """Writes the lines of one job to a stream, each at once."""

    def __init__(self, host: str, level: str = "info", stream: TextIO | None = None):
        self.host = host
        self.level = level
        # A process may be started without a standard output: then there is none.
        self._stream: TextIO | None = stream or sys.stdout

    def plain(self, text: str) -> None:
        """Write a line as it is; training goes on where nobody reads any more."""
        if self._stream is None:
            return
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except UnicodeEncodeError:
            self.plain(text.encode("ascii", "backslashreplace").decode())
        except (OSError, ValueError):  # ValueError: it was closed on our side
            self._stream = None

    def message(self, text: str, level: str = "info") -> None:
        """Write a line with the time, the level and the thread before it."""
        if self._shows(level):
            now = time.strftime("%m/%d/%Y %H:%M:%S", time.gmtime())
            self.plain(f"[{now} {level.upper()} {threading.get_ident()}] {text}")

    def _shows(self, level: str) -> bool:
        return _LEVELS.index(level) >= _LEVELS.index(self.level)

    def warning(self, text: str) -> None:
        """Write a line of what a person should know, though the job goes on."""
        self.message(text, "warning")

    def quality(
        self,
        channel: str,
        scores: Mapping[str, float],
        epoch: int | None = None,
        batch: int | None = None,
    ) -> None:
        """Write a `#quality_metric` line for each score of a channel."""
        where = f"host={self.host}, "
        if epoch is not None:
            where += f"epoch={epoch}, "
        if batch is not None:
            # The built-in has no comma between batch and channel.
            where += f"batch={batch} "
        for name, value in scores.items():
            self.message(f"#quality_metric: {where}{channel} {name} {TAGS[name]}={value}")

    def test_scores(self, scores: Mapping[str, float]) -> None:
        """Write a `#test_score` line for each score, then their `#quality_metric` lines."""
        for name, value in scores.items():
            self.message(f"#test_score ({self.host}) : {(name, value)}")
        self.quality("test", scores)

    def progress(self, epoch: int, epochs: int) -> None:
        """Write the `#progress_metric` line after an epoch, counted from 0."""
        share = (epoch + 1) * 100 / epochs
        self.message(f"#progress_metric: host={self.host}, completed {share} % of epochs")

    def throughput(self, records: int, seconds: float) -> None:
        """Write the `#throughput_metric` line of an epoch."""
        rate = records / max(seconds, 1e-9)
        self.message(
            f"#throughput_metric: host={self.host}, train throughput={rate} records/second"
        )

    def epoch_stats(self, channel: Path, epoch: int, read: Read) -> None:
        """Write the line with which the service's reader of data ends a pass over a channel."""
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
        """Write the `#metrics` line that counts what was read of a channel so far."""
        numbers = {counter: statistics(count) for counter, count in counters.items()}
        self.metrics(numbers, start, end, **dimensions, Meta=f"{name}_data_iter")

    def metrics(
        self,
        numbers: Mapping[str, Mapping[str, float]],
        start: float,
        end: float,
        **dimensions: object,
    ) -> None:
        """Write a `#metrics` line; `start` and `end` are seconds since 1970, times milliseconds."""
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
        # Not subject to the log level: the service's own tools read these lines.
        self.plain("#metrics " + json.dumps(content))
