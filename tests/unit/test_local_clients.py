"""The boto3-shaped clients over moto's S3, with small scripts in place of train and serve."""

import sys

import boto3
import pytest
from botocore.exceptions import ClientError

from local_sagemaker.clients import RuntimeClient, SageMakerClient
from local_sagemaker.errors import LocalError
from local_sagemaker.s3server import s3_server

TRAIN = """
import json, os, pathlib, sys
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
print("job", os.environ["TRAINING_JOB_NAME"], os.environ["EXTRA"])
parameters = json.loads((base / "input/config/hyperparameters.json").read_text())
if "fail" in parameters:
    (base / "output/failure").write_text("HyperparameterError: fail " + parameters["fail"])
    sys.exit(2)
found = sorted((base / "input/data").rglob("*.protobuf"))
(base / "model/model_algo-1").write_bytes(b"".join(path.read_bytes() for path in found))
(base / "output/data/notes").write_text("n")
"""
SERVE = """
import http.server, os, pathlib
model = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"], "model/model_algo-1").read_bytes()
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer(200, b"")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        wanted = self.headers["Content-Type"] + " " + self.headers["Accept"]
        self.answer(415 if b"bad" in body else 200, model + body + wanted.encode())
port = int(os.environ["SAGEMAKER_BIND_TO_PORT"])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def address():
    with s3_server() as address:
        yield address


@pytest.fixture
def client(address, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "local")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    s3 = boto3.client("s3", endpoint_url=address, region_name="us-east-1")
    s3.create_bucket(Bucket="lab-bucket")
    s3.put_object(Bucket="lab-bucket", Key="in/train/1.protobuf", Body=b"one")
    s3.put_object(Bucket="lab-bucket", Key="in/train/deep/2.protobuf", Body=b"two")
    yield SageMakerClient(s3, [sys.executable, "-c", TRAIN], [sys.executable, "-c", SERVE])
    s3.close()


def request(**hyperparameters):
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://lab-bucket/in/train"}
    return {
        "TrainingJobName": "job-1",
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "HyperParameters": hyperparameters,
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        "OutputDataConfig": {"S3OutputPath": "s3://lab-bucket/out/"},
        "Environment": {"EXTRA": "more"},
    }


def deploy(client, **container):
    client.create_model(ModelName="m", PrimaryContainer=container)
    variants = [{"VariantName": "AllTraffic", "ModelName": "m", "InitialInstanceCount": 1}]
    client.create_endpoint_config(EndpointConfigName="c", ProductionVariants=variants)
    client.create_endpoint(EndpointName="e", EndpointConfigName="c")
    return client.describe_endpoint(EndpointName="e")


def test_a_job_trains_and_its_model_serves(client, capsys):
    client.create_training_job(**request())
    job = client.describe_training_job(TrainingJobName="job-1")
    assert job["TrainingJobStatus"] == "Completed"
    model = job["ModelArtifacts"]["S3ModelArtifacts"]
    assert model == "s3://lab-bucket/out/job-1/output/model.tar.gz"
    assert "job job-1 more" in capsys.readouterr().out
    stored = client._s3.list_objects_v2(Bucket="lab-bucket", Prefix="out/")["Contents"]
    assert [entry["Key"].rpartition("/")[2] for entry in stored] == [
        "model.tar.gz",
        "output.tar.gz",
    ]

    assert deploy(client, ModelDataUrl=model)["EndpointStatus"] == "InService"
    invoke = RuntimeClient(client).invoke_endpoint
    answer = invoke(EndpointName="e", Body="x", ContentType="a/b", Accept="c/d")
    assert answer["Body"].read() == b"onetwoxa/b c/d"
    assert answer["ContentType"] == "text/plain"
    with pytest.raises(ClientError, match=r"ModelError.*client error \(415\)") as raised:
        invoke(EndpointName="e", Body=b"bad", ContentType="a/b", Accept="c/d")
    assert raised.value.response["OriginalStatusCode"] == 415

    server = client.server("e")
    client.delete_endpoint(EndpointName="e")
    assert server._child.poll() is not None
    with pytest.raises(ClientError, match='Could not find endpoint "e"'):
        invoke(EndpointName="e", Body=b"x")


def test_a_failed_job_has_the_reason_of_the_failure_file(client):
    client.create_training_job(**request(fail="now"))
    job = client.describe_training_job(TrainingJobName="job-1")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == "HyperparameterError: fail now"
    assert "ModelArtifacts" not in job


def test_a_server_that_does_not_come_up_is_a_failed_endpoint(client):
    client.create_training_job(**request())
    client._serve = [sys.executable, "-c", "exit(3)"]
    endpoint = deploy(client, ModelDataUrl="s3://lab-bucket/out/job-1/output/model.tar.gz")
    assert endpoint["EndpointStatus"] == "Failed"
    assert "exit code 3" in endpoint["FailureReason"]


def test_what_is_not_offered_is_refused(client):
    pipe, manifest = request(), request()
    pipe["AlgorithmSpecification"]["TrainingInputMode"] = "Pipe"
    with pytest.raises(LocalError, match="'train': InputMode must be File or FastFile; got Pipe"):
        client.create_training_job(**pipe)
    source = manifest["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    source["S3DataType"] = "ManifestFile"
    with pytest.raises(LocalError, match="S3DataType must be S3Prefix; got ManifestFile"):
        client.create_training_job(**manifest)


def test_names_are_unique_and_known(client):
    client.create_model(ModelName="m", PrimaryContainer={})
    with pytest.raises(ClientError, match="Cannot create already existing model m"):
        client.create_model(ModelName="m", PrimaryContainer={})
    client.delete_model(ModelName="m")
    with pytest.raises(ClientError, match='Could not find model "m"'):
        client.describe_model(ModelName="m")
