"""What endpoints do beside answering: capture, asynchronous and streamed answers, metrics."""

import contextlib
import datetime
import io
import json
import os
import re
import signal
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from factorization_machines.artifact import writing
from factorization_machines.artifact.model import Model
from support import sdk
from support.fm import parameters
from support.service import (
    BUCKET,
    IMAGE,
    PATIENCE,
    ROLE,
    ROOT,
    down,
    ended,
    eventually,
    kill,
    training,
    up,
)

FEATURES = 5
BODY = json.dumps({"instances": [{"features": [1.0] * FEATURES}]})
CSV = ",".join(["1.0"] * FEATURES)
INSTANCES = {"InitialInstanceCount": 1, "InstanceType": "ml.c4.xlarge"}
CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": f"s3://{BUCKET}/captured",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    "CaptureContentTypeHeader": {
        "CsvContentTypes": ["text/csv"],
        "JsonContentTypes": ["application/json"],
    },
}
ASYNC = {
    "OutputConfig": {
        "S3OutputPath": f"s3://{BUCKET}/async/out",
        "S3FailurePath": f"s3://{BUCKET}/async/failed",
    },
    "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 4},
}


def archive(folder, content=None):
    """Return a model.tar.gz; its model_algo-1 has the content, or is a model of FEATURES."""
    path = folder / "model_algo-1"
    if content is None:
        training = {"predictor_type": "binary_classifier"}
        writing.write(folder, Model(parameters(1, FEATURES, 2), training))
    else:
        path.write_bytes(content)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(path, arcname="model_algo-1")
    return packed.getvalue()


@pytest.fixture(scope="module")
def runtime(service):
    return service.client("sagemaker-runtime")


@pytest.fixture(scope="module")
def model(sm, s3, tmp_path_factory):
    return make_model(sm, s3, "features", archive(tmp_path_factory.mktemp("model")))


def make_model(sm, s3, name, packed):
    s3.put_object(Bucket=BUCKET, Key=f"models/{name}.tar.gz", Body=packed)
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/models/{name}.tar.gz"}
    sm.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    return name


def make_config(sm, name, model, variant=None, **more):
    variants = [{"VariantName": "All", "ModelName": model, **(variant or INSTANCES)}]
    sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants, **more)


def make_endpoint(sm, name, model, **more):
    make_config(sm, name, model, **more)
    sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    return settled(sm, name)


def settled(sm, name):
    return ended(sm.describe_endpoint, "EndpointStatus", EndpointName=name)


@pytest.fixture(scope="module")
def plain(sm, model):
    found = make_endpoint(sm, "plain", model)
    assert found["EndpointStatus"] == "InService", found
    return "plain"


@pytest.fixture(scope="module")
def queued(sm, model):
    found = make_endpoint(sm, "queued", model, AsyncInferenceConfig=ASYNC)
    assert found["AsyncInferenceConfig"] == ASYNC
    return "queued"


def ask(runtime, name, body=BODY, content_type="application/json", **more):
    answer = runtime.invoke_endpoint(EndpointName=name, Body=body, ContentType=content_type, **more)
    return answer["Body"].read()


def ask_csv(runtime, name):
    return ask(runtime, name, CSV, "text/csv", Accept="text/csv")


def keys(s3, prefix):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", ())]


def content(s3, location):
    key = location.partition(f"s3://{BUCKET}/")[2]
    return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def written(s3, location):
    key = location.partition(f"s3://{BUCKET}/")[2]
    eventually(lambda: keys(s3, key))
    return content(s3, location)


def captured(s3, endpoint):
    found = keys(s3, f"captured/{endpoint}/All/")
    lines = [line for key in found for line in content(s3, f"s3://{BUCKET}/{key}").splitlines()]
    return found, [json.loads(line) for line in lines]


def test_captured_requests_and_responses_are_json_lines_in_s3(sm, s3, runtime, model):
    found = make_endpoint(sm, "captures", model, DataCaptureConfig=CAPTURE)
    assert found["DataCaptureConfig"] == {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{BUCKET}/captured",
        "KmsKeyId": "",
    }
    score = ask(runtime, "captures", InferenceId="mine", CustomAttributes="a=b").decode()
    eventually(lambda: captured(s3, "captures")[1])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: ask_csv(runtime, "captures"), range(99)))
    sm.delete_endpoint(EndpointName="captures")  # writes the rest
    names, records = captured(s3, "captures")
    hour = r"captured/captures/All/\d{4}/\d\d/\d\d/\d\d/\d\d-\d\d-\d{3}-[0-9a-f-]{36}\.jsonl"
    assert all(re.fullmatch(hour, name) for name in names)
    assert len(records) == 100
    (first,) = (r for r in records if "inferenceId" in r["eventMetadata"])
    assert first["captureData"] == {
        "endpointInput": {
            "observedContentType": "application/json",
            "mode": "INPUT",
            "data": BODY,
            "encoding": "JSON",
        },
        "endpointOutput": {
            "observedContentType": "application/json",
            "mode": "OUTPUT",
            "data": score,
            "encoding": "JSON",
        },
    }
    assert first["eventVersion"] == "0"
    assert first["eventMetadata"]["inferenceId"] == "mine"
    assert first["eventMetadata"]["customAttributes"] == ["a=b"]
    encodings = {r["captureData"]["endpointOutput"]["encoding"] for r in records}
    assert encodings == {"CSV", "JSON"}
    assert len({r["eventMetadata"]["eventId"] for r in records}) == 100


def test_capture_stops_with_an_update_and_properties_can_be_retained(sm, s3, runtime, model):
    make_endpoint(sm, "stops", model, DataCaptureConfig=CAPTURE)
    weights = [{"VariantName": "All", "DesiredWeight": 3.0, "DesiredInstanceCount": 2}]
    sm.update_endpoint_weights_and_capacities(
        EndpointName="stops", DesiredWeightsAndCapacities=weights
    )
    stopped = {**CAPTURE, "EnableCapture": False}
    make_config(sm, "stopped", model, DataCaptureConfig=stopped)
    sm.update_endpoint(
        EndpointName="stops",
        EndpointConfigName="stopped",
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DataCaptureConfig"}],
    )
    found = settled(sm, "stops")
    ask(runtime, "stops")
    sm.delete_endpoint(EndpointName="stops")
    assert found["DataCaptureConfig"]["CaptureStatus"] == "Stopped"
    (variant,) = found["ProductionVariants"]
    assert (variant["CurrentWeight"], variant["CurrentInstanceCount"]) == (3.0, 2)
    assert captured(s3, "stops") == ([], [])


def test_asynchronous_invocations_write_the_models_answers(s3, runtime, plain, queued):
    s3.put_object(Bucket=BUCKET, Key="async/in", Body=BODY, ContentType="application/json")

    def invoke(_):
        return runtime.invoke_endpoint_async(
            EndpointName=queued, InputLocation=f"s3://{BUCKET}/async/in"
        )

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(invoke, range(50)))
    assert {answer["ResponseMetadata"]["HTTPStatusCode"] for answer in answers} == {202}
    expected = ask(runtime, plain)
    for answer in answers:
        assert written(s3, answer["OutputLocation"]) == expected
    assert not keys(s3, "async/failed")


def test_a_failed_asynchronous_invocation_says_why(s3, runtime, queued):
    s3.put_object(Bucket=BUCKET, Key="async/bad", Body=b"{", ContentType="application/json")
    reasons = []
    for key in ("async/bad", "async/nothing"):
        answer = runtime.invoke_endpoint_async(
            EndpointName=queued, InputLocation=f"s3://{BUCKET}/{key}", InferenceId="i"
        )
        assert answer["InferenceId"] == "i"
        reasons.append(written(s3, answer["FailureLocation"]).decode())
    assert json.loads(reasons[0])["error"]["code"] == "DataError"
    assert "async/nothing cannot be read" in json.loads(reasons[1])["failureReason"]


def test_the_kind_of_an_endpoint_decides_which_operation_it_takes(runtime, plain, queued):
    location = {"InputLocation": f"s3://{BUCKET}/async/in"}
    with pytest.raises(ClientError, match=r"\(ValidationError\).*has no AsyncInferenceConfig"):
        runtime.invoke_endpoint_async(EndpointName=plain, **location)
    with pytest.raises(ClientError, match=r"\(ValidationError\).*Endpoint nobody of account"):
        runtime.invoke_endpoint_async(EndpointName="nobody", **location)
    with pytest.raises(ClientError, match=r"\(ValidationError\).*call InvokeEndpointAsync"):
        ask(runtime, queued)
    with pytest.raises(ClientError, match=r"\(ValidationError\).*s3://bucket/prefix"):
        runtime.invoke_endpoint_async(EndpointName=queued, InputLocation="https://a/b")


def test_an_answer_can_be_streamed(runtime, plain):
    answer = runtime.invoke_endpoint_with_response_stream(
        EndpointName=plain, Body=BODY, ContentType="application/json"
    )
    assert answer["ContentType"] == "application/json"
    assert answer["InvokedProductionVariant"] == "All"
    parts = [event["PayloadPart"]["Bytes"] for event in answer["Body"]]
    assert b"".join(parts) == ask(runtime, plain)
    with pytest.raises(runtime.exceptions.ModelError) as raised:
        runtime.invoke_endpoint_with_response_stream(
            EndpointName=plain, Body=b"{", ContentType="application/json"
        )
    assert raised.value.response["OriginalStatusCode"] == 400


def test_a_body_above_the_limit_and_another_method_do_not_reach_the_model(service, runtime, plain):
    with pytest.raises(ClientError, match="exceeded 6291456 bytes") as raised:
        ask(runtime, plain, b" " * 6291457)
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{service.url}/endpoints/plain/invocations")
    with refused.value as answer:
        assert answer.headers["Content-Type"] == "application/json"
        assert "GET /endpoints/plain/invocations" in json.loads(answer.read())["message"]


def test_a_container_that_cannot_serve_fails_at_once_with_its_own_sentence(sm, s3, tmp_path):
    make_model(sm, s3, "no-model", archive(tmp_path, b'{"status":"ok"}'))
    found = make_endpoint(sm, "no-model", "no-model")
    sm.delete_endpoint(EndpointName="no-model")
    assert found["EndpointStatus"] == "Failed"
    reason = found["FailureReason"]
    assert "production variant All did not pass the ping health check" in reason
    assert "/ping answered 503: " in reason and "/opt/ml/model/model_algo-1" in reason
    assert f"s3://{BUCKET}/models/no-model.tar.gz" in reason


def test_invocations_are_metrics_in_cloudwatch(service, runtime, plain):
    cloudwatch = service.client("cloudwatch")
    start = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=5)

    def total(name, statistic="Sum"):
        points = cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=name,
            Dimensions=[
                {"Name": "EndpointName", "Value": plain},
                {"Name": "VariantName", "Value": "All"},
            ],
            StartTime=start,
            EndTime=start + datetime.timedelta(hours=1),
            Period=3600,
            Statistics=[statistic],
        )["Datapoints"]
        return sum(point[statistic] for point in points)

    names = ("Invocations", "Invocation4XXErrors")
    time.sleep(1.5)  # what earlier tests did is counted
    before = [total(name) for name in names]
    ask(runtime, plain)
    with pytest.raises(runtime.exceptions.ModelError):
        ask(runtime, plain, b"{")
    eventually(lambda: total("Invocations") == before[0] + 2)
    assert total("Invocation4XXErrors") == before[1] + 1
    assert total("Invocation5XXErrors") == 0
    assert total("ModelLatency", "Maximum") > 100  # microseconds
    assert total("OverheadLatency", "Maximum") > 0


def test_an_endpoint_lives_on_its_own_copy_of_everything(tmp_path):
    service = up(tmp_path / "state")
    sm, s3, runtime = (service.client(n) for n in ("sagemaker", "s3", "sagemaker-runtime"))
    s3.create_bucket(Bucket=BUCKET)
    make_model(sm, s3, "m", archive(tmp_path))
    make_model(sm, s3, "no-model", archive(tmp_path, b"{}"))
    make_endpoint(sm, "kept", "m")
    failed = make_endpoint(sm, "failed", "no-model")
    make_endpoint(sm, "queue", "m", AsyncInferenceConfig=ASYNC)
    weights = [{"VariantName": "All", "DesiredWeight": 3.0}]
    sm.update_endpoint_weights_and_capacities(
        EndpointName="kept", DesiredWeightsAndCapacities=weights
    )
    score = ask(runtime, "kept")
    sm.delete_model(ModelName="m")
    sm.delete_endpoint_config(EndpointConfigName="kept")
    s3.delete_object(Bucket=BUCKET, Key="models/m.tar.gz")
    s3.put_object(Bucket=BUCKET, Key="in", Body=BODY, ContentType="application/json")
    locations = [
        runtime.invoke_endpoint_async(EndpointName="queue", InputLocation=f"s3://{BUCKET}/in")
        for _ in range(100)
    ]
    time.sleep(3)  # objects are saved two seconds after they change, at most
    for stop in (down, kill):
        stop(service)
        service = up(tmp_path / "state")
        sm, s3, runtime = (service.client(n) for n in ("sagemaker", "s3", "sagemaker-runtime"))
        found = settled(sm, "kept")
        assert found["EndpointStatus"] == "InService", found
        assert found["ProductionVariants"][0]["CurrentWeight"] == 3.0
        assert ask(runtime, "kept") == score
        again = sm.describe_endpoint(EndpointName="failed")
        assert again["EndpointStatus"] == "Failed"
        assert again["FailureReason"] == failed["FailureReason"]
    try:
        for location in locations:
            assert written(s3, location["OutputLocation"]) == score
    finally:
        down(service)


def test_the_state_is_true_while_a_container_is_dead(service, sm, runtime, plain):
    for note in (service.state / "processes").iterdir():
        if f"/endpoint/{plain}/serve-" in note.read_text():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int(note.name), signal.SIGKILL)

    def count():
        (variant,) = sm.describe_endpoint(EndpointName=plain)["ProductionVariants"]
        return variant["CurrentInstanceCount"]

    eventually(lambda: count() == 0)
    eventually(lambda: count() == 1)
    assert ask(runtime, plain)


VARIANT = {"VariantName": "All", "ModelName": "features", **INSTANCES}
SERVERLESS = {"MemorySizeInMB": 1024, "MaxConcurrency": 2}
NOWHERE = {**CAPTURE, "DestinationS3Uri": "s3://nowhere/x"}


@pytest.mark.parametrize(
    ("variant", "more", "message"),
    [
        (INSTANCES, {"ShadowProductionVariants": [VARIANT]}, "ShadowProductionVariants"),
        (INSTANCES, {"EnableNetworkIsolation": True}, "EnableNetworkIsolation"),
        ({**INSTANCES, "CoreDumpConfig": {"DestinationS3Uri": "s3://b/c"}}, {}, "CoreDumpConfig"),
        (
            INSTANCES,
            {"DataCaptureConfig": NOWHERE},
            'DestinationS3Uri: the S3 bucket "nowhere" does not exist',
        ),
        ({"ServerlessConfig": SERVERLESS}, {"AsyncInferenceConfig": ASYNC}, "with a Serverless"),
        ({"ServerlessConfig": SERVERLESS}, {"DataCaptureConfig": CAPTURE}, "with a Serverless"),
        (
            {"ServerlessConfig": {**SERVERLESS, "ProvisionedConcurrency": 3}},
            {},
            "ProvisionedConcurrency must be at most MaxConcurrency 2; got 3",
        ),
    ],
)
def test_what_is_not_offered_is_refused_by_name(sm, model, variant, more, message):
    with pytest.raises(ClientError, match=rf"\(ValidationException\).*{message}"):
        make_config(sm, "no", model, variant, **more)


def test_a_way_to_deploy_that_is_not_offered_is_refused(sm, plain):
    routing = {
        "Type": "CANARY",
        "WaitIntervalInSeconds": 0,
        "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1},
    }
    policy = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}
    with pytest.raises(ClientError, match=r"\(ValidationException\).*Type 'CANARY' is not offered"):
        sm.update_endpoint(EndpointName=plain, EndpointConfigName=plain, DeploymentConfig=policy)


@pytest.mark.sdk
def test_the_sdk_v2_captures_data_and_waits_for_asynchronous_answers(service, sm, model):
    if reason := sdk.missing(2, containers=False):
        pytest.skip(reason)
    sm.create_training_job(**training("regressor", HyperParameters={"predictor_type": "regressor"}))
    ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="regressor")
    script = ROOT / "tests/service/endpoints_v2.py"
    arguments = (f"s3://{BUCKET}/models/{model}.tar.gz", "regressor", f"s3://{BUCKET}/sdk")
    done = subprocess.run(
        [sdk.python(2), script, *arguments],
        env=service.environment() | {"COLUMNS": "5000"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=2 * PATIENCE,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    # The default destination of enable_data_capture is another prefix.
    assert "CAPTURE Started Stopped Started Started [True, True, True]" in done.stdout
    assert "ASYNC True True" in done.stdout
    assert re.search("FAILED .*1 features", done.stdout), done.stdout[-4000:]
    assert "ANALYTICS ['train:rmse:epoch']" in done.stdout
