"""The answers of all executed operations: they fit AWS's shapes, and have what the SDKs read."""

import ast
import json
import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from botocore import xform_name
from botocore.validate import ParamValidator

from local_sagemaker.api import dispatch, validation
from support.sdk import ROOT, missing
from support.service import BUCKET, IMAGE, PATIENCE, ROLE, channel, training

NAME = "answers"
JOB, MODEL, CONFIG, ENDPOINT, TRANSFORM, TUNING, PROCESSING = (
    {f"{title}Name": NAME}
    for title in (
        *("TrainingJob", "Model", "EndpointConfig", "Endpoint", "TransformJob"),
        *("HyperParameterTuningJob", "ProcessingJob"),
    )
)
STOPPED = f"{NAME}-stopped"
ARNS = "arn:aws:sagemaker:us-east-1:123456789012"
ARN = {"ResourceArn": f"{ARNS}:model/{NAME}"}
EXPERIMENT, TRIAL, COMPONENT, GROUP = (
    {f"{title}Name": NAME}
    for title in ("Experiment", "Trial", "TrialComponent", "ModelPackageGroup")
)
PACKAGE = {"ModelPackageName": f"{ARNS}:model-package/{NAME}/1"}
SOURCE = {"SourceUri": "s3://bucket/answers"}
ACTION, CONTEXT = ({f"{title}Name": NAME} for title in ("Action", "Context"))
ASSOCIATION = {
    "SourceArn": f"{ARNS}:experiment-trial-component/{NAME}",
    "DestinationArn": f"{ARNS}:experiment-trial-component/{NAME}-aws-training-job",
}
RECORDIO = "application/x-recordio-protobuf"
REQUEST = training(NAME)
ENDLESS = {"epochs": "100000000"}
TUNING_REQUEST: dict[str, Any] = {
    **TUNING,
    "HyperParameterTuningJobConfig": {
        "Strategy": "Random",
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1},
        "HyperParameterTuningJobObjective": {
            "Type": "Minimize",
            "MetricName": "test:binary_classification_cross_entropy",
        },
        "ParameterRanges": {
            "IntegerParameterRanges": [{"Name": "epochs", "MinValue": "1", "MaxValue": "2"}]
        },
    },
    "TrainingJobDefinition": {
        "StaticHyperParameters": {
            key: value for key, value in REQUEST["HyperParameters"].items() if key != "epochs"
        },
        **{
            key: REQUEST[key]
            for key in (
                *("AlgorithmSpecification", "RoleArn", "InputDataConfig", "OutputDataConfig"),
                *("ResourceConfig", "StoppingCondition"),
            )
        },
    },
}
TRANSFORM_REQUEST: dict[str, Any] = {
    **TRANSFORM,
    **MODEL,
    "TransformInput": {"DataSource": channel("test")["DataSource"], "ContentType": RECORDIO},
    "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/out/{NAME}"},
    "TransformResources": {"InstanceType": "ml.m4.xlarge", "InstanceCount": 1},
}
SOURCE_OF_ROWS = {
    **channel("test")["DataSource"]["S3DataSource"],
    "LocalPath": "/opt/ml/processing/input",
}
OUTPUT = {
    "S3Uri": f"s3://{BUCKET}/out/{NAME}",
    "LocalPath": "/opt/ml/processing/output",
    "S3UploadMode": "EndOfJob",
}
PROCESSING_REQUEST: dict[str, Any] = {
    **PROCESSING,
    "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["sleep", "1"]},
    "ProcessingInputs": [{"InputName": "rows", "S3Input": SOURCE_OF_ROWS}],
    "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": OUTPUT}]},
    "ProcessingResources": {
        "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
    },
    "RoleArn": ROLE,
}
VARIANT = {"VariantName": "v", **MODEL, "InstanceType": "ml.t2.medium", "InitialInstanceCount": 1}

INFERENCE = {
    "Containers": [
        {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/out/{NAME}/output/model.tar.gz"}
    ],
    "SupportedContentTypes": ["text/csv"],
    "SupportedResponseMIMETypes": ["application/json"],
}
PIPELINE = {"PipelineName": NAME}
ENDLESS_JOB = {k: v for k, v in training("-", HyperParameters=ENDLESS).items() if k[-3:] != "ame"}
DEFINITION = {
    "Version": "2020-12-01",
    "Parameters": [{"Name": "Word", "Type": "String", "DefaultValue": "a"}],
    "Steps": [{"Name": "Train", "Type": "Training", "Arguments": ENDLESS_JOB}],
}
ROW = ",".join(["0"] * 30)
LATER = f"{NAME}-async"
ASYNC = {"AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": f"s3://{BUCKET}/out/{LATER}"}}}


def execution(last: Any) -> dict[str, str]:
    return {"PipelineExecutionArn": last["StartPipelineExecution"]["PipelineExecutionArn"]}


# Each operation with a request that has what it must have, in an order in which all of
# them succeed; a function makes it of the answers so far. A description is repeated until its
# resource has settled.
SCENARIO: list[tuple[str, Any]] = [
    ("CreateTrainingJob", REQUEST),
    ("DescribeTrainingJob", JOB),
    ("ListTrainingJobs", {}),
    ("CreateTrainingJob", training(STOPPED, HyperParameters=ENDLESS)),
    ("StopTrainingJob", {"TrainingJobName": STOPPED}),
    ("CreateHyperParameterTuningJob", TUNING_REQUEST),
    ("DescribeHyperParameterTuningJob", TUNING),
    ("ListHyperParameterTuningJobs", {}),
    ("ListTrainingJobsForHyperParameterTuningJob", TUNING),
    ("DeleteHyperParameterTuningJob", TUNING),
    ("CreateHyperParameterTuningJob", TUNING_REQUEST | {"HyperParameterTuningJobName": STOPPED}),
    ("StopHyperParameterTuningJob", {"HyperParameterTuningJobName": STOPPED}),
    (
        "CreateModel",
        {
            **MODEL,
            "ExecutionRoleArn": ROLE,
            "PrimaryContainer": {
                "Image": IMAGE,
                "ModelDataUrl": f"s3://{BUCKET}/out/{NAME}/output/model.tar.gz",
            },
        },
    ),
    ("DescribeModel", MODEL),
    ("ListModels", {}),
    ("AddTags", {**ARN, "Tags": [{"Key": "k", "Value": "v"}]}),
    ("ListTags", ARN),
    ("DeleteTags", {**ARN, "TagKeys": ["k"]}),
    ("CreateTransformJob", TRANSFORM_REQUEST),
    ("DescribeTransformJob", TRANSFORM),
    ("ListTransformJobs", {}),
    ("CreateTransformJob", TRANSFORM_REQUEST | {"TransformJobName": STOPPED}),
    ("StopTransformJob", {"TransformJobName": STOPPED}),
    ("CreateProcessingJob", PROCESSING_REQUEST | {"ProcessingJobName": STOPPED}),
    ("StopProcessingJob", {"ProcessingJobName": STOPPED}),
    ("CreateProcessingJob", PROCESSING_REQUEST),
    ("DescribeProcessingJob", PROCESSING),
    ("ListProcessingJobs", {}),
    ("DeleteProcessingJob", PROCESSING),
    ("CreateEndpointConfig", {**CONFIG, "ProductionVariants": [VARIANT]}),
    ("DescribeEndpointConfig", CONFIG),
    ("ListEndpointConfigs", {}),
    ("CreateEndpoint", {**ENDPOINT, **CONFIG}),
    ("DescribeEndpoint", ENDPOINT),
    ("ListEndpoints", {}),
    ("InvokeEndpoint", {**ENDPOINT, "ContentType": "text/csv", "Body": ROW}),
    (
        "UpdateEndpointWeightsAndCapacities",
        {**ENDPOINT, "DesiredWeightsAndCapacities": [{"VariantName": "v", "DesiredWeight": 2.0}]},
    ),
    ("UpdateEndpoint", {**ENDPOINT, **CONFIG}),
    ("InvokeEndpointWithResponseStream", {**ENDPOINT, "ContentType": "text/csv", "Body": ROW}),
    (
        "CreateEndpointConfig",
        {"EndpointConfigName": LATER, "ProductionVariants": [VARIANT], **ASYNC},
    ),
    ("CreateEndpoint", {"EndpointName": LATER, "EndpointConfigName": LATER}),
    ("DescribeEndpoint", {"EndpointName": LATER}),
    ("InvokeEndpointAsync", {"EndpointName": LATER, "InputLocation": f"s3://{BUCKET}/{LATER}"}),
    ("ListMonitoringSchedules", ENDPOINT),
    ("DescribeEndpoint", ENDPOINT),
    ("CreateExperiment", EXPERIMENT),
    ("DescribeExperiment", EXPERIMENT),
    ("UpdateExperiment", {**EXPERIMENT, "Description": "d"}),
    ("ListExperiments", {}),
    ("CreateTrial", {**TRIAL, **EXPERIMENT}),
    ("DescribeTrial", TRIAL),
    ("UpdateTrial", {**TRIAL, "DisplayName": "d"}),
    ("ListTrials", {}),
    ("CreateTrialComponent", {**COMPONENT, "Status": {"PrimaryStatus": "Completed"}}),
    ("AssociateTrialComponent", {**COMPONENT, **TRIAL}),
    (
        "BatchPutMetrics",
        {
            **COMPONENT,
            "MetricData": [{"MetricName": "m", "Timestamp": 1_700_000_000, "Value": 1.0}],
        },
    ),
    (
        "BatchGetMetrics",
        {
            "MetricQueries": [
                {
                    "MetricName": "m",
                    "ResourceArn": ASSOCIATION["SourceArn"],
                    "MetricStat": "Last",
                    "Period": "IterationNumber",
                    "XAxisType": "IterationNumber",
                }
            ]
        },
    ),
    ("UpdateTrialComponent", {**COMPONENT, "Parameters": {"p": {"NumberValue": 1.0}}}),
    ("DescribeTrialComponent", COMPONENT),
    ("ListTrialComponents", {}),
    ("Search", {"Resource": "ExperimentTrialComponent"}),
    ("GetSearchSuggestions", {"Resource": "TrainingJob"}),
    ("CreateArtifact", {"ArtifactName": NAME, "Source": SOURCE, "ArtifactType": "t"}),
    ("DescribeArtifact", lambda last: last["CreateArtifact"]),
    ("UpdateArtifact", lambda last: {**last["CreateArtifact"], "ArtifactName": "b"}),
    ("ListArtifacts", SOURCE),
    ("CreateAction", {**ACTION, "Source": SOURCE, "ActionType": "t", "Status": "InProgress"}),
    ("DescribeAction", ACTION),
    ("UpdateAction", {**ACTION, "Status": "Completed"}),
    ("ListActions", SOURCE),
    ("DeleteAction", ACTION),
    ("CreateContext", {**CONTEXT, "Source": SOURCE, "ContextType": "t"}),
    ("DescribeContext", CONTEXT),
    ("UpdateContext", {**CONTEXT, "Description": "d"}),
    ("ListContexts", SOURCE),
    ("DeleteContext", CONTEXT),
    ("QueryLineage", {"StartArns": [ASSOCIATION["SourceArn"]], "IncludeEdges": True}),
    ("AddAssociation", ASSOCIATION),
    ("ListAssociations", {"SourceArn": ASSOCIATION["SourceArn"]}),
    ("DeleteAssociation", ASSOCIATION),
    ("DeleteArtifact", lambda last: last["CreateArtifact"]),
    ("DisassociateTrialComponent", {**COMPONENT, **TRIAL}),
    ("DeleteTrialComponent", COMPONENT),
    ("DeleteTrial", TRIAL),
    ("DeleteExperiment", EXPERIMENT),
    ("CreateModelPackageGroup", GROUP),
    ("DescribeModelPackageGroup", GROUP),
    ("ListModelPackageGroups", {}),
    ("PutModelPackageGroupPolicy", {**GROUP, "ResourcePolicy": "{}"}),
    ("GetModelPackageGroupPolicy", GROUP),
    ("DeleteModelPackageGroupPolicy", GROUP),
    ("CreateModelPackage", {**GROUP, "InferenceSpecification": INFERENCE}),
    ("DescribeModelPackage", PACKAGE),
    ("ListModelPackages", GROUP),
    (
        "UpdateModelPackage",
        {"ModelPackageArn": PACKAGE["ModelPackageName"], "ModelApprovalStatus": "Approved"},
    ),
    ("BatchDescribeModelPackage", {"ModelPackageArnList": [PACKAGE["ModelPackageName"]]}),
    ("DeleteModelPackage", PACKAGE),
    ("DeleteModelPackageGroup", GROUP),
    (
        "CreatePipeline",
        {**PIPELINE, "PipelineDefinition": json.dumps(DEFINITION), "RoleArn": ROLE},
    ),
    ("UpdatePipeline", {**PIPELINE, "PipelineDescription": "new"}),
    ("StartPipelineExecution", PIPELINE),
    (
        "UpdatePipelineExecution",
        lambda last: {**execution(last), "PipelineExecutionDescription": "new"},
    ),
    ("StopPipelineExecution", execution),
    ("DescribePipelineExecution", execution),
    ("ListPipelineExecutionSteps", execution),
    ("ListPipelineParametersForExecution", execution),
    ("DescribePipelineDefinitionForExecution", execution),
    ("RetryPipelineExecution", execution),
    ("StopPipelineExecution", execution),
    ("DescribePipelineExecution", execution),
    ("ListPipelineExecutions", PIPELINE),
    ("DescribePipeline", PIPELINE),
    ("ListPipelines", {}),
    ("ListPipelineVersions", PIPELINE),
    (
        "UpdatePipelineVersion",
        lambda last: {
            "PipelineArn": last["CreatePipeline"]["PipelineArn"],
            "PipelineVersionId": 1,
            "PipelineVersionDescription": "first",
        },
    ),
    ("DeletePipeline", PIPELINE),
    ("DeleteEndpoint", {"EndpointName": LATER}),
    ("DeleteEndpoint", ENDPOINT),
    ("DeleteEndpointConfig", CONFIG),
    ("DeleteModel", MODEL),
    ("DeleteTrainingJob", JOB),
]
UNSETTLED = ("InProgress", "Executing", "Stopping", "Creating", "Updating")


@pytest.fixture(scope="module")
def answers(service):
    """Return the last answer of each operation, as it was on the wire."""
    last: dict[str, Any] = {}

    def keep(http_response, parsed, model, **_):
        if model.service_model.service_name == "sagemaker":
            last[model.name] = json.loads(http_response.content)
            return
        last[model.name] = {k: v for k, v in parsed.items() if k != "ResponseMetadata"}
        if model.has_event_stream_output or model.has_streaming_output:
            parsed["Body"].close()
            last[model.name]["Body"] = {} if model.has_event_stream_output else b""

    clients = [service.client(name) for name in validation.SERVICES]
    for client in clients:
        client.meta.events.register("after-call", keep)
    service.client("s3").put_object(Bucket=BUCKET, Key=LATER, Body=ROW.encode())
    for operation, request in SCENARIO:
        method = xform_name(operation)
        call = next(getattr(client, method) for client in clients if hasattr(client, method))
        until = time.monotonic() + PATIENCE
        request = request(last) if callable(request) else request
        call(**request)
        while operation.startswith("Describe") and _status(last[operation]) in UNSETTLED:
            assert time.monotonic() < until, f"{operation}: {last[operation]}"
            time.sleep(0.2)
            call(**request)
    return last


def _status(answer: dict[str, Any]) -> str | None:
    names = (
        *("TrainingJob", "TransformJob", "ProcessingJob", "Endpoint", "HyperParameterTuningJob"),
        "PipelineExecution",
    )
    return next((answer[f"{n}Status"] for n in names if f"{n}Status" in answer), None)


@pytest.mark.parametrize("operation", sorted({**dispatch.EXECUTED, **dispatch.RECORDED}))
def test_an_answer_fits_the_shape_of_aws(answers, operation):
    assert operation in answers, f"add a line for {operation} to SCENARIO"
    _, shape = validation.shapes(operation)
    if shape is None:
        assert answers[operation] == {}
    else:
        assert ParamValidator().validate(answers[operation], shape).generate_report() == ""


def reads(version: int) -> Iterator[tuple[str, ...]]:
    """Yield the paths that functions of an SDK index in a description, without a test before."""
    packages = (ROOT / ".sdk" / f"v{version}" / "lib").glob("python*/site-packages/sagemaker")
    for package in packages:
        for folder in ("", "amazon", "core", "core/helper", "serve", "train"):
            for file in sorted((package / folder).glob("*.py")):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of the SDK's escape sequences
                    tree = ast.parse(file.read_text())
                for function in ast.walk(tree):
                    if isinstance(function, ast.FunctionDef):
                        yield from _reads(function)


def _reads(function: ast.FunctionDef) -> Iterator[tuple[str, ...]]:
    tested: set[Any] = set()
    paths = []
    for node in ast.walk(function):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
            tested.add(getattr(node.left, "value", None))
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "get" and node.args:
            tested.add(getattr(node.args[0], "value", None))
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            paths.append(_path(node))
    yield from (path for path in paths if path and not tested.intersection(path))


def _path(node: ast.expr) -> tuple[str, ...]:
    """Return the keys of x["A"]["B"] as ("A", "B"), and () for any other index."""
    path: list[str] = []
    while isinstance(node, ast.Subscript):
        key = getattr(node.slice, "value", None)
        if not isinstance(key, str):
            return ()
        path.insert(0, key)
        node = node.value
    is_type = isinstance(node, ast.Name) and node.id[0].isupper()  # Optional["Domain"]
    return () if is_type else tuple(path)


def in_shape(path: tuple[str, ...], shape: Any) -> bool:
    for name in path:
        if shape is None or shape.type_name != "structure" or name not in shape.members:
            return False
        shape = shape.members[name]
    return True


def in_answer(path: tuple[str, ...], answer: Any) -> bool:
    for name in path:
        if name not in answer:
            return False
        answer = answer[name]
    return True


# AWS answers none of these for the scenario's resources either. The SDKs index them in their own
# requests, or in a branch for resources that have them.
ABSENT = {
    *(("VpcConfig",), ("Environment",)),
    *(("TrainingJobDefinitions",), ("DebugRuleEvaluationStatuses",)),
    ("SourceUri",),
    ("DescribeProcessingJob", "TrainingJobArn"),  # of the debugger's jobs
    ("DescribePipelineExecution", "RoleArn"),  # of pipelines that AWS manages
}


@pytest.mark.sdk
@pytest.mark.parametrize("version", [1, 2, 3])
def test_an_answer_has_the_members_that_an_sdk_reads(answers, version):
    if reason := missing(version, containers=False):
        pytest.skip(reason)
    paths = set(reads(version))
    assert ("OutputDataConfig", "KmsKeyId") in paths or version == 3
    lacking = {
        (operation, *path)
        for operation, answer in answers.items()
        for path in paths - ABSENT
        if in_shape(path, validation.shapes(operation)[1]) and not in_answer(path, answer)
    } - ABSENT
    assert "; ".join(".".join(path) for path in sorted(lacking)) == ""
