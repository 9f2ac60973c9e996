"""Requests that once stopped the service for others: logs, regular expressions, archives, names."""

import contextlib
import gzip
import io
import tarfile
import time

import pytest

from support.service import BUCKET, IMAGE, PATIENCE, ROLE, ended, training

GROUP = "/aws/sagemaker/TrainingJobs"


def run(sm, name, **changes):
    sm.create_training_job(**training(name, **changes))
    return ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)


@pytest.fixture
def logs(service):
    return service.client("logs")


def test_a_log_group_that_is_deleted_while_a_job_runs(sm, logs):
    sm.create_training_job(**training("deleted-log", HyperParameters={"epochs": "50"}))
    until, streams = time.monotonic() + PATIENCE, []
    while not streams:
        assert time.monotonic() < until
        with contextlib.suppress(logs.exceptions.ResourceNotFoundException):
            streams = logs.describe_log_streams(
                logGroupName=GROUP, logStreamNamePrefix="deleted-log/"
            )["logStreams"]
    logs.delete_log_group(logGroupName=GROUP)
    found = ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="deleted-log")
    assert found["TrainingJobStatus"] == "Completed", found
    assert run(sm, "after-deleted-log")["TrainingJobStatus"] == "Completed"
    events = logs.filter_log_events(logGroupName=GROUP)["events"]
    assert any(one["logStreamName"].startswith("after-deleted-log/") for one in events)


def test_a_regular_expression_that_takes_for_ever(sm, logs):
    request = training("slow-regex")
    request["AlgorithmSpecification"] = {
        "TrainingImage": "mine/factorization-machines:1",
        "TrainingInputMode": "File",
        "MetricDefinitions": [
            {"Name": "slow", "Regex": r"((\w|\w|[ ,.:=<>#-])*)*Merging(\x01)"},
            {"Name": "slower", "Regex": r"((.|.)*)*e(\x01|\x02)"},
            {"Name": "good", "Regex": r"completed (\S+) %"},
        ],
    }
    sm.create_training_job(**request)
    found = ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="slow-regex")
    assert found["TrainingJobStatus"] == "Completed", found
    assert [one["MetricName"] for one in found["FinalMetricDataList"]] == ["good"]
    events = logs.filter_log_events(logGroupName=GROUP, filterPattern="Metric")["events"]
    lines = [one["message"] for one in events if "takes too long" in one["message"]]
    assert "Metric slower: its regular expression takes too long; it was not used further." in lines


def test_the_name_of_a_deleted_job_can_be_used_at_once(sm):
    for _ in range(4):
        found = run(sm, "again", HyperParameters={"epochs": "no"})
        assert "epochs must be" in found["FailureReason"]
        sm.delete_training_job(TrainingJobName="again")


def header(name, size):
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (
            "empty",
            header("other", 8 * 10**12),
            "other: 8000000000000 bytes, more than the archive may hold",
        ),
        (
            "bomb",
            header("m", 3 << 30) + bytes(1 << 24),
            "m: 3221225472 bytes, more than the archive may hold",
        ),
        ("outside", header("../\x1b[31m", 0), r"'../\x1b[31m' leads out of the archive's folder"),
    ],
)
def test_a_model_that_would_fill_the_disk(sm, s3, name, content, reason):
    key = f"hostile/{name}.tar.gz"
    s3.upload_fileobj(io.BytesIO(gzip.compress(content)), BUCKET, key)
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/{key}"}
    sm.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {"VariantName": "A", "ModelName": name, "InitialInstanceCount": 1}
    variant["InstanceType"] = "ml.c4.xlarge"
    sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    found = ended(sm.describe_endpoint, "EndpointStatus", EndpointName=name)
    assert found["EndpointStatus"] == "Failed"
    assert reason in found["FailureReason"]
    sm.delete_endpoint(EndpointName=name)
