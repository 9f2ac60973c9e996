"""Processing jobs in Docker: any image, several hosts, the image's own command."""

import json

import pytest
from botocore.exceptions import ClientError

from support import docker
from support.service import BUCKET, SKLEARN, down, ended, processing, up

pytestmark = pytest.mark.docker
FOLDER = "/opt/ml/processing"


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    if reason := docker.missing(docker.IMAGE):
        pytest.skip(reason)
    service = up(tmp_path_factory.mktemp("docker") / "state", "--backend", "docker")
    s3 = service.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for part in range(3):
        s3.put_object(Bucket=BUCKET, Key=f"parts/{part}", Body=b"x")
    yield service
    down(service)


def run(started, name, script, hosts=1, **specification):
    """Run a script as a job; return its description, its objects and its log."""
    sm, s3, logs = (started.client(service) for service in ("sagemaker", "s3", "logs"))
    parts = {
        "S3Uri": f"s3://{BUCKET}/parts",
        "LocalPath": f"{FOLDER}/parts",
        "S3DataType": "S3Prefix",
        "S3DataDistributionType": "ShardedByS3Key",
    }
    out = {
        "S3Uri": f"s3://{BUCKET}/out/{name}",
        "LocalPath": f"{FOLDER}/out",
        "S3UploadMode": "EndOfJob",
    }
    request = processing(
        s3, name, script,
        ProcessingInputs=[{"InputName": "parts", "S3Input": parts}],
        ProcessingOutputConfig={"Outputs": [{"OutputName": "out", "S3Output": out}]},
    )  # fmt: skip
    request["AppSpecification"]["ImageUri"] = docker.IMAGE
    request["AppSpecification"] |= specification
    request["AppSpecification"] = {k: v for k, v in request["AppSpecification"].items() if v}
    request["ProcessingResources"]["ClusterConfig"]["InstanceCount"] = hosts
    sm.create_processing_job(**request)
    found = ended(sm.describe_processing_job, "ProcessingJobStatus", ProcessingJobName=name)
    entries = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"out/{name}/").get("Contents", ())
    keys = [entry["Key"].removeprefix(f"out/{name}/") for entry in entries]
    events = logs.filter_log_events(logGroupName="/aws/sagemaker/ProcessingJobs")["events"]
    lines = [e["message"] for e in events if e["logStreamName"].startswith(f"{name}/")]
    return found, keys, lines


TWO = """
import json, os, pathlib, socket, sys, time
here = json.load(open("/opt/ml/config/resourceconfig.json"))
parts = sorted(os.listdir("/opt/ml/processing/parts"))
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
print(here["current_host"], parts)
pathlib.Path("/opt/ml/processing/out", here["current_host"]).write_text("done")
pathlib.Path("/opt/ml/output/message").write_text(here["current_host"] + " ")
"""


def test_two_hosts_find_each_other_share_the_objects_and_upload_both_outputs(started):
    found, keys, lines = run(started, "two", TWO, hosts=2)
    assert found["ProcessingJobStatus"] == "Completed", found
    assert found["ExitMessage"] == "algo-1 algo-2 "
    assert keys == ["algo-1", "algo-2"]
    assert sorted(lines) == ["algo-1 ['0', '2']", "algo-2 ['1']"]


def test_the_reason_is_that_of_the_host_that_failed(started):
    script = """
import json, sys, time
if json.load(open("/opt/ml/config/resourceconfig.json"))["current_host"] == "algo-2":
    sys.exit(5)
time.sleep(600)
"""
    found, keys, _ = run(started, "second", script, hosts=2)
    assert (found["ProcessingJobStatus"], keys) == ("Failed", [])
    assert found["FailureReason"] == "AlgorithmError: , exit code: 5"


def test_arguments_replace_the_command_of_the_image(started):
    arguments = ["sh", "-c", f"echo hello; touch {FOLDER}/out/file"]
    found, keys, lines = run(
        started, "arguments", "", ContainerEntrypoint=None, ContainerArguments=arguments
    )
    assert (found["ProcessingJobStatus"], keys, lines) == ("Completed", ["file"], ["hello"])


def test_the_command_of_the_image_runs_without_others(started):
    found, _, lines = run(started, "own", "", ContainerEntrypoint=None)  # which is train
    assert found["FailureReason"].startswith("AlgorithmError: , exit code: ")
    assert "hyperparameters.json" in "\n".join(lines)


def test_an_image_that_is_not_there_is_refused_with_what_to_do(started):
    # The engine may have an image of the usual tag.
    image = SKLEARN.rpartition(":")[0] + ":not-there"
    with pytest.raises(ClientError, match=f"has no image {image}.*backend process"):
        run(started, "none", "", ImageUri=image)
    assert json.loads((started.state / "service.json").read_text())["backend"] == "docker"
