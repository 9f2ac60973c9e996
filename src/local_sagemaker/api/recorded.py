"""The SageMaker operations that moto answers: records whose content is true as it was given.

moto keeps them in memory, so that a restart loses them, and nothing acts on them.
"""

from typing import Any

from moto.sagemaker.models import sagemaker_backends

from local_sagemaker.context import ACCOUNT
from local_sagemaker.errors import invalid, not_found
from local_sagemaker.storage.records import Record

_LINES = {
    "Experiments": (
        *("CreateExperiment", "DescribeExperiment", "ListExperiments", "DeleteExperiment"),
        *("CreateTrial", "DescribeTrial", "ListTrials", "DeleteTrial"),
        *("CreateTrialComponent", "DescribeTrialComponent", "ListTrialComponents"),
        *("UpdateTrialComponent", "DeleteTrialComponent", "BatchPutMetrics"),
        *("AssociateTrialComponent", "DisassociateTrialComponent"),
    ),
}
RECORDED = {name: title for title, names in _LINES.items() for name in names}

# The resources that moto tags, and moto's attribute that holds them by name.
TAGGED = {
    "experiment": "experiments",
    "experiment-trial": "trials",
    "experiment-trial-component": "trial_components",
}
_KINDS = {
    "Experiment": "experiment",
    "Trial": "experiment-trial",
    "TrialComponent": "experiment-trial-component",
}
_VERBS = ("Create", "Describe", "Update", "Associate", "Disassociate")


def check(operation: str, request: Record, region: str) -> None:
    """Refuse what moto would answer wrongly: existing names are overwritten, unknown ones crash.

    Raises: ServiceError.
    """
    if operation == "BatchPutMetrics" and any("Step" not in m for m in request["MetricData"]):
        raise invalid("Each metric must have a Step here.")
    resource = next((operation[len(v) :] for v in _VERBS if operation.startswith(v)), "")
    kind = _KINDS.get(resource)
    if kind is None:
        return
    name = request[f"{resource}Name"]
    if operation.startswith("Create"):
        if exists(kind, name, region):
            raise invalid(f"{resource} {name!r} already exists.")
        if resource == "Trial":
            _require("experiment", request["ExperimentName"], region)
    else:
        _require(kind, name, region)


def exists(kind: str, name: str, region: str) -> bool:
    """Return whether moto keeps a resource of this kind and name."""
    backend: Any = sagemaker_backends[ACCOUNT][region]
    return kind in TAGGED and name in getattr(backend, TAGGED[kind])


def _require(kind: str, name: str, region: str) -> None:
    if not exists(kind, name, region):
        raise not_found(f"There is no {kind} {name!r}.")
