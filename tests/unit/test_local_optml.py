"""The layout of /opt/ml for a job, and S3 on both sides of it."""

import io
import json
import tarfile

import pytest

from local_sagemaker.backends.layout import failure_reason, lay_out
from local_sagemaker.errors import LocalError
from local_sagemaker.storage import objects
from local_sagemaker.storage.untrusted import ContainerFolder


class FakeS3:
    """The few calls of boto3's client that `objects` makes, over a dict."""

    def __init__(self, stored):
        self.stored = {("b", key): value for key, value in stored.items()}

    def get_paginator(self, name):
        assert name == "list_objects_v2"
        return self

    def paginate(self, Bucket, Prefix):
        keys = [key for bucket, key in sorted(self.stored) if bucket == Bucket]
        found = [{"Key": key} for key in keys if key.startswith(Prefix)]
        yield {"Contents": found[:1]} if found else {}
        yield {"Contents": found[1:]} if found[1:] else {}

    def download_file(self, bucket, key, path):
        with open(path, "wb") as file:
            self.download_fileobj(bucket, key, file)

    def download_fileobj(self, bucket, key, file):
        file.write(self.stored[bucket, key])

    def upload_fileobj(self, file, bucket, key):
        self.stored[bucket, key] = file.read()


def names(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_configuration_files_are_the_services(tmp_path):
    job = lay_out(
        tmp_path,
        {"epochs": "100"},
        {"train": {"ContentType": "application/x-recordio-protobuf"}, "test": {}},
    )
    assert json.loads(job.hyperparameters.read_text()) == {"epochs": "100"}
    assert json.loads(job.input_data_config.read_text()) == {
        "train": {
            "TrainingInputMode": "File",
            "ContentType": "application/x-recordio-protobuf",
        },
        "test": {"TrainingInputMode": "File"},
    }
    assert json.loads(job.resource_config.read_text()) == {
        "current_host": "algo-1",
        "hosts": ["algo-1"],
    }
    for folder in ("input/data/train", "input/data/test", "model", "output/data"):
        assert (tmp_path / folder).is_dir()


def test_failure_reason_is_the_failure_file_cut(tmp_path):
    job = lay_out(tmp_path, {}, {})
    ended = "AlgorithmError: exit code 7, and no failure file."
    assert failure_reason([(job.base, "exit code 7")]) == ended
    job.failure.write_text("UserError: " + "x" * 2000 + "\n")
    reason = failure_reason([(job.base, "exit code 2")])
    assert reason.startswith("UserError: xxx") and len(reason) == 1024


STORED = {
    "lab/train/a.protobuf": b"1",
    "lab/train/deep/er/b.protobuf": b"2",
    "lab/train/": b"",
    "lab/train-more/c.protobuf": b"3",
    "lab/trailing.protobuf": b"4",
}


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("lab/train/", ["a.protobuf", "deep/er/b.protobuf"]),
        ("lab/train", ["a.protobuf", "deep/er/b.protobuf", "train-more/c.protobuf"]),
        ("lab/train/deep", ["er/b.protobuf"]),
        ("lab/train/a", ["a.protobuf"]),
        ("lab/train/a.protobuf", ["a.protobuf"]),
    ],
)
def test_a_prefix_becomes_files_and_sub_folders(tmp_path, prefix, expected):
    files = objects.download_prefix(FakeS3(STORED), f"s3://b/{prefix}", tmp_path)
    assert names(tmp_path) == expected == sorted(str(p.relative_to(tmp_path)) for p in files)


def test_a_prefix_without_objects_is_named(tmp_path):
    with pytest.raises(LocalError, match="s3://b/nothing"):
        objects.download_prefix(FakeS3(STORED), "s3://b/nothing", tmp_path)


def test_a_key_does_not_lead_out_of_the_folder(tmp_path):
    with pytest.raises(LocalError, match="outside"):
        objects.download_prefix(FakeS3({"a/../../x": b""}), "s3://b/a/", tmp_path / "in")


@pytest.mark.parametrize(
    "uri",
    [
        *("file:///tmp/x", "s3:///key", "bucket/key", "S3://b/key", "s3://[b/key", "s3://b:80/key"),
        *("s3://user@b/key", "s3://b?a=1/key", "s3://b#1/key", "s3://arn:aws:s3:::b/key"),
    ],
)
def test_other_addresses_are_refused(uri):
    with pytest.raises(LocalError, match="s3://bucket/prefix"):
        objects.split_uri(uri)


@pytest.mark.parametrize(
    "key",
    ["", "a", "a#1/b", "a?x=1&y", "a%20b/%", "a b+c", "a//b", "é", "s3://c/d", "a/", "/a", "//a"],
)
def test_a_key_is_all_that_follows_the_bucket(key):
    assert objects.split_uri(f"s3://my.bucket-1/{key}") == ("my.bucket-1", key)


def test_keys_with_empty_folder_names_stay_in_the_folder(tmp_path):
    objects.download_prefix(FakeS3({"a//b": b"1"}), "s3://b/a/", tmp_path)
    assert names(tmp_path) == ["b"]


def test_a_model_folder_goes_to_s3_and_back(tmp_path):
    model, again = tmp_path / "model", tmp_path / "again"
    (model / "sub").mkdir(parents=True)
    (model / "model_algo-1").write_bytes(b"\x00\x01")
    (model / "sub" / "more").write_text("m")
    s3 = FakeS3({})
    folder = ContainerFolder(tmp_path, "model")
    uri = objects.upload_folders(s3, [folder], "s3://b/out/job/output/model.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(s3.stored["b", "out/job/output/model.tar.gz"])) as tar:
        assert sorted(tar.getnames()) == ["model_algo-1", "sub", "sub/more"]
    objects.unpack(s3, uri, again)
    assert names(again) == ["model_algo-1", "sub/more"]
    assert (again / "model_algo-1").read_bytes() == b"\x00\x01"


def test_a_packed_link_or_way_out_is_not_followed(tmp_path):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("../out"), io.BytesIO())
    with pytest.raises(LocalError, match="leads out of"):
        objects.unpack(FakeS3({"k": packed.getvalue()}), "s3://b/k", tmp_path / "in")
    assert names(tmp_path) == []
