"""What is acknowledged survives a kill; odd names are refused; a folder has one service."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

from support.kills import kills
from support.recordio import sparse_file
from support.service import (
    BUCKET,
    PATIENCE,
    channel,
    command,
    down,
    ended,
    kill,
    planted,
    training,
    up,
)  # fmt: skip

NOBODY = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::closed/*",
}
READS = (
    *("get_bucket_cors", "get_bucket_tagging", "get_bucket_policy", "get_bucket_versioning"),
    *("list_object_versions", "list_multipart_uploads", "get_bucket_encryption"),
    *("get_bucket_lifecycle_configuration", "get_public_access_block", "get_bucket_acl"),
)


def fill(s3):
    """Store objects and settings of every kind; return an upload that is not completed."""
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_cors(
        Bucket=BUCKET,
        CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]},
    )
    s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": [{"Key": "a", "Value": "é"}]})
    s3.put_bucket_policy(Bucket=BUCKET, Policy='{"Version":"2012-10-17","Statement":[]}')
    s3.put_bucket_encryption(
        Bucket=BUCKET,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    )
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "x"}, "Expiration": {"Days": 3}}
    s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": [rule]})
    s3.put_public_access_block(
        Bucket=BUCKET, PublicAccessBlockConfiguration={"BlockPublicAcls": True}
    )
    s3.put_object(
        Bucket=BUCKET, Key="../victim/ä b", Body=b"1", Metadata={"by": "me"}, Tagging="k=v",
        CacheControl="no-store", ContentEncoding="identity", ContentDisposition="inline",
        ContentType="text/x", ContentLanguage="de", StorageClass="STANDARD_IA",
        ACL="public-read", ChecksumAlgorithm="SHA256",
    )  # fmt: skip
    s3.put_object(Bucket=BUCKET, Key="glacier", Body=b"2", StorageClass="GLACIER")
    s3.put_object(Bucket=BUCKET, Key="tagged", Body=b"3")
    s3.put_object_tagging(
        Bucket=BUCKET, Key="tagged", Tagging={"TagSet": [{"Key": "t", "Value": "u"}]}
    )
    s3.copy_object(Bucket=BUCKET, Key="copy", CopySource=f"{BUCKET}/tagged")
    s3.put_object(Bucket=BUCKET, Key="deleted", Body=b"4")
    s3.delete_object(Bucket=BUCKET, Key="deleted")
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"x" * 1_000_000, b"y" * 1_000_000):
        s3.put_object(Bucket=BUCKET, Key="large", Body=body)
    s3.delete_object(Bucket=BUCKET, Key="large")
    where = {"Bucket": BUCKET, "Key": "parts"}
    for complete in (True, False):
        upload = s3.create_multipart_upload(**where, Metadata={"q": "r"})["UploadId"]
        parts = [
            s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=body)
            for number, body in enumerate((bytes(5 << 20), b"end"), 1)
        ]
        parts = [{"PartNumber": n, "ETag": part["ETag"]} for n, part in enumerate(parts, 1)]
        if complete:
            s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
    return {**where, "UploadId": upload, "MultipartUpload": {"Parts": parts}}


def shown(s3):
    """Return all that S3 tells of the bucket."""
    answers = {name: getattr(s3, name)(Bucket=BUCKET) for name in READS}
    for version in answers["list_object_versions"]["Versions"]:
        key, at = version["Key"], version["VersionId"]
        where = {"Bucket": BUCKET, "Key": key, "VersionId": at}
        answers[key, at, "head"] = s3.head_object(**where)
        if version["StorageClass"] != "GLACIER":
            answers[key, at, "tags"] = s3.get_object_tagging(**where)
            answers[key, at, "body"] = {"": s3.get_object(**where)["Body"].read()}
    answers["acl"] = s3.get_object_acl(Bucket=BUCKET, Key="../victim/ä b")
    answers["part"] = s3.head_object(Bucket=BUCKET, Key="parts", PartNumber=2)
    for answer in answers.values():
        answer.pop("ResponseMetadata", None)
    return answers


def test_s3_survives_a_kill_with_all_that_it_tells(tmp_path):
    service = up(tmp_path / "state")
    s3 = service.client("s3")
    upload = fill(s3)
    before = shown(s3)
    s3.create_bucket(Bucket="closed")
    s3.put_object(Bucket="closed", Key="k", Body=b"4")
    s3.put_bucket_policy(Bucket="closed", Policy=json.dumps({"Statement": [NOBODY]}))
    s3.put_object(Bucket="closed", Key="later", Body=b"5")
    with pytest.raises(ClientError, match="AccessDenied|Forbidden"):
        s3.get_object(Bucket="closed", Key="k")
    kill(service)
    service = up(tmp_path / "state")
    try:
        s3 = service.client("s3")
        assert shown(s3) == before
        s3.delete_bucket_policy(Bucket="closed")
        for key, content in (("k", b"4"), ("later", b"5")):
            assert s3.get_object(Bucket="closed", Key=key)["Body"].read() == content
        s3.complete_multipart_upload(**upload)
        body = s3.get_object(Bucket=BUCKET, Key="parts")["Body"].read()
        assert body == bytes(5 << 20) + b"end"
    finally:
        down(service)


def test_kills_under_load_lose_nothing_and_bring_nothing_back(tmp_path):
    acknowledged, wrong = kills(tmp_path / "state", 2)
    assert wrong == []
    assert acknowledged > 0


@pytest.mark.parametrize("name", ["a$b", "Aa0", "a..b", "192.168.0.1", "xn--a", "-ab", "a_b"])
def test_a_bucket_has_a_name_of_aws(s3, name):
    with pytest.raises(ClientError, match="InvalidBucketName"):
        s3.meta.events.unregister("before-parameter-build.s3", "validate-bucket-name")
        request = urllib.request.Request(f"{s3.meta.endpoint_url}/{name}", method="PUT")
        put(request)


def put(request):
    """Send a request that is not signed, and raise its error as boto3 does."""
    try:
        urllib.request.urlopen(request, timeout=PATIENCE).close()
    except urllib.error.HTTPError as error:
        with error:
            code = error.read().decode().partition("<Code>")[2].partition("<")[0]
        raise ClientError({"Error": {"Code": code}}, request.method) from error


@pytest.mark.parametrize(
    ("key", "headers", "code"),
    [
        ("k", {"x-amz-meta-a": "\xe9"}, "InvalidArgument"),
        ("k" * 1025, {}, "KeyTooLongError"),
        ("%C3%A4" * 513, {}, "KeyTooLongError"),
        ("k", {"x-amz-meta-a": "v" * 1024, "x-amz-meta-b": "v" * 1023}, "MetadataTooLarge"),
    ],
)
def test_what_aws_refuses_is_refused_on_entry(s3, key, headers, code):
    url = f"{s3.meta.endpoint_url}/{BUCKET}/{key}"
    with pytest.raises(ClientError, match=code):
        put(urllib.request.Request(url, b"1", headers, method="PUT"))
    s3.put_object(Bucket=BUCKET, Key="ä" * 512, Body=b"1")


def test_a_body_that_claims_to_be_a_form_is_stored(s3):
    where = {"Bucket": BUCKET, "Key": "form"}
    url = s3.generate_presigned_url("put_object", Params=where)
    put(urllib.request.Request(url, b"a=1&b", method="PUT"))  # urllib says that it is a form
    assert s3.get_object(**where)["Body"].read() == b"a=1&b"


@pytest.fixture
def proxied(service):
    """Return an S3 client that sends the bucket as the host, through the proxy."""
    return service.client("s3", proxy=True)


def test_a_refusal_reaches_a_client_that_still_sends_the_body(proxied):
    for _ in range(3):
        with pytest.raises(ClientError, match="KeyTooLongError"):
            proxied.put_object(Bucket=BUCKET, Key="k" * 1025, Body=b"1" * 100_000)


def test_a_key_may_begin_with_a_slash(proxied, s3):
    for client in (proxied, s3):
        for key in ("slash/k", "/slash/k", "//slash/k"):
            client.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
        for reader in (proxied, s3):
            for key in ("slash/k", "/slash/k", "//slash/k"):
                assert reader.get_object(Bucket=BUCKET, Key=key)["Body"].read() == key.encode()
                page = reader.list_objects_v2(Bucket=BUCKET, Prefix=key)
                assert [entry["Key"] for entry in page["Contents"]] == [key]
        for key in ("slash/k", "/slash/k", "//slash/k"):
            client.delete_object(Bucket=BUCKET, Key=key)


def test_a_second_service_fails_at_once_and_leaves_the_first_alone(service, sm):
    sm.list_training_jobs()
    for options in (("--port", "0"), ("--port", "0", "--env")):
        (service.state / "service.json").rename(service.state / "hidden.json")  # as while it starts
        try:
            done = subprocess.run(
                command("up", service.state, "--backend", "process", *options),
                capture_output=True, text=True, timeout=PATIENCE,
            )  # fmt: skip
        finally:
            (service.state / "hidden.json").rename(service.state / "service.json")
        assert done.returncode != 0
        assert "is in use by the service of process" in done.stderr
    sm.list_training_jobs()


def test_until_it_is_ready_it_answers_503(tmp_path):
    state = tmp_path / "state"
    service = up(state)
    sm, s3 = service.client("sagemaker"), service.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    x, y = planted(0)
    s3.put_object(Bucket=BUCKET, Key="data/train/a", Body=sparse_file(x, y))
    sm.create_training_job(
        **training("odd", InputDataConfig=[channel("train")], Tags=[{"Key": "@time", "Value": "x"}])
    )
    ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="odd")
    odd = training("refused", HyperParameters={"@time": "abc", "@": "time", "value": "x"})
    sm.create_training_job(**odd)
    ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="refused")
    kill(service)
    port = service.url.rpartition(":")[2]
    seen, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            try:
                with urllib.request.urlopen(f"{service.url}/{BUCKET}?list-type=2") as response:
                    seen.append((200, response.read(), None))
                    return
            except urllib.error.HTTPError as error:
                with error:
                    seen.append((error.code, error.read(), error.headers["Retry-After"]))
            except OSError:
                time.sleep(0.001)

    thread = threading.Thread(target=ask)
    thread.start()
    service = up(state, "--port", port)
    thread.join(PATIENCE)
    stop.set()
    try:
        *before, (status, body, _) = seen
        assert {entry[0] for entry in before} <= {503}
        assert all(b"<Code>ServiceUnavailable" in body and retry for _, body, retry in before)
        assert status == 200 and b"data/train/a" in body
        sm, logs = service.client("sagemaker"), service.client("logs")
        refused = sm.describe_training_job(TrainingJobName="refused")
        assert refused["HyperParameters"] == odd["HyperParameters"]
        group = "/aws/sagemaker/TrainingJobs"
        (stream,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
        assert stream["firstEventTimestamp"] <= stream["lastEventTimestamp"]
        where = {"logGroupName": group, "logStreamName": stream["logStreamName"]}
        events = logs.get_log_events(**where, startFromHead=True)["events"]
        assert events[0]["timestamp"] == stream["firstEventTimestamp"]
        cloudwatch = service.client("cloudwatch")
        assert cloudwatch.list_metrics(Namespace=group)["Metrics"]
    finally:
        down(service)


@contextlib.contextmanager
def full_disk(service):
    """Let the service write no byte to a file, as on a full disk."""
    pid = json.loads((service.state / "service.json").read_text())["pid"]
    size, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))


def test_what_a_full_disk_does_not_take_has_not_happened(tmp_path):
    service = up(tmp_path / "state")
    sm, s3 = service.client("sagemaker"), service.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    x, y = planted(0)
    s3.put_object(Bucket=BUCKET, Key="data/train/a", Body=sparse_file(x, y))
    epochs = {"epochs": "100000000"}
    request = training("new", InputDataConfig=[channel("train")], HyperParameters=epochs)
    refused = pytest.raises(ClientError, match="Nothing was changed, because the change cannot be")
    try:
        with full_disk(service):
            for _ in range(2):
                with refused:
                    sm.create_training_job(**request)
                with refused:
                    s3.put_object(Bucket=BUCKET, Key="k", Body=b"1")
            assert sm.list_training_jobs()["TrainingJobSummaries"] == []
            assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 1
        sm.create_training_job(**request)
        logs, processes = service.state / "training-job/new", service.state / "processes"
        until = time.monotonic() + PATIENCE
        while not any(b"#quality_metric" in file.read_bytes() for file in logs.glob("*.log")):
            assert time.monotonic() < until
            time.sleep(0.01)
        with full_disk(service):
            for process in processes.iterdir():
                os.kill(int(process.name), signal.SIGKILL)
            while list(processes.iterdir()):
                assert time.monotonic() < until
                time.sleep(0.1)
            time.sleep(2)  # the job tries to record its end
        job = ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="new")
        assert job["FailureReason"] == "AlgorithmError: exit code -9, and no failure file."
        assert job["FinalMetricDataList"]
        sm.delete_training_job(TrainingJobName="new")
    finally:
        down(service)
