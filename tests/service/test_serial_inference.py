"""Serial inference with images that the user wrote, in Docker; the example of the encoder."""

import contextlib
import json
import tarfile
import uuid

import pytest
from botocore.exceptions import ClientError

from factorization_machines import artifact
from support import docker, sdk
from support.fm import parameters
from support.service import BUCKET, IMAGE, ROLE, ROOT, down, ended, eventually, run_sdk, up

pytestmark = pytest.mark.docker
EXAMPLES = ROOT / "examples"
FEATURES = 943 + 1682
BODY = json.dumps({"instances": [{"features": {"keys": [0, 943], "values": [1, 1]}}]}).encode()
# Answers with its environment and model, with an error, not at all, or with what it is sent.
PROGRAM = """
import http.server, json, os, signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, b"")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body == b"exit":
            os._exit(7)
        if body == b"state":
            state = {**os.environ, "files": os.listdir("/opt/ml/model")}
            self.answer(200, json.dumps(state).encode())
        else:
            self.answer(500 if body == b"500" else 200, body)
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", self.headers.get("Content-Type", "text/plain"))
        self.end_headers()
        self.wfile.write(body)
port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", 8080))
http.server.ThreadingHTTPServer(("", port), Handler).serve_forever()
"""
LABEL = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Return a function that builds an image of a folder, or of a Dockerfile and PROGRAM."""
    if reason := docker.missing(docker.IMAGE):
        pytest.skip(reason)
    names = []

    def build(folder=None, label="true"):
        if folder is None:
            folder = tmp_path_factory.mktemp("image")
            (folder / "p.py").write_text(PROGRAM)
            lines = ("FROM factorization-machines", f"LABEL {LABEL}={label}", "COPY p.py /p.py")
            text = "\n".join([*lines, 'ENTRYPOINT ["python", "/p.py"]'])
            (folder / "Dockerfile").write_text(text)
        names.append(f"serial-{uuid.uuid4().hex[:8]}:latest")
        base = f"BASE_IMAGE={docker.IMAGE}"
        docker.docker("build", "-q", "-t", names[-1], "--build-arg", base, str(folder))
        return names[-1]

    yield build
    docker.docker("rmi", "-f", *names, check=False)


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docker")
    service = up(folder / "state", "--backend", "docker")
    s3 = service.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    model = artifact.Model(parameters(1, FEATURES, 2), {"predictor_type": "regressor"})
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        archive.add(artifact.write(folder, model), artifact.FILE_NAME)
    s3.upload_file(str(folder / "model.tar.gz"), BUCKET, "model.tar.gz")
    yield service
    down(service)


@pytest.fixture(scope="module")
def image(build):
    return build()


def deploy(sm, name, containers, config=None, **members):
    sm.create_model(ModelName=name, ExecutionRoleArn=ROLE, Containers=containers, **members)
    variant = {"VariantName": "All", "ModelName": name, "InitialInstanceCount": 1}
    variant["InstanceType"] = "ml.c4.xlarge"
    sm.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=[variant], **(config or {})
    )
    sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    found = ended(sm.describe_endpoint, "EndpointStatus", EndpointName=name)
    assert found["EndpointStatus"] == "InService", found


def fm(**members):
    return {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/model.tar.gz", **members}


def ask(runtime, name, body, **members):
    return runtime.invoke_endpoint(
        EndpointName=name, Body=body, ContentType="application/json", **members
    )["Body"].read()


@pytest.mark.sdk
def test_the_example_encodes_predicts_and_transforms(started, build):
    if reason := sdk.missing(2):
        pytest.skip(reason)
    uri, image = f"s3://{BUCKET}/model.tar.gz", build(EXAMPLES / "encoder")
    printed = run_sdk(started, 2, EXAMPLES / "serial.py", uri, image, 20)
    assert "the scores are the same: True" in printed
    for text in ("a line must be a user and an item; got '196'", "user must be 1 to 943"):
        assert f'Received client error (400) from container-1 with message "{text}' in printed
    assert "transform: 20 predictions, the first is " in printed


def test_the_errors_of_each_container_and_its_restart(started, image):
    sm, runtime = started.client("sagemaker"), started.client("sagemaker-runtime")
    deploy(sm, "errors", [{"Image": image}, fm()])
    score = ask(runtime, "errors", BODY)
    for body, message in (
        (b"500", r"server error \(500\) from container-1 with message \"500\""),
        (b"{}", r"client error \(400\) from container-2 with message"),
        (b"exit", "The container container-1 did not answer"),
    ):
        with pytest.raises(runtime.exceptions.ModelError, match=message):
            ask(runtime, "errors", body)

    def answers():
        with contextlib.suppress(runtime.exceptions.ModelError):
            return ask(runtime, "errors", BODY) == score

    eventually(answers)
    logs, group = started.client("logs"), "/aws/sagemaker/Endpoints/errors"

    def restarts():
        events = logs.filter_log_events(logGroupName=group, filterPattern="ended")["events"]
        return {e["logStreamName"].rpartition("/")[2]: e["message"] for e in events}

    found = eventually(restarts)
    assert found.keys() == {"container-1"}
    assert "exit code 7" in found["container-1"]


def test_each_container_has_its_own_port_environment_and_model(started, image):
    sm, runtime = started.client("sagemaker"), started.client("sagemaker-runtime")
    second = {"Image": image, "ContainerHostname": "two", "Environment": {"MINE": "2"}}
    parts = [fm(ContainerHostname="one"), second]
    deploy(sm, "ports", parts, InferenceExecutionConfig={"Mode": "Direct"})
    state = json.loads(ask(runtime, "ports", b"state", TargetContainerHostname="two"))
    assert (state["MINE"], state["files"]) == ("2", [])
    assert state["SAGEMAKER_BIND_TO_PORT"] == "8081"
    assert state["SAGEMAKER_SAFE_PORT_RANGE"] == "23500-23999"
    answer = ask(runtime, "ports", BODY, TargetContainerHostname="one")
    assert "predictions" in json.loads(answer)


def objects(started, prefix):
    s3 = started.client("s3")
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return [s3.get_object(Bucket=BUCKET, Key=e["Key"])["Body"].read().decode() for e in found]


def test_capture_has_the_first_request_and_the_last_response(started, image):
    sm, runtime = started.client("sagemaker"), started.client("sagemaker-runtime")
    capture = {
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{BUCKET}/captured",
        "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
        "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
    }
    deploy(sm, "captured", [{"Image": image}, fm()], {"DataCaptureConfig": capture})
    answer = ask(runtime, "captured", BODY).decode()
    (text,) = eventually(lambda: objects(started, "captured/"))
    data = json.loads(text)["captureData"]
    assert data["endpointInput"]["data"] == BODY.decode()
    assert data["endpointOutput"]["data"] == answer


def test_asynchronous_invocations_pass_all_containers(started, image):
    sm, runtime = started.client("sagemaker"), started.client("sagemaker-runtime")
    output = {"S3OutputPath": f"s3://{BUCKET}/async", "S3FailurePath": f"s3://{BUCKET}/failed"}
    config = {"AsyncInferenceConfig": {"OutputConfig": output}}
    deploy(sm, "queued", [{"Image": image}, fm()], config)
    for key, body in (("in", BODY), ("bad", b"500")):
        started.client("s3").put_object(Bucket=BUCKET, Key=f"queue/{key}", Body=body)
        runtime.invoke_endpoint_async(
            EndpointName="queued",
            InputLocation=f"s3://{BUCKET}/queue/{key}",
            ContentType="application/json",
        )
    (answer,) = eventually(lambda: objects(started, "async/"))
    assert len(json.loads(answer)["predictions"]) == 1
    assert eventually(lambda: objects(started, "failed/")) == ["500"]


def test_batch_transform_joins_records_with_the_last_response(started, image):
    sm, row = started.client("sagemaker"), json.loads(BODY)["instances"][0]
    sm.create_model(ModelName="joined", ExecutionRoleArn=ROLE, Containers=[{"Image": image}, fm()])
    lines = "".join(json.dumps({"id": n, "row": row}) + "\n" for n in range(30))
    started.client("s3").put_object(Bucket=BUCKET, Key="lines", Body=lines.encode())
    kind = "application/jsonlines"
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/lines"}}
    sm.create_transform_job(
        TransformJobName="joined",
        ModelName="joined",
        TransformInput={"DataSource": source, "ContentType": kind, "SplitType": "Line"},
        TransformOutput={
            "S3OutputPath": f"s3://{BUCKET}/joined", "Accept": kind, "AssembleWith": "Line",
        },
        TransformResources={"InstanceType": "ml.c4.xlarge", "InstanceCount": 1},
        DataProcessing={
            "InputFilter": "$.row",
            "JoinSource": "Input",
            "OutputFilter": "$['id','SageMakerOutput']",
        },
    )  # fmt: skip
    found = ended(sm.describe_transform_job, "TransformJobStatus", TransformJobName="joined")
    assert found["TransformJobStatus"] == "Completed", found
    (text,) = objects(started, "joined/")
    records = [json.loads(line) for line in text.splitlines()]
    assert [record["id"] for record in records] == list(range(30))
    assert len({record["SageMakerOutput"]["score"] for record in records}) == 1


def test_an_image_without_the_label_is_refused(started, build, image):
    sm = started.client("sagemaker")
    unlabeled = build(label="false")
    with pytest.raises(ClientError, match=f"{unlabeled} does not contain required {LABEL}=true"):
        sm.create_model(
            ModelName="none", ExecutionRoleArn=ROLE, Containers=[{"Image": unlabeled}, fm()]
        )
    alone = {"Image": unlabeled}
    sm.create_model(ModelName="alone", ExecutionRoleArn=ROLE, PrimaryContainer=alone)
