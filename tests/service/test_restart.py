"""What a restart finds, after an orderly end and after a crash."""

import time
from pathlib import Path

from local_sagemaker.storage.database import Database
from local_sagemaker.storage.records import Store
from support.recordio import sparse_file
from support.service import BUCKET, channel, down, ended, kill, planted, training, up


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def fill(service):
    s3 = service.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    x, y = planted(0)
    s3.put_object(
        Bucket=BUCKET, Key="data/train/a/ä b", Body=sparse_file(x, y), Metadata={"by": "me"},
        CacheControl="no-store", ContentEncoding="identity",
    )  # fmt: skip
    sm = service.client("sagemaker")
    request = training("done", InputDataConfig=[channel("train")])
    sm.create_training_job(**request)
    group = sm.create_model_package_group(
        ModelPackageGroupName="g", Tags=[{"Key": "a", "Value": "b"}]
    )
    sm.create_model_package(ModelPackageGroupName="g", ModelApprovalStatus="Approved")
    sm.add_tags(ResourceArn=group["ModelPackageGroupArn"], Tags=[{"Key": "c", "Value": "d"}])
    return ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="done")


def test_a_restart_keeps_buckets_jobs_logs_and_models(tmp_path):
    service = up(tmp_path / "state")
    before = fill(service)
    sm = service.client("sagemaker")
    request = training(
        "runs", InputDataConfig=[channel("train")], HyperParameters={"epochs": "100000000"}
    )
    sm.create_training_job(**request)
    (tmp_path / "state" / "work" / "serve-left").mkdir()
    kill(service)
    noted = [path.name for path in (tmp_path / "state" / "processes").iterdir()]
    service = up(tmp_path / "state")
    try:
        assert [pid for pid in noted if is_alive(int(pid))] == []
        s3, sm, logs = (service.client(name) for name in ("s3", "sagemaker", "logs"))
        assert (
            sm.describe_training_job(TrainingJobName="done")["ModelArtifacts"]
            == (before["ModelArtifacts"])
        )
        lost = sm.describe_training_job(TrainingJobName="runs")
        assert lost["TrainingJobStatus"] == "Failed"
        assert lost["FailureReason"] == (
            "InternalServerError: the local service ended while the job ran."
        )
        kept = s3.get_object(Bucket=BUCKET, Key="data/train/a/ä b")
        assert kept["Metadata"] == {"by": "me"}
        assert (kept["CacheControl"], kept["ContentEncoding"]) == ("no-store", "identity")
        package = sm.describe_model_package(ModelPackageName="g/1")
        assert package["ModelApprovalStatus"] == "Approved"
        group = sm.describe_model_package_group(ModelPackageGroupName="g")
        tags = sm.list_tags(ResourceArn=group["ModelPackageGroupArn"])["Tags"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == {"a": "b", "c": "d"}
        second = sm.create_model_package(ModelPackageGroupName="g")["ModelPackageArn"]
        assert second.endswith("/g/2")
        assert list((tmp_path / "state" / "work").iterdir()) == []
        s3.head_object(Bucket=BUCKET, Key="out/done/output/model.tar.gz")
        group = "/aws/sagemaker/TrainingJobs"
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="done/")
        assert len(streams["logStreams"]) == 1
    finally:
        down(service)


def test_an_orderly_end_leaves_no_process_and_no_running_job(tmp_path):
    service = up(tmp_path / "state")
    fill(service)
    sm = service.client("sagemaker")
    request = training(
        "runs", InputDataConfig=[channel("train")], HyperParameters={"epochs": "100000000"}
    )
    sm.create_training_job(**request)
    time.sleep(1)
    down(service)
    for folder in ("work", "processes"):
        assert list((tmp_path / "state" / folder).iterdir()) == []
    record = Store(Database(tmp_path / "state")).get("training-job", "runs")
    assert record is not None and record["TrainingJobStatus"] == "Failed"
