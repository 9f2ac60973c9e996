"""Training jobs through plain boto3: how they end, and what they leave."""

import io
import json
import tarfile
import time

import pytest
from botocore.exceptions import ClientError

from support.recordio import sparse_file
from support.service import BUCKET, IMAGE, channel, ended, planted, training


def run(sm, name, **changes):
    sm.create_training_job(**training(name, **changes))
    return ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)


def events(service, name):
    logs = service.client("logs")
    group = "/aws/sagemaker/TrainingJobs"
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")
    found = []
    for stream in streams["logStreams"]:
        stream_name = stream["logStreamName"]
        answer = logs.get_log_events(
            logGroupName=group, logStreamName=stream_name, startFromHead=True
        )
        found += [event["message"] for event in answer["events"]]
    return found


@pytest.fixture(scope="module")
def job(sm):
    return run(sm, "whole", Tags=[{"Key": "a", "Value": "b"}])


def test_a_job_ends_with_its_model_its_metrics_and_its_times(job, s3):
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Completed"
    uri = job["ModelArtifacts"]["S3ModelArtifacts"]
    assert uri == f"s3://{BUCKET}/out/whole/output/model.tar.gz"
    body = s3.get_object(Bucket=BUCKET, Key="out/whole/output/model.tar.gz")["Body"].read()
    assert tarfile.open(fileobj=io.BytesIO(body)).getnames() == ["model_algo-1"]
    steps = [one["Status"] for one in job["SecondaryStatusTransitions"]]
    assert [one for one in steps if one != "Pending"] == [
        *("Starting", "Downloading", "Training", "Uploading", "Completed"),
    ]
    metrics = {one["MetricName"]: one["Value"] for one in job["FinalMetricDataList"]}
    assert metrics["test:binary_classification_accuracy"] > 0.5
    assert set(metrics) == {
        f"{place.replace('*', 'binary_' + name)}"
        for place in ("train:*", "train:*:epoch", "train:*:batch", "test:*")
        for name in ("classification_accuracy", "classification_cross_entropy", "f_beta")
    } | {"train:progress", "train:throughput"}
    assert metrics["train:progress"] == 100
    assert job["OutputDataConfig"] == {"KmsKeyId": "", "S3OutputPath": f"s3://{BUCKET}/out"}
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"] >= 1


def test_its_log_is_in_cloudwatch(job, service):
    lines = events(service, "whole")
    assert "Reading default configuration from" in lines[0]
    assert sum("#test_score (algo-1)" in line for line in lines) == 3


def test_its_metrics_are_in_cloudwatch(job, service):
    answer = service.client("cloudwatch").get_metric_statistics(
        Namespace="/aws/sagemaker/TrainingJobs",
        MetricName="train:binary_classification_accuracy:epoch",
        Dimensions=[{"Name": "TrainingJobName", "Value": "whole"}],
        StartTime=job["TrainingStartTime"],
        EndTime=job["TrainingEndTime"].replace(year=job["TrainingEndTime"].year + 1),
        Period=60,
        Statistics=["SampleCount"],
    )
    assert sum(point["SampleCount"] for point in answer["Datapoints"]) == 3  # one an epoch


def test_listing_and_tags(job, sm):
    names = [
        one["TrainingJobName"]
        for one in sm.list_training_jobs(NameContains="WHOLE")["TrainingJobSummaries"]
    ]
    assert names == ["whole"]
    assert sm.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"] == [{"Key": "a", "Value": "b"}]
    sm.add_tags(ResourceArn=job["TrainingJobArn"], Tags=[{"Key": "c", "Value": "d"}])
    sm.delete_tags(ResourceArn=job["TrainingJobArn"], TagKeys=["a"])
    assert sm.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"] == [{"Key": "c", "Value": "d"}]
    with pytest.raises(ClientError, match="50 tags at most; got 51"):
        tags = [{"Key": str(index), "Value": ""} for index in range(50)]
        sm.add_tags(ResourceArn=job["TrainingJobArn"], Tags=tags)


def test_a_name_is_taken_once(job, sm):
    with pytest.raises(sm.exceptions.ResourceInUse, match="must be unique"):
        sm.create_training_job(**training("whole"))


def test_a_job_that_fails_says_why(sm):
    job = run(sm, "fails", HyperParameters={"num_factors": "0"})
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith(
        "HyperparameterError: num_factors must be an integer >= 1; got '0'"
    )
    assert "ModelArtifacts" not in job


def test_all_faults_of_a_job_are_told_at_once_with_the_containers_paths(job, sm, service):
    failed = run(
        sm,
        "faults",
        InputDataConfig=[channel("train"), channel("validation", "data/test")],
        HyperParameters={"wd": "1"},
    )
    assert failed["FailureReason"].splitlines() == [
        "HyperparameterError: 2 problems",
        "'wd' is not a hyperparameter of this algorithm; did you mean 'bias_wd' or 'linear_wd' or"
        " 'factors_wd'?",
        "unknown channel 'validation'; the channels are 'train', 'test' and 'model'",
    ]
    service.client("s3").put_object(Bucket=BUCKET, Key="markers/_committed_123", Body=b"x")
    missing = run(sm, "markers", InputDataConfig=[channel("train", "markers")])
    assert "no file with data below /opt/ml/input/data/train" in missing["FailureReason"]
    for name in ("faults", "markers", "whole"):
        assert not [line for line in events(service, name) if str(service.state) in line]


def test_a_channel_without_objects_fails_the_job(sm):
    job = run(sm, "nothing-there", InputDataConfig=[channel("train", "nowhere")])
    assert job["TrainingJobStatus"] == "Failed"
    assert "no S3 objects found under 's3://bucket/nowhere'" in job["FailureReason"]


ENDLESS = {"epochs": "100000000"}


def when_training(service, name):
    until = time.monotonic() + 60
    while not any("epoch=1," in line for line in events(service, name)):
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_stopped_job_keeps_its_model(sm, service):
    sm.create_training_job(**training("stopped", HyperParameters=ENDLESS))
    when_training(service, "stopped")
    sm.stop_training_job(TrainingJobName="stopped")
    job = ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="stopped")
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Stopped"
    assert job["ModelArtifacts"]["S3ModelArtifacts"].endswith("stopped/output/model.tar.gz")
    with pytest.raises(ClientError, match="ValidationException"):
        sm.stop_training_job(TrainingJobName="stopped")


def test_a_job_ends_at_its_time_limit(sm):
    job = run(
        sm,
        "limited",
        HyperParameters=ENDLESS,
        StoppingCondition={"MaxRuntimeInSeconds": 20},
    )
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert "ModelArtifacts" in job


def test_jobs_wait_for_a_core_in_turn(sm):
    """Two cores: the third waits, and can be stopped before it begins."""
    for name in ("turn-1", "turn-2", "turn-3"):
        sm.create_training_job(**training(name, HyperParameters=ENDLESS))
    listed = sm.list_training_jobs(NameContains="turn-")["TrainingJobSummaries"]
    assert {one["TrainingJobName"]: one.get("SecondaryStatus") for one in listed}["turn-3"] == (
        "Pending"
    )
    for name in ("turn-3", "turn-2", "turn-1"):
        sm.stop_training_job(TrainingJobName=name)
        job = ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
        assert job["TrainingJobStatus"] == "Stopped"
        assert ("TrainingStartTime" in job) == (name != "turn-3")


def test_a_manifest_names_the_objects(sm, s3):
    for part in range(2):
        s3.put_object(Bucket=BUCKET, Key=f"parts/{part}", Body=sparse_file(*planted(part)))
    s3.put_object(Bucket=BUCKET, Key="parts/other", Body=b"not a record")
    manifest = [{"prefix": f"s3://{BUCKET}/parts/"}, "0", "1"]
    s3.put_object(Bucket=BUCKET, Key="manifest", Body=json.dumps(manifest).encode())
    source = {"S3DataType": "ManifestFile"}
    job = run(sm, "manifest", InputDataConfig=[channel("train", "manifest", **source)])
    assert job["TrainingJobStatus"] == "Completed"


def test_checkpoints_go_to_s3_and_back(sm, s3):
    s3.put_object(Bucket=BUCKET, Key="checkpoints/of/note", Body=b"kept")
    job = run(sm, "checked", CheckpointConfig={"S3Uri": f"s3://{BUCKET}/checkpoints"})
    assert job["TrainingJobStatus"] == "Completed"
    assert s3.get_object(Bucket=BUCKET, Key="checkpoints/of/note")["Body"].read() == b"kept"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"TrainingJobName": "under_score"}, "regular expression pattern"),
        (
            {
                "ResourceConfig": {
                    "InstanceType": "ml.none",
                    "InstanceCount": 1,
                    "VolumeSizeInGB": 1,
                }
            },
            "'ml.none' at 'resourceConfig.instanceType'",
        ),
        (
            {
                "ResourceConfig": {
                    "InstanceType": "ml.c4.xlarge",
                    "InstanceCount": 2,
                    "VolumeSizeInGB": 1,
                }
            },
            "InstanceCount must be 1 with the backend 'process'",
        ),
        (
            {
                "AlgorithmSpecification": {
                    "TrainingImage": "other:1",
                    "TrainingInputMode": "File",
                }
            },
            "The backend 'process' runs the factorization-machines image alone, not other:1",
        ),
        (
            {
                "AlgorithmSpecification": {
                    "TrainingImage": "123456789012.dkr.ecr.us-east-1.amazonaws.com/"
                    "factorization-machines:1",
                    "TrainingInputMode": "File",
                    "MetricDefinitions": [{"Name": "m", "Regex": "("}],
                }
            },
            "is not a regular expression",
        ),
        (
            {
                "AlgorithmSpecification": {
                    "TrainingImage": IMAGE,
                    "TrainingInputMode": "File",
                    "MetricDefinitions": [{"Name": "m", "Regex": "m=(.*)"}],
                }
            },
            "You can't override the metric definitions for Amazon SageMaker algorithms.",
        ),
        (
            {
                "EnableManagedSpotTraining": True,
                "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 59},
            },
            "Invalid MaxWaitTimeInSeconds",
        ),
        (
            {"OutputDataConfig": {"S3OutputPath": "s3://no-such-bucket/out"}},
            'OutputDataConfig.S3OutputPath: the S3 bucket "no-such-bucket" does not exist.',
        ),
        (
            {"CheckpointConfig": {"S3Uri": "s3://no-such-bucket/out"}},
            'CheckpointConfig.S3Uri: the S3 bucket "no-such-bucket" does not exist.',
        ),
        (
            {"OutputDataConfig": {"S3OutputPath": "s3://[x/"}},
            "OutputDataConfig.S3OutputPath: An S3 URI must look like s3://bucket/prefix; got 's3://[",
        ),
        (
            {"InputDataConfig": [channel("train", S3Uri="s3://bucket:80/train")]},
            "Channel train: An S3 URI must look like s3://bucket/prefix; got 's3://bucket:80/train'",
        ),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}},
            "MaxWaitTimeInSeconds must not be present",
        ),
    ],
)
def test_a_request_that_cannot_be_is_refused(sm, changes, message):
    with pytest.raises(ClientError) as raised:
        sm.create_training_job(**training("refused", **changes))
    assert raised.value.response["Error"]["Code"] == "ValidationException"
    assert message in raised.value.response["Error"]["Message"]


def test_a_job_that_is_not_there(sm):
    with pytest.raises(ClientError, match="ValidationException.*not found"):
        sm.describe_training_job(TrainingJobName="nobody")


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        (b"5", "is not a manifest"),
        (b'[{"prefix": 5}, "a"]', "is not a manifest"),
        (b'[{"prefix": "s3://bucket/data/"}, {"a": 1}]', "is not a manifest"),
        (b'[{"prefix": "http://bucket/"}, "a"]', "is not a manifest"),
        (b"[" * 100000, "is not a manifest"),
        (b'[{"prefix": "s3://bucket/data/"}, "nothing"]', "s3://bucket/data/nothing: An error"),
    ],
    ids=["number", "prefix", "name", "address", "deep", "missing"],
)
def test_the_reason_names_a_damaged_manifest(sm, s3, manifest, reason):
    name = f"manifest-{len(manifest)}"
    s3.put_object(Bucket=BUCKET, Key=name, Body=manifest)
    source = {"S3DataType": "ManifestFile", "S3Uri": f"s3://{BUCKET}/{name}"}
    job = run(sm, name, InputDataConfig=[channel("train", **source)])
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: ")
    assert reason in job["FailureReason"]


@pytest.mark.parametrize("name", ["d#1", "d?1", "d%31", "d 1"])
def test_a_channel_has_the_objects_of_its_address_alone(sm, s3, name):
    job = "address-" + "".join(f"{ord(letter)}-" for letter in name) + "x"
    copied = {"Bucket": BUCKET, "Key": "data/train/part-0"}
    s3.copy_object(Bucket=BUCKET, Key=f"in/{name}/part-0", CopySource=copied)
    s3.put_object(Bucket=BUCKET, Key="in/d1/part-0", Body=b"not a record")
    done = run(
        sm,
        job,
        InputDataConfig=[channel("train", f"in/{name}/")],
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/{name}"},
    )
    assert done["TrainingJobStatus"] == "Completed"
    assert done["ModelArtifacts"]["S3ModelArtifacts"].startswith(f"s3://{BUCKET}/{name}/{job}/")
    s3.head_object(Bucket=BUCKET, Key=f"{name}/{job}/output/model.tar.gz")
