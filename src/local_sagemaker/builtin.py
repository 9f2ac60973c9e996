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

# SageMaker's other algorithms, by the names of their repositories.
_OTHERS = (
    *("blazingtext", "forecasting-deepar", "image-classification", "ipinsights", "kmeans", "knn"),
    *("lda", "linear-learner", "ntm", "object-detection", "object2vec", "pca", "randomcutforest"),
    *("semantic-segmentation", "seq2seq", "xgboost"),
)
_INSTEAD = {
    "knn": "; for nearest items, `fm-model embeddings` exports vectors from a model.tar.gz, and"
    " `top_k` in a request to an endpoint returns the best items"
}

# The grammar of image names: registry and port, repository, tag, digest.
_REFERENCE = re.compile(
    r"(?:[a-zA-Z0-9]+(?:[.-]+[a-zA-Z0-9]+)*(?::[0-9]+)?/)?"
    r"[a-z0-9]+(?:(?:[._]|__|-+|/)[a-z0-9]+)*"
    r"(?::[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127})?(?:@[a-zA-Z0-9]+(?:[+._-][a-zA-Z0-9]+)*:[0-9a-fA-F]+)?"
)

_PROGRESS = re.compile(r"#progress_metric: host=\S+, completed ([0-9.]+) % of epochs")


def progress(lines: Iterable[str]) -> float | None:
    """Return the last progress in a job's log, in percent, or None."""
    matches = [match for line in lines if (match := _PROGRESS.search(line))]
    return float(matches[-1][1]) if matches else None


def is_reference(image: str) -> bool:
    """Return whether a text has the form of an image's name or id."""
    return _REFERENCE.fullmatch(image) is not None


def is_ours(image: str) -> bool:
    """Return whether an image has the built-in's name, in any registry and with any tag."""
    return is_reference(image) and repository(image) == "factorization-machines"


def problem_of_name(image: str) -> str | None:
    """Return why no backend runs an image of this name, or None.

    It is the name of no image, or that of another of SageMaker's algorithms.
    """
    if not is_reference(image):
        return f"{image!r} is not the name of an image, such as registry/repository:tag"
    name, registry = repository(image), image.rpartition("/")[0]
    if name not in _OTHERS or not (registry == "" or ".dkr.ecr." in registry):
        return None
    return (
        f"the image {image} cannot be had: {name} is an algorithm of SageMaker, whose image runs"
        f" on AWS alone{_INSTEAD.get(name, '')}"
    )


def repository(image: str) -> str:
    """Return the last part of an image's name, without tag and digest."""
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0]


def requested(specification: Mapping[str, Any]) -> dict[str, Any]:
    """Return a described AlgorithmSpecification in the form that a request may have."""
    own = not is_builtin(specification.get("TrainingImage", ""))
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
