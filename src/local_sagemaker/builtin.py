"""The built-in algorithm's image names, and the metrics that the service reads from its log."""

import csv
import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from local_sagemaker.errors import invalid

# The service's metric names, and the names in the log.
_METRICS = {
    "binary_classification_accuracy": r"binary_classification_accuracy <score>",
    "binary_classification_cross_entropy": r"binary_classification_cross_entropy <loss>",
    "binary_f_beta": r"binary_f_\S+ <score>",
    "rmse": r"rmse <loss>",
}
_HOST = r"#quality_metric: host=\S+, "
# The start of a metric's line, by the suffix of its name.
_SCOPES = {"": "", ":epoch": r"epoch=\S+, ", ":batch": r"epoch=\S+, batch=\S+ "}
_REGISTRIES = Path(__file__).with_name("registry_accounts.tsv")

_PROGRESS = re.compile(r"#progress_metric: host=\S+, completed ([0-9.]+) % of epochs")


def progress(lines: Iterable[str]) -> float | None:
    """Return the last progress in a job's log, in percent, or None."""
    matches = [match for line in lines if (match := _PROGRESS.search(line))]
    return float(matches[-1][1]) if matches else None


def is_ours(image: str) -> bool:
    """Return whether an image has the built-in's name, in any registry and with any tag."""
    repository = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return repository == "factorization-machines"


def requested(specification: Mapping[str, Any]) -> dict[str, Any]:
    """Return a described AlgorithmSpecification in the form that a request may have."""
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
    """Return whether an image is the built-in in one of AWS's registries."""
    return is_ours(image) and image.rpartition("/")[0] in _registries()


def epoch_metric(objective: str, names: Iterable[str]) -> str:
    """Return the metric that has an objective's value after each epoch.

    It is the objective itself, unless the job has the built-in's metric of the training data: the
    built-in reports a `test:` metric only after the last epoch.
    """
    name = f"train:{objective.partition(':')[2].removesuffix(':epoch')}:epoch"
    return name if objective.startswith(("test:", "train:")) and name in names else objective


def metric_definitions(specification: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the metric definitions for an AlgorithmSpecification.

    They are the job's own, or the eighteen of the built-in if it has none and the image is ours.

    Raises: ServiceError if the job has its own for AWS's image, which AWS refuses too.
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
        f"{channel}:{name}{scope}": f"{_HOST}{_SCOPES[scope]}{channel} {pattern}=(\\S+)"
        for channel, scopes in (("test", ("",)), ("train", _SCOPES))
        for scope in scopes
        for name, pattern in _METRICS.items()
    }
    definitions["train:progress"] = r"#progress_metric: host=\S+, completed (\S+) %"
    definitions["train:throughput"] = (
        r"#throughput_metric: host=\S+, train throughput=(\S+) records/second"
    )
    return [{"Name": name, "Regex": regex} for name, regex in definitions.items()]
