"""Finds the scores in what a training job prints, whatever a container tool puts before a line."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_NUMBER = r"([-+]?(?:[\d.]+(?:e[-+]?\d+)?|inf|nan))"
# `batch=` lines do not match: after the epoch comes the channel's name at once.
_EPOCH = re.compile(
    rf"#quality_metric: host=\S+, epoch=(\d+), train (\S+) <(?:loss|score)>={_NUMBER}", re.I
)
_TEST = re.compile(rf"#test_score \([^)]*\) : \('(\w[\w.]*)', {_NUMBER}\)", re.I)


@dataclass
class TrainingLog:
    """The metrics of one job by the names that the log gives them.

    `epochs[name][i]` is the training metric of epoch i; `test[name]` is the final test score.
    """

    epochs: dict[str, list[float]] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)


def parse(lines: Iterable[str]) -> TrainingLog:
    """Return the metrics of every epoch and the test scores; other lines are passed over."""
    log = TrainingLog()
    for line in lines:
        if found := _EPOCH.search(line):
            epoch, name, value = found.groups()
            values = log.epochs.setdefault(name, [])
            values.extend([float("nan")] * (int(epoch) + 1 - len(values)))
            values[int(epoch)] = float(value)
        elif found := _TEST.search(line):
            log.test[found[1]] = float(found[2])
    return log
