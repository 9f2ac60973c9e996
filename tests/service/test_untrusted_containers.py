"""Containers that mean harm, in Docker: what they leave, and names that are no images."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from support import docker
from support.service import BUCKET, ROLE, down, ended, training, up

pytestmark = pytest.mark.docker
SECRET = "content of a file of the host"
LIMITED = """#!/bin/sh
command=$1
shift
case $command in
run) exec {docker} run --memory 64m --memory-swap 64m "$@" ;;
esac
exec {docker} "$command" "$@"
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    folder = tmp_path_factory.mktemp("host")
    (folder / "secret").write_text(SECRET)
    return folder


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """A service whose containers have 64 MB, in a folder that -v and CSV would take apart."""
    if reason := docker.missing(docker.IMAGE):
        pytest.skip(reason)
    tools = tmp_path_factory.mktemp("tools")
    real = next(
        path
        for folder in os.environ["PATH"].split(":")
        if os.access(path := Path(folder) / docker.DOCKER, os.X_OK)
    )
    (tools / "docker").write_text(LIMITED.format(docker=real))
    (tools / "docker").chmod(0o755)
    state = tmp_path_factory.mktemp("docker") / 'a:b,c"d'
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
        service = up(state, "--backend", "docker")
    service.client("s3").create_bucket(Bucket=BUCKET)
    yield service
    down(service)
    label = f"label=local-sagemaker={state}"
    assert docker.docker("ps", "-aq", "--filter", label).stdout == ""


def run(started, name, script, **changes):
    """Run a shell script as a training job; return its description, objects and log."""
    sm, s3, logs = (started.client(service) for service in ("sagemaker", "s3", "logs"))
    request = training(name, CheckpointConfig={"S3Uri": f"s3://{BUCKET}/checkpoints/{name}"})
    del request["InputDataConfig"], request["HyperParameters"]
    request["AlgorithmSpecification"] = {
        "TrainingImage": docker.IMAGE,
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["sh", "-c", 'eval "$SCRIPT"'],
    }
    request["Environment"] = {"SCRIPT": script}  # longer than a word of the entry point may be
    request |= changes
    sm.create_training_job(**request)
    found = ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
    stored = {}
    for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        if f"/{name}/" in entry["Key"]:
            content = s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
            stored[entry["Key"].partition(f"/{name}/")[2]] = content
    events = logs.filter_log_events(logGroupName="/aws/sagemaker/TrainingJobs")["events"]
    lines = [one["message"] for one in events if one["logStreamName"].startswith(f"{name}/")]
    return found, stored, lines


def members(packed):
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return tar.getnames()


@pytest.mark.parametrize(
    ("name", "command", "kind"),
    [
        ("link", "ln -s {}/secret /opt/ml/output/failure", "output/failure is a link"),
        ("fifo", "mkfifo /opt/ml/output/failure", "output/failure is a FIFO"),
        ("folder", "mkdir /opt/ml/output/failure", "output/failure is a folder"),
        ("device", "mknod /opt/ml/output/failure c 1 5", "output/failure is a device"),
    ],
)
def test_a_failure_file_that_is_no_file(started, host, name, command, kind):
    script = f"set -e; {command.format(host)}; exit 1"
    found, _, _ = run(started, f"failure-{name}", script)
    assert found["FailureReason"] == (
        f"AlgorithmError: exit code 1, and /opt/ml/{kind}, and not a file."
    )


def test_links_and_pipes_among_the_results_are_left_out_by_name(started, host):
    script = f"""set -e; cd /opt/ml
    for folder in model output/data checkpoints; do
        echo kept > $folder/kept; ln -s {host}/secret $folder/link; ln -s {host} $folder/all
        mkfifo $folder/pipe; ln $folder/kept $folder/twice
    done"""
    found, stored, lines = run(started, "among", script)
    assert found["TrainingJobStatus"] == "Completed"
    assert sorted(stored) == ["kept", "output/model.tar.gz", "output/output.tar.gz", "twice"]
    assert stored["kept"] == stored["twice"] == b"kept\n"
    for name in ("output/model.tar.gz", "output/output.tar.gz"):
        assert members(stored[name]) == ["kept", "twice"]
    left_out = [
        f"/opt/ml/{folder}/{name} is {kind}, and not a file: it is left out."
        for folder in ("checkpoints", "model", "output/data")
        for name, kind in (("all", "a link"), ("link", "a link"), ("pipe", "a FIFO"))
    ]
    assert lines == left_out


def test_folders_that_became_links_are_left_out_by_name(started, host):
    script = f"""set -e; cd /opt/ml
    for folder in model output/data checkpoints; do
        rm -rf $folder; ln -s {host} $folder
    done"""
    found, stored, lines = run(started, "replaced", script)
    assert found["TrainingJobStatus"] == "Completed"
    assert list(stored) == ["output/model.tar.gz"] and members(stored["output/model.tar.gz"]) == []
    assert lines == [
        f"/opt/ml/{folder} is a link, and not a folder: it is left out."
        for folder in ("checkpoints", "model", "output/data")
    ]


CONNECT = """python - <<'END'
import socket
try:
    socket.create_connection(("{address}", 8000), 5).close()
    result = "connected"
except OSError:
    result = "not connected"
open("/opt/ml/output/failure", "w").write(result)
raise SystemExit(1)
END"""


@pytest.mark.parametrize(("isolated", "result"), [(True, "not connected"), (False, "connected")])
def test_an_isolated_job_reaches_no_other_network(started, isolated, result):
    server = ("-um", "http.server", "8000", "--directory", "/opt/ml")
    with docker.started("--entrypoint", "python", command=server) as other:
        query = ("inspect", "-f", "{{.NetworkSettings.IPAddress}}", other.name)
        script = CONNECT.format(address=docker.docker(*query).stdout.strip())
        other.wait_until(lambda: "Serving" in other.logs())
        name = "isolated" if isolated else "not-isolated"
        found, _, _ = run(started, name, script, EnableNetworkIsolation=isolated)
    assert found["FailureReason"] == result


def test_a_kill_for_want_of_memory_is_told_as_such(started):
    script = "exec python -c 'bytearray(1 << 30)'"
    found, _, _ = run(started, "memory", script)
    assert found["FailureReason"] == (
        "AlgorithmError: exit code 137: the kernel killed a process of it because memory ran out,"
        " and no failure file."
    )


@pytest.mark.parametrize("image", ["--help", "factorization-machines:latest --privileged"])
def test_what_is_no_image_name_is_refused(started, image):
    sm = started.client("sagemaker")
    request = training("no-image")
    request["AlgorithmSpecification"]["TrainingImage"] = image
    with pytest.raises(sm.exceptions.ClientError, match="is not the name of an image"):
        sm.create_training_job(**request)
    with pytest.raises(sm.exceptions.ClientError, match="is not the name of an image|pattern"):
        sm.create_model(
            ModelName="no-image", PrimaryContainer={"Image": image}, ExecutionRoleArn=ROLE
        )


def test_a_function_of_lambda_pulls_no_image(started):
    functions, code = started.client("lambda"), io.BytesIO()
    role = started.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]
    with zipfile.ZipFile(code, "w") as packed:
        packed.writestr("f.py", "def handle(event, context): return 1")
    functions.create_function(
        FunctionName="f", Runtime="python3.11", Handler="f.handle", Role=role["Arn"],
        Code={"ZipFile": code.getvalue()},
    )  # fmt: skip
    answer = functions.invoke(FunctionName="f", Payload=b"{}")
    assert answer["FunctionError"] == "Handled"
    assert b"is not on this machine, and the service pulls none" in answer["Payload"].read()
