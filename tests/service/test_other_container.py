"""Another algorithm's container, on one host and on two: the service knows nothing of ours."""

import io
import json
import subprocess
import tarfile
import uuid

import pytest

from support import docker
from support.service import BUCKET, ROLE, down, ended, training, up

pytestmark = pytest.mark.docker
PROGRAM = """
import http.server, json, os, socket, sys, time

def serve():
    answer = open("/opt/ml/model/answer").read()
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200); self.end_headers()
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.send_response(200); self.end_headers()
            self.wfile.write(f"{answer} {os.environ['EXTRA']} {body}".encode())
    http.server.HTTPServer(("", 8080), Handler).serve_forever()

def train():
    config = "/opt/ml/input/config/"
    given = json.load(open(config + "hyperparameters.json"))
    here = json.load(open(config + "resourceconfig.json"))
    parts = sorted(os.listdir("/opt/ml/input/data/train"))
    # A name resolves only while its container runs: none ends before all have connected to it.
    listener = socket.create_server(("", 5000))
    for host in here["hosts"]:
        for attempt in range(100):
            try:
                socket.create_connection((host, 5000), timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        else:
            sys.exit(f"{host} is not there")
    for host in here["hosts"]:
        listener.accept()
    print(here["current_host"], "has", parts, "score=0.25", flush=True)
    if given.get("fail"):
        open("/opt/ml/output/failure", "w").write("as asked")
        sys.exit(9)
    if here["current_host"] == "algo-1":
        open("/opt/ml/model/answer", "w").write(given["answer"])
        notes = os.environ["TRAINING_JOB_NAME"] + " " + os.environ["EXTRA"]
        open("/opt/ml/output/data/notes", "w").write(notes)

{"train": train, "serve": serve}[sys.argv[1]]()
"""


@pytest.fixture(scope="module")
def image():
    if reason := docker.missing(docker.IMAGE):
        pytest.skip(reason)
    name = f"other-{uuid.uuid4().hex[:8]}:latest"
    context = io.BytesIO()
    dockerfile = f'FROM {docker.IMAGE}\nCOPY p.py /\nENTRYPOINT ["python", "/p.py"]\nCMD []\n'
    with tarfile.open(fileobj=context, mode="w") as tar:
        for path, text in (("Dockerfile", dockerfile), ("p.py", PROGRAM)):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(text.encode()), 0o644
            tar.addfile(entry, io.BytesIO(text.encode()))
    command = [docker.DOCKER, "build", "-q", "-t", name, "-"]
    subprocess.run(command, input=context.getvalue(), check=True, capture_output=True, timeout=110)
    yield name
    docker.docker("rmi", "-f", name, check=False)


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    service = up(tmp_path_factory.mktemp("docker") / "state", "--backend", "docker")
    s3 = service.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for part in range(3):
        s3.put_object(Bucket=BUCKET, Key=f"data/train/{part}", Body=b"x")
    yield service
    down(service)


def job(sm, image, name, hosts=1, **hyperparameters):
    request = training(name)
    source = {"S3DataDistributionType": "ShardedByS3Key"}
    request["InputDataConfig"] = request["InputDataConfig"][:1]
    request["InputDataConfig"][0]["DataSource"]["S3DataSource"].update(source)
    request["ResourceConfig"]["InstanceCount"] = hosts
    request["HyperParameters"] = hyperparameters
    request["Environment"] = {"EXTRA": "some"}
    request["AlgorithmSpecification"] = {
        "TrainingImage": image,
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": "score", "Regex": "score=([0-9.]+)"}],
    }
    sm.create_training_job(**request)
    return ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)


def test_it_trains_and_serves(started, image):
    sm = started.client("sagemaker")
    found = job(sm, image, "other", answer="42")
    assert found["TrainingJobStatus"] == "Completed", found
    assert [one["Value"] for one in found["FinalMetricDataList"]] == [0.25]
    s3 = started.client("s3")
    packed = s3.get_object(Bucket=BUCKET, Key="out/other/output/output.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        notes = tar.extractfile("notes")
        assert notes is not None and notes.read() == b"other some"
    container = {
        "Image": image,
        "ModelDataUrl": found["ModelArtifacts"]["S3ModelArtifacts"],
        "Environment": {"EXTRA": "more"},
    }
    sm.create_model(ModelName="other", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {"VariantName": "A", "ModelName": "other", "InitialInstanceCount": 1}
    variant["InstanceType"] = "ml.c4.xlarge"
    sm.create_endpoint_config(EndpointConfigName="other", ProductionVariants=[variant])
    sm.create_endpoint(EndpointName="other", EndpointConfigName="other")
    found = ended(sm.describe_endpoint, "EndpointStatus", EndpointName="other")
    assert found["EndpointStatus"] == "InService", found
    runtime = started.client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(EndpointName="other", Body=b"body")
    assert answer["Body"].read() == b"42 more body"


def test_two_hosts_find_each_other_and_share_the_objects(started, image):
    found = job(started.client("sagemaker"), image, "two", hosts=2, answer="42")
    assert found["TrainingJobStatus"] == "Completed", found
    logs, group = started.client("logs"), "/aws/sagemaker/TrainingJobs"
    events = logs.filter_log_events(logGroupName=group)["events"]
    lines = [one["message"] for one in events if one["logStreamName"].startswith("two/")]
    assert sorted(lines) == [
        "algo-1 has ['0', '2'] score=0.25",
        "algo-2 has ['1'] score=0.25",
    ]


def test_it_fails_with_its_own_words(started, image):
    found = job(started.client("sagemaker"), image, "fails", fail="yes")
    assert (found["TrainingJobStatus"], found["FailureReason"]) == ("Failed", "as asked")


def test_an_image_that_is_not_there_is_refused(started):
    sm = started.client("sagemaker")
    with pytest.raises(sm.exceptions.ClientError, match="has no image nowhere/none:1"):
        job(sm, "nowhere/none:1", "none")
    assert json.loads((started.state / "service.json").read_text())["backend"] == "docker"
