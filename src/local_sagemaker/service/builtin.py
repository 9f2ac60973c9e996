"""What the service knows of our own image: its name, and the metrics of the built-in algorithm."""

import re
from collections.abc import Iterable
from typing import Any

_METRICS = (
    "binary_classification_accuracy",
    "binary_classification_cross_entropy",
    "binary_f_beta",
    "rmse",
    "mse",
    "absolute_loss",
)
_IN_THE_LOG = {"binary_f_beta": r"binary_f_\d+\.\d+"}


_PROGRESS = re.compile(r"#progress_metric: host=\S+, completed ([0-9.]+) % of epochs")


def progress(lines: Iterable[str]) -> float | None:
    """Return how much of a job is done by what its log said last, in percent; None if nothing."""
    found = [match for line in lines if (match := _PROGRESS.search(line))]
    return float(found[-1][1]) if found else None


def is_ours(image: str) -> bool:
    """Return whether an image's name is that of the built-in, in any registry, with any tag."""
    repository = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return repository == "factorization-machines"


def metric_definitions(image: str) -> list[dict[str, Any]]:
    """Return the metrics that the service finds in this image's log unasked: none but in ours."""
    if not is_ours(image):
        return []
    found = []
    for channel, epoch in (("train", "epoch=[0-9]+, "), ("test", "")):
        for name in _METRICS:
            words = _IN_THE_LOG.get(name, name)
            regex = rf"#quality_metric: host=\S+, {epoch}{channel} {words} <(?:loss|score)>=(\S+)"
            found.append({"Name": f"{channel}:{name}", "Regex": regex})
    return found
