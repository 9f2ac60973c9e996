"""What the service knows of our own image: its name, and the metrics of the built-in algorithm."""

import csv
import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from local_sagemaker.api.errors import invalid

# What each metric of the service is called in the log.
_METRICS = {
    "binary_classification_accuracy": r"binary_classification_accuracy <score>",
    "binary_classification_cross_entropy": r"binary_classification_cross_entropy <loss>",
    "binary_f_beta": r"binary_f_\S+ <score>",
    "rmse": r"rmse <loss>",
}
_HOST = r"#quality_metric: host=\S+, "
# Where the line of a metric stands, by the part of its name that follows it.
_PLACES = {"": "", ":epoch": r"epoch=\S+, ", ":batch": r"epoch=\S+, batch=\S+ "}
_REGISTRIES = Path(__file__).with_name("registry_accounts.tsv")

_PROGRESS = re.compile(r"#progress_metric: host=\S+, completed ([0-9.]+) % of epochs")


def progress(lines: Iterable[str]) -> float | None:
    """Return how much of a job is done by what its log said last, in percent; None if nothing."""
    found = [match for line in lines if (match := _PROGRESS.search(line))]
    return float(found[-1][1]) if found else None


def is_ours(image: str) -> bool:
    """Return whether an image's name is that of the built-in, in any registry, with any tag."""
    repository = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return repository == "factorization-machines"


def requested(specification: Mapping[str, Any]) -> dict[str, Any]:
    """Return a described AlgorithmSpecification as a request for another job may have it."""
    own = not is_builtin(specification["TrainingImage"])
    return {key: value for key, value in specification.items() if own or key != "MetricDefinitions"}


@functools.cache
def _registries() -> frozenset[str]:
    with _REGISTRIES.open(newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return frozenset(
            f"{row['account']}.dkr.ecr.{row['region']}.{row['domain']}" for row in rows
        )


def is_builtin(image: str) -> bool:
    """Return whether an image's name is that of the built-in in one of the service's registries."""
    return is_ours(image) and image.rpartition("/")[0] in _registries()


def metric_definitions(specification: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the metrics that are found in the log of an AlgorithmSpecification's image.

    The job's own, or the eighteen of the built-in where the image is ours and the job has none.

    Raises: ServiceError if the job has its own for the service's image, as the service refuses it.
    """
    image, own = specification["TrainingImage"], specification.get("MetricDefinitions")
    if own and is_builtin(image):
        raise invalid(
            "You can't override the metric definitions for Amazon SageMaker algorithms. Please"
            " retry the request without specifying metric definitions."
        )
    if own or not is_ours(image):
        return list(own or ())
    definitions = {
        f"{channel}:{name}{scope}": f"{_HOST}{place}{channel} {words}=(\\S+)"
        for channel, scopes in (("test", ("",)), ("train", _PLACES))
        for scope, place in ((scope, _PLACES[scope]) for scope in scopes)
        for name, words in _METRICS.items()
    }
    definitions["train:progress"] = r"#progress_metric: host=\S+, completed (\S+) %"
    definitions["train:throughput"] = (
        r"#throughput_metric: host=\S+, train throughput=(\S+) records/second"
    )
    return [{"Name": name, "Regex": regex} for name, regex in definitions.items()]
