"""`up --s3-endpoint`: another S3, here the server of moto, in place of the service's own."""

import contextlib
import io
import json
import os
import subprocess
import sys
import time
import urllib.request

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local_sagemaker.backends.ping import free_port
from local_sagemaker.pytest_plugin import LocalSageMaker
from support.recordio import sparse_file
from support.service import (
    BUCKET,
    IMAGE,
    PATIENCE,
    ROLE,
    command,
    down,
    ended,
    planted,
    training,
    up,
)


@contextlib.contextmanager
def other_s3():
    """Yield the process of another S3, and its URL."""
    port = free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill()


@contextlib.contextmanager
def service_with(url, state):
    """Yield a service that uses another S3, and a client of that S3, which has data."""
    client = LocalSageMaker(url, state.parent).client("s3")
    until = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(BotoCoreError):
            client.create_bucket(Bucket=BUCKET)
            break
        assert time.monotonic() < until, "the other S3 does not start"
        time.sleep(0.1)
    for seed, name in enumerate(("train", "test")):
        x, y = planted(seed)
        client.put_object(Bucket=BUCKET, Key=f"data/{name}/part-0", Body=sparse_file(x, y))
    service = up(state, "--s3-endpoint", url)
    try:
        yield service, client
    finally:
        down(service)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Return a service, and a client of the other S3 that it uses."""
    with other_s3() as (_, url), service_with(url, tmp_path_factory.mktemp("s3") / "state") as both:
        yield both


def keys(client, prefix=""):
    entries = client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ())
    return [entry["Key"] for entry in entries]


def wait_for(client, prefix):
    until = time.monotonic() + PATIENCE
    while not keys(client, prefix):
        assert time.monotonic() < until, f"there is no {prefix}"
        time.sleep(0.1)


def test_jobs_and_endpoints_read_and_write_it(both):
    service, client = both
    sm, runtime = service.client("sagemaker"), service.client("sagemaker-runtime")
    sm.create_training_job(**training("job"))
    job = ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="job")
    assert job["TrainingJobStatus"] == "Completed", job
    assert keys(client, "out") == ["out/job/output/model.tar.gz"]

    container = {"Image": IMAGE, "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"]}
    sm.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    content = {"instances": [{"features": [1.0] * 30}]}
    client.put_object(Bucket=BUCKET, Key="batch/a.json", Body=json.dumps(content))
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/batch"}}
    sm.create_transform_job(
        TransformJobName="t",
        ModelName="m",
        TransformInput={"DataSource": source, "ContentType": "application/json"},
        TransformOutput={"S3OutputPath": f"s3://{BUCKET}/scores"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    batch = ended(sm.describe_transform_job, "TransformJobStatus", TransformJobName="t")
    assert batch["TransformJobStatus"] == "Completed", batch
    scores = client.get_object(Bucket=BUCKET, Key="scores/a.json.out")["Body"].read()
    assert b"score" in scores

    variant = {"VariantName": "v", "ModelName": "m", "InitialInstanceCount": 1}
    variants = [{**variant, "InstanceType": "ml.m5.large"}]
    capture = {
        **{"EnableCapture": True, "InitialSamplingPercentage": 100},
        **{"DestinationS3Uri": f"s3://{BUCKET}/captured"},
        "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
    }
    queue = {"OutputConfig": {"S3OutputPath": f"s3://{BUCKET}/answers"}}
    sm.create_endpoint_config(
        EndpointConfigName="e", ProductionVariants=variants, DataCaptureConfig=capture
    )
    sm.create_endpoint_config(
        EndpointConfigName="q", ProductionVariants=variants, AsyncInferenceConfig=queue
    )
    for name in ("e", "q"):
        sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
        ended(sm.describe_endpoint, "EndpointStatus", EndpointName=name)
    request = {"EndpointName": "e", "ContentType": "application/json", "Body": json.dumps(content)}
    response = runtime.invoke_endpoint(**request)["Body"].read()
    answer = runtime.invoke_endpoint_async(
        EndpointName="q",
        ContentType="application/json",
        InputLocation=f"s3://{BUCKET}/batch/a.json",
    )
    prefix = answer["OutputLocation"].removeprefix(f"s3://{BUCKET}/")
    for written in ("captured/e/v/", prefix):
        wait_for(client, written)
    assert client.get_object(Bucket=BUCKET, Key=prefix)["Body"].read() == response


@pytest.mark.parametrize("proxy", [False, True])
def test_requests_to_the_service_are_forwarded(both, proxy):
    service, client = both
    s3 = service.client("s3", proxy=proxy)
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == [BUCKET]
    where = {"Bucket": BUCKET, "Key": f"forwarded/{proxy} ä+b?#"}
    body = os.urandom(300_000)
    s3.put_object(**where, Body=body, Metadata={"a_b": "c"}, ContentType="text/x")
    head = client.head_object(**where)
    assert (head["Metadata"], head["ContentType"]) == ({"a_b": "c"}, "text/x")
    for reader in (s3, client):
        assert reader.get_object(**where)["Body"].read() == body
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket=BUCKET, Key="forwarded/none")
    s3.upload_fileobj(io.BytesIO(body * 40), BUCKET, "forwarded/parts")  # in several parts
    assert client.head_object(Bucket=BUCKET, Key="forwarded/parts")["ContentLength"] == 12_000_000
    s3.delete_object(Bucket=BUCKET, Key="forwarded/parts")
    assert keys(client, "forwarded/p") == []


def test_presigned_urls_are_forwarded(both):
    service, client = both
    s3, where = service.client("s3"), {"Bucket": BUCKET, "Key": "presigned"}
    put = s3.generate_presigned_url("put_object", Params=where)
    headers = {"Content-Type": "text/plain"}
    urllib.request.urlopen(urllib.request.Request(put, b"content", headers, method="PUT")).close()
    assert client.get_object(**where)["Body"].read() == b"content"
    with urllib.request.urlopen(s3.generate_presigned_url("get_object", Params=where)) as answer:
        assert answer.read() == b"content"


def test_what_would_make_a_bucket_elsewhere_is_refused(both):
    service, client = both
    cloudformation = service.client("cloudformation")
    resources = {"B": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "hidden"}}}
    with pytest.raises(ClientError, match=f"uses the S3 at {client.meta.endpoint_url}"):
        cloudformation.create_stack(
            StackName="s", TemplateBody=json.dumps({"Resources": resources})
        )
        stack = cloudformation.describe_stacks(StackName="s")["Stacks"][0]
        raise ClientError({"Error": {"Message": stack.get("StackStatusReason")}}, "CreateStack")


def test_a_reset_leaves_the_other_s3_as_it_is(both):
    service, client = both
    before = keys(client)
    service.client("sagemaker").create_model_package_group(ModelPackageGroupName="g")
    removed = LocalSageMaker(service.url, service.state).reset()
    assert removed["model-package-group"] == 1
    assert keys(client) == before


def test_up_does_not_take_a_service_with_another_s3(service):
    options = ("--env", "--backend", "process", "--s3-endpoint", "http://127.0.0.1:9")
    done = subprocess.run(
        command("up", service.state, *options), capture_output=True, text=True, timeout=PATIENCE
    )
    message = f"the service runs already, with the S3 at {service.url}: "
    assert (done.returncode, message in done.stderr) == (1, True), done.stderr


def test_a_job_fails_when_it_does_not_answer(tmp_path):
    with other_s3() as (process, url), service_with(url, tmp_path / "state") as (service, _):
        sm = service.client("sagemaker")
        sm.create_training_job(**training("job", HyperParameters={"epochs": "100"}))
        # The first Describe of a client that is not interactive waits for the end of the job.
        config = Config(user_agent_extra="aws-cli/2")
        cli = LocalSageMaker(service.url, service.state).client("sagemaker", config=config)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            job = cli.describe_training_job(TrainingJobName="job")
            if job["SecondaryStatus"] == "Training":
                break
            time.sleep(0.1)
        process.kill()
        process.wait()
        job = ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="job")
        assert job["TrainingJobStatus"] == "Failed"
        assert "Could not connect to the endpoint URL" in job["FailureReason"]
        assert url in job["FailureReason"]
        with pytest.raises(ClientError, match=f"The S3 at {url} does not answer"):
            service.client("s3").list_buckets()
        with pytest.raises(ClientError, match=r'the S3 bucket "bucket" cannot be reached'):
            sm.create_training_job(**training("other"))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:9", "the S3 at http://127.0.0.1:9 cannot be used: Could not connect"),
        ("127.0.0.1:9000", "must look like http://127.0.0.1:9000; got '127.0.0.1:9000'"),
        ("http://127.0.0.1:9000/path", "must look like"),
    ],
)
def test_it_does_not_start_without_it(tmp_path, url, message):
    done = subprocess.run(
        command("up", tmp_path, "--port", "0", "--backend", "process", "--s3-endpoint", url),
        capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert (done.returncode, message in done.stderr) == (1, True), done.stderr
