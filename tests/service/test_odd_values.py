"""Each executed operation with odd values for each of its members: an error of the caller."""

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from local_sagemaker.api import validation
from local_sagemaker.api.dispatch import EXECUTED
from support.service import BUCKET, IMAGE, ROLE, training

DEEP = json.loads("[" * 300 + "]" * 300)
ODD = (None, "", "a b\n", "\ud800", "2024-01-01", True, -1, 2**40, 1e300, 10**400, [], {"a": DEEP})
TEXTS = (
    *("x", "x/1", "s3://bucket/x", "arn:aws:iam::123456789012:role/r", "1"),
    *(f"arn:aws:sagemaker:us-east-1:123456789012:model-package/{name}" for name in ("x", "x/1")),
)
MODEL = {
    "ModelName": "odd",
    "ExecutionRoleArn": ROLE,
    "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/m.tar.gz"},
}
_JOB = training("odd")
BASES: dict[str, Any] = {  # requests that are accepted, once
    "CreateTrainingJob": _JOB,
    "CreateModel": MODEL,
    "CreateEndpointConfig": {
        "EndpointConfigName": "odd",
        "ProductionVariants": [
            {
                "VariantName": "v",
                "ModelName": "odd",
                "InstanceType": "ml.c4.xlarge",
                "InitialInstanceCount": 1,
            }
        ],
    },
    "CreateTransformJob": {
        "TransformJobName": "odd",
        "ModelName": "odd",
        "TransformInput": {
            "DataSource": {
                "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/data/train"}
            }
        },
        "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/odd"},
        "TransformResources": {"InstanceType": "ml.c4.xlarge", "InstanceCount": 1},
    },
    "CreateHyperParameterTuningJob": {
        "HyperParameterTuningJobName": "odd",
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {
                "Type": "Minimize",
                "MetricName": "test:binary_classification_cross_entropy",
            },
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1},
            "ParameterRanges": {
                "IntegerParameterRanges": [{"Name": "epochs", "MinValue": "1", "MaxValue": "2"}],
                "ContinuousParameterRanges": [
                    {"Name": "bias_lr", "MinValue": "0.1", "MaxValue": "0.2"}
                ],
                "CategoricalParameterRanges": [{"Name": "mini_batch_size", "Values": ["50"]}],
            },
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": {"feature_dim": "30"},
            **{
                name: _JOB[name]
                for name in (
                    *("AlgorithmSpecification", "RoleArn", "InputDataConfig"),
                    *("OutputDataConfig", "ResourceConfig", "StoppingCondition"),
                )
            },
        },
    },
    "CreateModelPackage": {
        "ModelPackageName": "odd",
        "InferenceSpecification": {"Containers": [{"Image": IMAGE}]},
    },
}
OPERATIONS = [name for name in EXECUTED if name in validation.model().operation_names]


def sample(shape: Any) -> Any:
    """Return a value that fits a shape, with its required members alone."""
    if shape.type_name == "structure":
        return {name: sample(shape.members[name]) for name in shape.required_members}
    if shape.type_name == "list":
        return [sample(shape.member)]
    if shape.type_name == "map":
        return {"x": sample(shape.value)}
    if shape.type_name == "string":
        fits = (text for text in TEXTS if not list(validation._problems(text, shape, "")))
        return shape.enum[0] if shape.enum else next(fits, "x")
    if shape.type_name == "boolean":
        return False
    return max(1, shape.metadata.get("min", 1))


def odd(shape: Any, depth: int, fitting: Any = None) -> Iterator[Any]:
    """Yield odd values for a shape, and fitting values with an odd member."""
    yield from ODD
    fitting = sample(shape) if fitting is None else fitting
    if shape.type_name == "structure" and depth:
        for name, member in shape.members.items():
            values = odd(member, depth - 1, fitting.get(name))
            yield from ({**fitting, name: value} for value in values)
    elif shape.type_name == "list" and depth:
        yield from ([value] for value in odd(shape.member, depth - 1, fitting[0]))
    elif shape.type_name == "map":
        yield from ({"x": value} for value in ODD)


@pytest.fixture(scope="module")
def model(sm):
    sm.create_model(**MODEL)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_odd_values(service, model, operation):
    connection = http.client.HTTPConnection(service.url.partition("://")[2], timeout=60)
    shape, _ = validation.shapes(operation)
    headers = {"X-Amz-Target": f"SageMaker.{operation}", "Content-Type": "application/json"}
    base = BASES.get(operation) or sample(shape)
    bodies = [
        json.dumps({**base, name: value})
        for name, member in shape.members.items()
        for value in odd(member, 4, base.get(name))
    ]
    bodies += ["[]", "{", "nul", "NaN", '{"a":NaN}', '"x"', "[" * 10**5, '{"a":' * 10**5]
    for body in bodies:
        connection.request("POST", "/", body, headers)
        response = connection.getresponse()
        answer = response.read()
        assert response.status < 500, (body[:2000], answer)
    connection.close()
