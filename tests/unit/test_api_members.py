"""The table of the members of requests: complete, current, and checked before each handler."""

import copy

import pytest

from local_sagemaker.api import dispatch, members
from local_sagemaker.context import Caller
from local_sagemaker.errors import ServiceError

VARIANT = {"VariantName": "v", "ModelName": "m"}
SOURCE = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/x"}}
REQUESTS = {
    "CreateTrainingJob": {
        "TrainingJobName": "j",
        "AlgorithmSpecification": {"TrainingImage": "i", "TrainingInputMode": "File"},
        "RoleArn": "arn:aws:iam::123456789012:role/role",
        "InputDataConfig": [{"ChannelName": "train", "DataSource": SOURCE}],
        "OutputDataConfig": {"S3OutputPath": "s3://b/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "CheckpointConfig": {"S3Uri": "s3://b/c"},
        "ProfilerConfig": {"S3OutputPath": "s3://b/out"},
        "ProfilerRuleConfigurations": [{"RuleConfigurationName": "r", "RuleEvaluatorImage": "i"}],
        "DebugHookConfig": {"S3OutputPath": "s3://b/out", "CollectionConfigurations": []},
        "RemoteDebugConfig": {},
    },
    "CreateModel": {"ModelName": "m", "PrimaryContainer": {"Image": "i"}},
    "CreateEndpointConfig": {"EndpointConfigName": "c", "ProductionVariants": [VARIANT]},
    "UpdateEndpoint": {
        "EndpointName": "e",
        "EndpointConfigName": "c",
        "DeploymentConfig": {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {}}},
    },
    "InvokeEndpoint": {"EndpointName": "e", "Body": b"1"},
    "CreateTransformJob": {"TransformJobName": "t", "ModelName": "m"},
    "ListTrainingJobs": {},
}


def put(request, path, value):
    """Return a copy of a request with a member set; a number in the path is an index."""
    request = copy.deepcopy(request)
    inner = request
    *parents, last = path.split(".")
    for name in parents:
        inner = inner[int(name) - 1] if name.isdigit() else inner[name]
    inner[last] = value
    return request


@pytest.mark.parametrize("operation", dispatch.EXECUTED)
def test_each_member_of_a_request_has_a_class(operation):
    assert members.unclassified(operation) == set()


def test_a_member_of_a_newer_botocore_is_unclassified(monkeypatch):
    table = {k: v for k, v in members.TABLE.items() if k != "ContainerDefinition.Mode"}
    monkeypatch.setattr(members, "TABLE", table)
    assert members.unclassified("CreateModel") == {"ContainerDefinition.Mode"}


def test_each_row_has_a_class_and_a_sentence():
    for title, text in members.sections():
        assert title == "done" or (title in ("harmless", "refused") and text.endswith("."))


@pytest.mark.parametrize(
    ("operation", "path", "value"),
    [
        ("CreateTrainingJob", "InputDataConfig.1.ShuffleConfig", {"Seed": 1}),
        ("CreateTrainingJob", "InputDataConfig.1.DataSource.FileSystemDataSource", {"a": 1}),
        ("CreateTrainingJob", "CheckpointConfig.LocalPath", "/opt/ml/other"),
        ("CreateTrainingJob", "ResourceConfig.InstanceGroups", [{}]),
        ("CreateTrainingJob", "RemoteDebugConfig.EnableRemoteDebug", True),
        ("CreateTrainingJob", "ProfilerRuleConfigurations.1.RuleParameters", {"a": "b"}),
        ("CreateTrainingJob", "DebugHookConfig.CollectionConfigurations", [{}]),
        ("CreateModel", "PrimaryContainer.Mode", "MultiModel"),
        ("CreateEndpointConfig", "ShadowProductionVariants", [VARIANT]),
        ("CreateEndpointConfig", "ExplainerConfig", {"ClarifyExplainerConfig": {}}),
        ("CreateEndpointConfig", "ProductionVariants.1.ManagedInstanceScaling", {"a": 1}),
        (
            "UpdateEndpoint",
            "DeploymentConfig.BlueGreenUpdatePolicy.TrafficRoutingConfiguration.Type",
            "CANARY",
        ),
        ("InvokeEndpoint", "TargetModel", "m"),
        ("InvokeEndpoint", "InferenceComponentName", "c"),
        ("InvokeEndpoint", "EnableExplanations", "`true`"),
        ("InvokeEndpoint", "SessionId", "NEW_SESSION"),
        ("CreateTransformJob", "DataCaptureConfig", {"DestinationS3Uri": "s3://b"}),
        ("ListTrainingJobs", "WarmPoolStatusEquals", "Available"),
    ],
)
def test_a_refused_member_is_named_with_what_to_do_instead(operation, path, value):
    with pytest.raises(ServiceError) as raised:
        members.check(operation, put(REQUESTS[operation], path, value))
    assert raised.value.code == "ValidationException"
    assert raised.value.message.startswith(path)
    assert "is not offered here. " in raised.value.message


@pytest.mark.parametrize(
    ("operation", "path", "value"),
    [
        ("CreateTrainingJob", "RemoteDebugConfig.EnableRemoteDebug", False),
        ("CreateTrainingJob", "ResourceConfig.InstanceGroups", []),
        ("CreateTrainingJob", "CheckpointConfig.LocalPath", "/opt/ml/checkpoints"),
        ("CreateTrainingJob", "VpcConfig", {"Subnets": ["s"], "SecurityGroupIds": ["g"]}),
        (
            "CreateTrainingJob",
            "ProfilerRuleConfigurations.1.RuleParameters",
            {"rule_to_invoke": "ProfilerReport"},
        ),
        ("CreateModel", "PrimaryContainer.Mode", "SingleModel"),
        ("CreateModel", "VpcConfig", None),
        ("InvokeEndpoint", "EnableExplanations", "`false`"),
        (
            "UpdateEndpoint",
            "DeploymentConfig.BlueGreenUpdatePolicy.TrafficRoutingConfiguration.Type",
            "ALL_AT_ONCE",
        ),
    ],
)
def test_a_value_that_asks_for_nothing_passes(operation, path, value):
    members.check(operation, put(REQUESTS[operation], path, value))


def test_all_refused_members_are_named_at_once():
    request = put(REQUESTS["InvokeEndpoint"], "TargetModel", "m")
    with pytest.raises(ServiceError, match="TargetModel 'm' is .* SessionId 's' is "):
        members.check("InvokeEndpoint", put(request, "SessionId", "s"))


def test_an_operation_is_checked_before_its_handler():
    request = put(REQUESTS["InvokeEndpoint"], "TargetModel", "m")
    with pytest.raises(ServiceError, match="TargetModel"):
        dispatch.call(None, "InvokeEndpoint", request, Caller())
