"""Models of several containers through boto3, with containers that the backend `process` runs."""

import contextlib
import io
import json
import os
import signal
import tarfile

import pytest
from botocore.exceptions import ClientError

from factorization_machines import artifact
from support import sdk
from support.fm import parameters
from support.service import BUCKET, IMAGE, ROLE, ROOT, down, ended, eventually, kill, run_sdk, up

FEATURES = 5
BODY = json.dumps({"instances": [{"features": [1.0] * FEATURES}]})
FOREIGN = "encoder:latest"
INSTANCES = {"InitialInstanceCount": 1, "InstanceType": "ml.c4.xlarge"}
DIRECT = {"Mode": "Direct"}


def container(number, hostname=None, **members):
    url = f"s3://{BUCKET}/several/{number}.tar.gz"
    named = {"ContainerHostname": hostname} if hostname else {}
    return {"Image": IMAGE, "ModelDataUrl": url, **named, **members}


BOTH = [container(1, "one"), container(2, "two")]


def upload_models(s3, folder):
    for number in (1, 2):
        model = artifact.Model(parameters(number, FEATURES, 2), {"predictor_type": "regressor"})
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            archive.add(artifact.write(folder, model), artifact.FILE_NAME)
        s3.put_object(Bucket=BUCKET, Key=f"several/{number}.tar.gz", Body=packed.getvalue())


@pytest.fixture(scope="module")
def models(sm, s3, tmp_path_factory):
    """Return the names of models: two containers, in mode Direct and in mode Serial."""
    upload_models(s3, tmp_path_factory.mktemp("models"))
    create(sm, "direct", BOTH, InferenceExecutionConfig=DIRECT)
    create(sm, "serial", [container(1), container(2)], InferenceExecutionConfig={"Mode": "Serial"})
    return "direct", "serial"


def create(sm, name, containers, **members):
    sm.create_model(ModelName=name, ExecutionRoleArn=ROLE, Containers=containers, **members)


def configure(sm, name, model, variant=INSTANCES, **members):
    variants = [{"VariantName": "All", "ModelName": model, **variant}]
    sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants, **members)


def deploy(sm, name, model, **members):
    configure(sm, name, model, **members)
    sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    return ended(sm.describe_endpoint, "EndpointStatus", EndpointName=name)


@pytest.fixture(scope="module")
def direct(sm, models):
    found = deploy(sm, "direct", "direct")
    assert found["EndpointStatus"] == "InService", found
    return "direct"


@pytest.fixture(scope="module")
def serial(sm, models):
    found = deploy(sm, "serial", "serial")
    assert found["EndpointStatus"] == "InService", found
    images = found["ProductionVariants"][0]["DeployedImages"]
    assert [image["SpecifiedImage"] for image in images] == [IMAGE, IMAGE]
    return "serial"


@pytest.fixture(scope="module")
def runtime(service):
    return service.client("sagemaker-runtime")


def ask(runtime, name, target=None, body=BODY):
    named = {"TargetContainerHostname": target} if target else {}
    answer = runtime.invoke_endpoint(
        EndpointName=name, Body=body, ContentType="application/json", **named
    )
    return json.loads(answer["Body"].read())["predictions"][0]["score"]


def refused(pattern):
    return pytest.raises(
        ClientError, match=rf"\((ValidationException|ValidationError)\).*{pattern}"
    )


def streams(service, group, prefix):
    found = service.client("logs").describe_log_streams(
        logGroupName=f"/aws/sagemaker/{group}", logStreamNamePrefix=prefix
    )["logStreams"]
    return [stream["logStreamName"].split("/") for stream in found]


def test_the_model_is_described_as_it_was_created(sm, models):
    found = sm.describe_model(ModelName="direct")
    assert found["InferenceExecutionConfig"] == DIRECT
    assert [c["ContainerHostname"] for c in found["Containers"]] == ["one", "two"]
    assert "PrimaryContainer" not in found


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "either a PrimaryContainer or Containers"),
        ({"Containers": []}, "either a PrimaryContainer or Containers"),
        (
            {"PrimaryContainer": container(1), "Containers": [container(1), container(2)]},
            "either a PrimaryContainer or Containers",
        ),
        ({"Containers": [container(1, "a"), container(2, "a")]}, "unique; got a, a"),
        ({"Containers": [container(1, "a"), container(2)]}, "all or none .* got a"),
        ({"Containers": [container(1)] * 16}, "less than or equal to 15"),
        (
            {"Containers": [container(1), container(2)], "InferenceExecutionConfig": DIRECT},
            "each with a ContainerHostname",
        ),
        (
            {"PrimaryContainer": container(1, "a"), "InferenceExecutionConfig": DIRECT},
            "2 to 15 Containers",
        ),
        (
            {"Containers": [container(1), container(2, Image=FOREIGN)]},
            f"the factorization-machines image alone, not {FOREIGN}; with --backend docker",
        ),
        (
            {"Containers": [container(1), {"Environment": {"A": "b"}}]},
            "must have an Image or a ModelPackageName",
        ),
    ],
)
def test_models_that_cannot_be_are_refused(sm, members, message):
    with refused(message):
        sm.create_model(ModelName="none", ExecutionRoleArn=ROLE, **members)


def test_each_container_has_its_own_model_and_is_invoked_by_its_name(runtime, direct):
    scores = {name: ask(runtime, direct, name) for name in ("one", "two")}
    assert scores["one"] != scores["two"]
    with refused("TargetContainerHostname must be .* which has one, two; it is missing"):
        ask(runtime, direct)
    with refused("which has one, two; got three"):
        ask(runtime, direct, "three")
    with pytest.raises(runtime.exceptions.ModelError, match=r"client error \(400\) from two with"):
        ask(runtime, direct, "two", "{")
    stream = runtime.invoke_endpoint_with_response_stream(
        EndpointName=direct,
        Body=BODY,
        ContentType="application/json",
        TargetContainerHostname="two",
    )
    (part,) = (event["PayloadPart"]["Bytes"] for event in stream["Body"])
    assert json.loads(part)["predictions"][0]["score"] == scores["two"]


def test_the_error_of_each_container_is_told_apart(runtime, serial):
    with pytest.raises(runtime.exceptions.ModelError) as raised:
        ask(runtime, serial, body="{")
    first = raised.value.response
    with pytest.raises(runtime.exceptions.ModelError) as raised:
        ask(runtime, serial)  # the second container does not know the answer of the first
    second = raised.value.response
    assert (first["OriginalStatusCode"], second["OriginalStatusCode"]) == (400, 400)
    assert "Received client error (400) from container-1" in first["Error"]["Message"]
    assert "Received client error (400) from container-2" in second["Error"]["Message"]
    assert "instances" in json.loads(second["OriginalMessage"])["error"]["message"]
    with refused("one does not apply to endpoint serial"):
        ask(runtime, serial, "one")


def test_each_container_has_a_log_stream_and_a_latency(service, runtime, serial, direct):
    (variant, _, first), (_, _, second) = streams(service, "Endpoints/serial", "All/")
    assert (variant, first, second) == ("All", "container-1", "container-2")
    assert {s[2] for s in streams(service, "Endpoints/direct", "All/")} == {"one", "two"}
    with contextlib.suppress(runtime.exceptions.ModelError):
        ask(runtime, serial)
    ask(runtime, direct, "two")
    cloudwatch = service.client("cloudwatch")

    def names(metric, endpoint):
        dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "ContainerName"}]
        found = cloudwatch.list_metrics(MetricName=metric, Dimensions=dimensions)["Metrics"]
        return {d["Value"] for m in found for d in m["Dimensions"] if d["Name"] == "ContainerName"}

    eventually(lambda: names("ContainerLatency", serial) == {"container-1", "container-2"})
    eventually(lambda: "two" in names("Invocations", direct))
    assert names("Invocations", serial) == set()
    assert names("ModelLatency", direct) == set()


def test_a_container_that_dies_is_restarted_alone(service, sm, runtime, direct):
    notes = [
        note
        for note in (service.state / "processes").iterdir()
        if "/direct/" in (text := note.read_text()) and "/All/two\n" in text
    ]
    assert len(notes) == 1
    before = ask(runtime, direct, "one"), ask(runtime, direct, "two")
    os.killpg(int(notes[0].name), signal.SIGKILL)
    with pytest.raises(runtime.exceptions.ModelError, match="container two did not answer"):
        ask(runtime, direct, "two")
    assert ask(runtime, direct, "one") == before[0]

    def answers():
        with contextlib.suppress(runtime.exceptions.ModelError):
            return ask(runtime, direct, "two") == before[1]

    eventually(answers)


def test_containers_that_do_not_start_are_named(sm, s3, models):
    s3.put_object(Bucket=BUCKET, Key="several/3.tar.gz", Body=b"no archive")
    create(sm, "several-broken", [container(1, "one"), container(3, "two")])
    found = deploy(sm, "several-broken", "several-broken")
    assert found["EndpointStatus"] == "Failed"
    assert "several/3.tar.gz" in found["FailureReason"]
    broken = container(2, "two", Environment={"SAGEMAKER_MAX_PAYLOAD_IN_MB": "none"})
    create(sm, "several-end", [container(1, "one"), broken])
    reason = deploy(sm, "several-end", "several-end")["FailureReason"]
    assert reason.startswith("The two for production variant All did not pass the ping health")
    assert "SAGEMAKER_MAX_PAYLOAD_IN_MB" in reason


def test_configurations_that_such_models_cannot_have(sm, models):
    serverless = {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 1}}
    with refused("ServerlessConfig is not supported with the containers of model serial"):
        configure(sm, "none", "serial", serverless)
    asynchronous = {"OutputConfig": {"S3OutputPath": f"s3://{BUCKET}/out"}}
    with refused("AsyncInferenceConfig is not supported with model direct"):
        configure(sm, "none", "direct", AsyncInferenceConfig=asynchronous)


def test_batch_transform_names_the_container_that_refuses(service, sm, s3, models):
    s3.put_object(Bucket=BUCKET, Key="several/in", Body=BODY)
    request = {
        "TransformJobName": "several",
        "ModelName": "serial",
        "TransformInput": {
            "DataSource": {
                "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/several/in"}
            },
            "ContentType": "application/json",
        },
        "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/several/out"},
        "TransformResources": {"InstanceType": "ml.c4.xlarge", "InstanceCount": 1},
    }
    sm.create_transform_job(**request)
    found = ended(sm.describe_transform_job, "TransformJobStatus", TransformJobName="several")
    assert found["TransformJobStatus"] == "Failed"
    assert "several/in: container-2 answered 400: " in found["FailureReason"]
    names = [stream[2] for stream in streams(service, "TransformJobs", "several/")]
    assert names == ["container-1", "container-2"]
    with refused("needs Mode Serial; the model direct has Mode Direct"):
        sm.create_transform_job(**{**request, "TransformJobName": "d", "ModelName": "direct"})


def test_a_package_of_several_containers_becomes_a_model_of_them(sm, runtime, models):
    specification = {
        "Containers": [container(1), container(2)],
        "SupportedContentTypes": ["application/json"],
        "SupportedResponseMIMETypes": ["application/json"],
    }
    sm.create_model_package_group(ModelPackageGroupName="several")
    package = sm.create_model_package(
        ModelPackageGroupName="several",
        InferenceSpecification=specification,
        ModelApprovalStatus="Approved",
    )["ModelPackageArn"]
    primary = {"ModelPackageName": package}
    sm.create_model(ModelName="packaged", ExecutionRoleArn=ROLE, PrimaryContainer=primary)
    parts = sm.describe_model(ModelName="packaged")["Containers"]
    assert [part["ModelDataUrl"] for part in parts] == [
        container(number)["ModelDataUrl"] for number in (1, 2)
    ]
    with refused("has 2 containers; it must be a model's only container"):
        create(sm, "none", [primary, container(1)])
    with refused("has 2 containers; it must be a model's only container, without an Env"):
        create(sm, "none", [{**primary, "Environment": {"A": "b"}}])


@pytest.mark.sdk
def test_the_model_builder_of_sdk_v3_makes_a_pipeline_model(service, sm, models):
    if reason := sdk.missing(3, containers=False):
        pytest.skip(reason)
    uris = [part["ModelDataUrl"] for part in BOTH]
    script = ROOT / "tests" / "service" / "serial_v3.py"
    assert f"CONTAINERS {' '.join(uris)}" in run_sdk(service, 3, script, IMAGE, *uris, "by-v3")
    found = sm.describe_model(ModelName="by-v3")["Containers"]
    assert [part["ModelDataUrl"] for part in found] == uris


def test_each_container_serves_its_model_after_a_restart_of_the_service(tmp_path):
    started = up(tmp_path / "state")
    started.client("s3").create_bucket(Bucket=BUCKET)
    upload_models(started.client("s3"), tmp_path)
    sm = started.client("sagemaker")
    create(sm, "again", BOTH, InferenceExecutionConfig=DIRECT)
    deploy(sm, "again", "again")
    before = [ask(started.client("sagemaker-runtime"), "again", n) for n in ("one", "two")]
    started.client("s3").delete_object(Bucket=BUCKET, Key="several/1.tar.gz")
    kill(started)
    started = up(tmp_path / "state")
    ended(started.client("sagemaker").describe_endpoint, "EndpointStatus", EndpointName="again")
    runtime = started.client("sagemaker-runtime")
    assert [ask(runtime, "again", name) for name in ("one", "two")] == before
    down(started)
