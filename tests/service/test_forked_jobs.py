"""Jobs and model servers that are forked: they end, fail and are found as new processes are."""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from support.job import PATIENCE
from support.recordio import sparse_file
from support.service import (
    BUCKET,
    IMAGE,
    ROLE,
    down,
    ended,
    kill,
    planted,
    training,
    up,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forked on Linux only")

# A job with a variable that libraries read when they are loaded is a new process.
FORKED, NEW = {}, {"OMP_NUM_THREADS": "1"}
both_kinds = pytest.mark.parametrize("environment", [FORKED, NEW], ids=["forked", "new"])


def until(condition):
    """Wait for a condition to return something true, and return that."""
    deadline = time.monotonic() + PATIENCE
    while not (result := condition()):
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.05)
    return result


def fields(pid):
    """Return the fields of /proc/PID/stat after the name, None if the process has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        found = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if found[0] == "Z" else found
    return None


def fork_server(pid):
    """Return the fork server that is the parent of a process, None if another process is."""
    if found := fields(pid):
        parent = int(found[1])
        if b"forkserver" in Path(f"/proc/{parent}/cmdline").read_bytes():
            return parent
    return None


def processes(service):
    return {int(path.name) for path in (service.state / "processes").glob("*")}


def events(service, name, head=True):
    """Return the messages of the first page of a job's log, or of the last one."""
    group, logs = "/aws/sagemaker/TrainingJobs", service.client("logs")
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")
    found = []
    for stream in streams["logStreams"]:
        target = {"logGroupName": group, "logStreamName": stream["logStreamName"]}
        found += logs.get_log_events(**target, startFromHead=head)["events"]
    return [event["message"] for event in found]


def describe(service, name):
    sm = service.client("sagemaker")
    return ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)


def endless(service, name, environment):
    """Start an endless job, a forked one if the environment is empty; return its name and id."""
    sm = service.client("sagemaker")
    for number in range(100):
        name, before = f"{name}-{number}", processes(service)
        request = training(name, HyperParameters={"epochs": "100000000"}, Environment=environment)
        sm.create_training_job(**request)
        (pid,) = until(lambda before=before: processes(service) - before)
        if bool(fork_server(pid)) == (environment == FORKED):
            until(lambda name=name: any("epoch=1," in line for line in events(service, name)))
            return name, pid
        sm.stop_training_job(TrainingJobName=name)  # the fork server was not ready yet
        describe(service, name)
    raise AssertionError("no job was forked")


@both_kinds
def test_a_job_that_is_killed_by_hand_says_so(service, environment):
    name, pid = endless(service, f"killed-{len(environment)}", environment)
    os.kill(pid, signal.SIGKILL)
    job = describe(service, name)
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: exit code -9, and no failure file."


@both_kinds
def test_a_stopped_job_keeps_its_model(service, sm, environment):
    name, pid = endless(service, f"stopped-{len(environment)}", environment)
    assert Path(f"/proc/{pid}/comm").read_text() == "train\n"
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert (b"OMP_NUM_THREADS=1" in variables) == (environment == NEW)
    sm.stop_training_job(TrainingJobName=name)
    job = describe(service, name)
    assert job["TrainingJobStatus"] == "Stopped" and "ModelArtifacts" in job
    assert "stopped by a signal; the model as far as it was trained is saved" in events(
        service, name, head=False
    )
    assert pid not in processes(service) and fields(pid) is None


def test_the_fork_server_has_one_thread(service, sm):
    name, pid = endless(service, "single", FORKED)
    assert len(list(Path(f"/proc/{fork_server(pid)}/task").iterdir())) == 1
    sm.stop_training_job(TrainingJobName=name)
    describe(service, name)


def test_two_jobs_at_once_have_logs_of_their_own(service, sm):
    epochs = {"two-a": 150, "two-b": 200}
    for name, count in epochs.items():
        sm.create_training_job(**training(name, HyperParameters={"epochs": str(count)}))
    for name, count in epochs.items():
        assert describe(service, name)["TrainingJobStatus"] == "Completed"
        lines = events(service, name)
        assert sum("#throughput_metric" in line for line in lines) == count
        assert sum("is a worker." in line for line in lines) == 1


def test_jobs_run_after_the_fork_server_was_killed(service):
    _, pid = endless(service, "orphan", FORKED)
    server = fork_server(pid)
    os.kill(server, signal.SIGKILL)
    job = describe(service, "orphan-0")
    assert job["TrainingJobStatus"] == "Failed" and "exit code" in job["FailureReason"]
    until(lambda: fields(pid) is None)
    name, pid = endless(service, "after", FORKED)
    assert fork_server(pid) != server
    service.client("sagemaker").stop_training_job(TrainingJobName=name)
    assert describe(service, name)["TrainingJobStatus"] == "Stopped"


def test_a_model_server_is_forked(service, sm):
    endless_name, _ = endless(service, "before-serving", FORKED)  # the fork server is ready
    sm.stop_training_job(TrainingJobName=endless_name)
    uri = describe(service, endless_name)["ModelArtifacts"]["S3ModelArtifacts"]
    container = {
        "Image": IMAGE,
        "ModelDataUrl": uri,
        "Environment": {"SAGEMAKER_MODEL_SERVER_WORKERS": "3"},
    }
    sm.create_model(ModelName="forked", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {"VariantName": "all", "ModelName": "forked", "InitialInstanceCount": 1,
               "InstanceType": "ml.c4.xlarge"}  # fmt: skip
    sm.create_endpoint_config(EndpointConfigName="forked", ProductionVariants=[variant])
    before = processes(service)
    sm.create_endpoint(EndpointName="forked", EndpointConfigName="forked")
    described = ended(sm.describe_endpoint, "EndpointStatus", EndpointName="forked")
    assert described["EndpointStatus"] == "InService"
    (pid,) = processes(service) - before
    assert fork_server(pid)
    until(lambda: len(children(pid)) == 3)
    answer = service.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="forked", ContentType="text/csv", Body=",".join(["1"] * 30)
    )
    assert b"predicted_label" in answer["Body"].read()
    workers = children(pid)
    sm.delete_endpoint(EndpointName="forked")
    until(lambda: not any(map(fields, [pid, *workers])))


def children(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_what_a_killed_service_leaves_is_ended(tmp_path):
    service = up(tmp_path / "state")
    s3 = service.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for seed, name in enumerate(("train", "test")):
        s3.put_object(Bucket=BUCKET, Key=f"data/{name}/part-0", Body=sparse_file(*planted(seed)))
    _, pid = endless(service, "left", FORKED)
    server = fork_server(pid)
    kill(service)
    until(lambda: fields(server) is None)
    assert fields(pid)
    service = up(tmp_path / "state")
    try:
        until(lambda: fields(pid) is None)
        assert processes(service) == set()
    finally:
        down(service)
