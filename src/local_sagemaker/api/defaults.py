"""The members that AWS adds to a description where the request had none; SDKs read them."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from local_sagemaker.storage.records import Record

_CHANNELS: Mapping[str, Any] = {
    "InputDataConfig.*.CompressionType": "None",
    "InputDataConfig.*.RecordWrapperType": "None",
    "InputDataConfig.*.DataSource.S3DataSource.S3DataDistributionType": "FullyReplicated",
}
_TRAINING: Mapping[str, Any] = {
    **_CHANNELS,
    "OutputDataConfig.KmsKeyId": "",
    "StoppingCondition": {},
    "StoppingCondition.MaxRuntimeInSeconds": 86400,
    "EnableNetworkIsolation": False,
    "EnableInterContainerTrafficEncryption": False,
    "EnableManagedSpotTraining": False,
}
_CONTAINER: Mapping[str, Any] = {"Mode": "SingleModel", "Environment": {}}
# By operation: the path of a member, where * is each entry of a list, and its value. The members
# of a structure that is missing are not added, unless the structure has a line before them.
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "DescribeTrainingJob": {**_TRAINING, "HyperParameters": {}},
    "DescribeHyperParameterTuningJob": {
        **{f"TrainingJobDefinition.{path}": value for path, value in _TRAINING.items()},
        "TrainingJobDefinition.StaticHyperParameters": {},
    },
    "DescribeTransformJob": {
        "TransformInput.CompressionType": "None",
        "TransformInput.SplitType": "None",
        "TransformOutput.AssembleWith": "None",
        "TransformOutput.KmsKeyId": "",
        "DataProcessing": {},
        "DataProcessing.InputFilter": "$",
        "DataProcessing.OutputFilter": "$",
        "DataProcessing.JoinSource": "None",
    },
    "DescribeProcessingJob": {
        "ProcessingInputs.*.AppManaged": False,
        "ProcessingInputs.*.S3Input.S3InputMode": "File",
        "ProcessingInputs.*.S3Input.S3DataDistributionType": "FullyReplicated",
        "ProcessingInputs.*.S3Input.S3CompressionType": "None",
        "ProcessingOutputConfig.Outputs.*.AppManaged": False,
        "StoppingCondition": {},
        "StoppingCondition.MaxRuntimeInSeconds": 86400,
    },
    "DescribeModel": {
        **{f"PrimaryContainer.{name}": value for name, value in _CONTAINER.items()},
        **{f"Containers.*.{name}": value for name, value in _CONTAINER.items()},
        "EnableNetworkIsolation": False,
    },
    "DescribeEndpointConfig": {"EnableNetworkIsolation": False},
}


def complete(operation: str, response: Record) -> Record:
    """Return a response with the members that AWS adds to it; the argument is not changed."""
    defaults = _DEFAULTS.get(operation)
    if defaults is None:
        return response
    completed = copy.deepcopy(response)
    for path, value in defaults.items():
        *parents, name = path.split(".")
        for structure in _structures(completed, parents):
            structure.setdefault(name, copy.copy(value))
    return completed


def _structures(root: Record, path: Iterable[str]) -> list[Record]:
    """Return the structures at a path; none where a member of the path is missing."""
    found: list[Any] = [root]
    for name in path:
        if name == "*":
            found = [entry for entries in found for entry in entries]
        else:
            found = [structure[name] for structure in found if structure.get(name) is not None]
    return found
