"""Finds metrics in the log of a training job, whatever prefix a tool adds to the lines."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_NUMBER = r"([-+]?(?:[\d.]+(?:e[-+]?\d+)?|inf|nan))"
# A batch's lines do not match: there, `batch=` is between the epoch and the channel.
_EPOCH = re.compile(
    rf"#quality_metric: host=\S+, epoch=(\d+), train (\S+) <(?:loss|score)>={_NUMBER}", re.I
)
_TEST = re.compile(rf"#test_score \([^)]*\) : \('(\w[\w.]*)', {_NUMBER}\)", re.I)


@dataclass
class TrainingLog:
    """The metrics of a job, by their names in the log.

    `epochs[name][i]` is the training metric of epoch i; `test[name]` is the final test score.
    """

    epochs: dict[str, list[float]] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)


def parse(lines: Iterable[str]) -> TrainingLog:
    """Return the metrics of every epoch, NaN where an epoch has none, and the test scores."""
    log = TrainingLog()
    for line in lines:
        if match := _EPOCH.search(line):
            epoch, name, value = match.groups()
            values = log.epochs.setdefault(name, [])
            values.extend([float("nan")] * (int(epoch) + 1 - len(values)))
            values[int(epoch)] = float(value)
        elif match := _TEST.search(line):
            log.test[match[1]] = float(match[2])
    return log
