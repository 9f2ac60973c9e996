"""Endpoints through plain boto3, also while they change."""

import contextlib
import json
import os
import signal
import threading
import time

import pytest
from botocore.exceptions import ClientError

from support.service import BUCKET, IMAGE, ROLE, ended, training

BODY = json.dumps({"instances": [{"features": [1.0] * 30}]})


@pytest.fixture(scope="module")
def models(sm):
    """Return the names of two models that answer in different ways."""
    for name, epochs in (("first", "1"), ("second", "30")):
        sm.create_training_job(**training(f"of-{name}", HyperParameters={"epochs": epochs}))
    for name in ("first", "second"):
        job = ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=f"of-{name}")
        container = {"Image": IMAGE, "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"]}
        sm.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
        variant = {
            "VariantName": "All",
            "ModelName": name,
            "InitialInstanceCount": 1,
            "InstanceType": "ml.c4.xlarge",
        }
        sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    return "first", "second"


@pytest.fixture(scope="module")
def runtime(service):
    return service.client("sagemaker-runtime")


@pytest.fixture(scope="module")
def endpoint(sm, models):
    sm.create_endpoint(EndpointName="endpoint", EndpointConfigName="first")
    found = ended(sm.describe_endpoint, "EndpointStatus", EndpointName="endpoint")
    assert found["EndpointStatus"] == "InService", found
    return "endpoint"


def ask(runtime, name="endpoint", body=BODY, **more):
    answer = runtime.invoke_endpoint(
        EndpointName=name, Body=body, ContentType="application/json", **more
    )
    return json.loads(answer["Body"].read())["predictions"][0]["score"]


def test_an_answer_is_passed_through(runtime, endpoint):
    answer = runtime.invoke_endpoint(
        EndpointName=endpoint, Body=BODY, ContentType="application/json", Accept="application/json"
    )
    assert answer["ContentType"] == "application/json"
    assert answer["InvokedProductionVariant"] == "All"
    assert 0 < json.loads(answer["Body"].read())["predictions"][0]["score"] < 1


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [(b"{", "application/json", 400), (b"x", "image/png", 415)],
)
def test_a_models_error_is_passed_through(runtime, endpoint, body, content_type, status):
    with pytest.raises(runtime.exceptions.ModelError) as raised:
        runtime.invoke_endpoint(EndpointName=endpoint, Body=body, ContentType=content_type)
    assert raised.value.response["OriginalStatusCode"] == status
    assert "message" in json.loads(raised.value.response["OriginalMessage"])["error"]


def test_an_update_under_load_loses_no_request(sm, runtime, endpoint):
    scores, failed, over = [], [], threading.Event()

    def load():
        while not over.is_set():
            try:
                scores.append(ask(runtime))
            except Exception as error:
                failed.append(error)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for config in ("second", "first", "second"):
        sm.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
        ended(sm.describe_endpoint, "EndpointStatus", EndpointName=endpoint)
    over.set()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(set(scores)) == 2  # both models have answered
    assert sm.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"] == "second"


def test_an_update_that_fails_leaves_what_was(sm, s3, runtime, endpoint):
    s3.put_object(Bucket=BUCKET, Key="no-model", Body=b"no archive")
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/no-model"}
    sm.create_model(ModelName="broken", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {"VariantName": "All", "ModelName": "broken", "InitialInstanceCount": 1}
    variant["InstanceType"] = "ml.c4.xlarge"
    sm.create_endpoint_config(EndpointConfigName="broken", ProductionVariants=[variant])
    before = ask(runtime)
    sm.update_endpoint(EndpointName=endpoint, EndpointConfigName="broken")
    found = ended(sm.describe_endpoint, "EndpointStatus", EndpointName=endpoint)
    assert found["EndpointStatus"] == "InService"
    assert found["FailureReason"]
    assert ask(runtime) == before
    sm.create_endpoint(EndpointName="broken", EndpointConfigName="broken")
    found = ended(sm.describe_endpoint, "EndpointStatus", EndpointName="broken")
    assert found["EndpointStatus"] == "Failed"
    sm.delete_endpoint(EndpointName="broken")


def test_variants_share_requests_by_weight(sm, runtime, models):
    variants = [
        {
            "VariantName": name,
            "ModelName": name,
            "InitialInstanceCount": 1,
            "InstanceType": "ml.c4.xlarge",
            "InitialVariantWeight": weight,
        }
        for name, weight in (("first", 0.0), ("second", 1.0))
    ]
    sm.create_endpoint_config(EndpointConfigName="both", ProductionVariants=variants)
    sm.create_endpoint(EndpointName="both", EndpointConfigName="both")
    ended(sm.describe_endpoint, "EndpointStatus", EndpointName="both")
    second = {ask(runtime, "both") for _ in range(5)}
    first = ask(runtime, "both", TargetVariant="first")
    assert len(second) == 1 and first not in second
    sm.delete_endpoint(EndpointName="both")
    with pytest.raises(ClientError, match="Endpoint both of account not found"):
        ask(runtime, "both")


def test_names_that_are_not_there_or_taken(sm, models):
    with pytest.raises(ClientError, match='Could not find model "arn:aws:sagemaker:.*/nobody"'):
        sm.describe_model(ModelName="nobody")
    with pytest.raises(ClientError, match="Cannot create already existing model"):
        sm.create_model(ModelName="first", PrimaryContainer={"Image": IMAGE}, ExecutionRoleArn=ROLE)


@pytest.mark.parametrize(
    ("variant", "more", "message"),
    [
        ({}, {}, "either InstanceType and InitialInstanceCount, or a ServerlessConfig"),
        (
            {
                "InitialInstanceCount": 1,
                "InstanceType": "ml.c4.xlarge",
                "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 1},
            },
            {},
            "either InstanceType and InitialInstanceCount, or a ServerlessConfig",
        ),
        (
            {"ServerlessConfig": {"MemorySizeInMB": 1500, "MaxConcurrency": 1}},
            {},
            "MemorySizeInMB must be 1024, 2048",
        ),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(sm, models, variant, more, message):
    variants = [{"VariantName": "All", "ModelName": "first", **variant}]
    with pytest.raises(ClientError, match=rf"\(ValidationException\).*{message}"):
        sm.create_endpoint_config(EndpointConfigName="no", ProductionVariants=variants, **more)


def test_a_serverless_endpoint_is_described_with_its_configuration(sm, models):
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 1}
    variants = [{"VariantName": "All", "ModelName": "first", "ServerlessConfig": serverless}]
    sm.create_endpoint_config(EndpointConfigName="serverless", ProductionVariants=variants)
    sm.create_endpoint(EndpointName="serverless", EndpointConfigName="serverless")
    found = ended(sm.describe_endpoint, "EndpointStatus", EndpointName="serverless")
    sm.delete_endpoint(EndpointName="serverless")
    (variant,) = found["ProductionVariants"]
    assert variant["CurrentServerlessConfig"] == serverless
    assert variant["DeployedImages"][0]["SpecifiedImage"] == IMAGE


def test_members_of_a_request_that_are_not_offered_are_refused(runtime, endpoint):
    with pytest.raises(ClientError, match="TargetModel 'm.tar.gz' is not offered here"):
        ask(runtime, TargetModel="m.tar.gz")


def test_a_server_that_dies_is_started_again(service, runtime, endpoint):
    before = ask(runtime)
    killed = []
    for note in (service.state / "processes").iterdir():
        if "/serve-" in note.read_text():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int(note.name), signal.SIGKILL)
                killed.append(note.name)
    assert killed
    until = time.monotonic() + 60
    while True:
        try:
            assert ask(runtime) == before
            break
        except runtime.exceptions.ModelError:
            assert time.monotonic() < until
            time.sleep(0.1)
