"""Batch transform: how objects are cut, asked about and put together."""

import json

import pytest
from botocore.exceptions import ClientError

from local_sagemaker.errors import LocalError
from local_sagemaker.jobs.splitting import assemble, payloads, records
from support.recordio import frame, split
from support.service import BUCKET, IMAGE, ROLE, ended, planted, training

COUNT = 50


@pytest.fixture(scope="module")
def model(sm):
    sm.create_training_job(**training("to-transform"))
    job = ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="to-transform")
    container = {"Image": IMAGE, "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"]}
    sm.create_model(ModelName="to-transform", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    return "to-transform"


def transform(sm, model, name, prefix, split_type, **changes):
    request = {
        "TransformJobName": name,
        "ModelName": model,
        "TransformInput": {
            "DataSource": {
                "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{prefix}"}
            },
            "ContentType": "application/json",
            "SplitType": split_type,
        },
        "TransformOutput": {
            "S3OutputPath": f"s3://{BUCKET}/transformed/{name}",
            "Accept": "application/json",
            "AssembleWith": "Line",
        },
        "TransformResources": {"InstanceType": "ml.c4.xlarge", "InstanceCount": 1},
    }
    sm.create_transform_job(**{**request, **changes})
    return ended(sm.describe_transform_job, "TransformJobStatus", TransformJobName=name)


def scores(s3, key):
    lines = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().splitlines()
    return [one["score"] for line in lines for one in json.loads(line)["predictions"]]


def test_objects_whole_or_by_lines_give_the_same_scores_in_order(sm, s3, model):
    x, _ = planted(2, COUNT)
    rows = [{"features": row} for row in x.toarray().tolist()]
    lines = "\n".join(json.dumps({"instances": [row]}) for row in rows)
    s3.put_object(Bucket=BUCKET, Key="in/whole/a/x", Body=json.dumps({"instances": rows}).encode())
    s3.put_object(Bucket=BUCKET, Key="in/lines/y", Body=lines.encode())
    whole = transform(sm, model, "by-object", "in/whole", "None", BatchStrategy="SingleRecord")
    more = {"BatchStrategy": "SingleRecord", "MaxConcurrentTransforms": 4}
    cut = transform(sm, model, "by-line", "in/lines", "Line", **more)
    assert whole["TransformJobStatus"] == cut["TransformJobStatus"] == "Completed", (whole, cut)
    found = scores(s3, "transformed/by-object/a/x.out")
    assert len(found) == COUNT
    assert found == scores(s3, "transformed/by-line/y.out")


def test_what_the_model_refuses_fails_the_job_with_its_words(sm, s3, model):
    s3.put_object(Bucket=BUCKET, Key="in/bad/z", Body=b'{"data": 1}\n')
    job = transform(sm, model, "bad", "in/bad", "Line")
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: in/bad/z: the model answered 400: ")


def test_what_is_not_offered_is_refused(sm, model):
    with pytest.raises(ClientError, match="TFRecord is not offered"):
        transform(sm, model, "refused", "in", "TFRecord")
    with pytest.raises(sm.exceptions.ResourceNotFound):
        sm.describe_transform_job(TransformJobName="nobody")


def test_batches_fill_up_to_the_limit():
    lines = list(records(b"aa\nbb\n\ncc\n", "Line"))
    assert lines == [b"aa\n", b"bb\n", b"cc\n"]
    assert list(payloads(iter(lines), "MultiRecord", 6)) == [b"aa\nbb\n", b"cc\n"]
    assert list(payloads(iter(lines), "SingleRecord", 6)) == lines
    with pytest.raises(LocalError, match="larger than MaxPayloadInMB"):
        list(payloads(iter(lines), "MultiRecord", 2))


def test_recordio_is_cut_between_whole_records():
    whole, parts = frame(b"abc"), split(b"0123456789")
    assert list(records(whole + parts + whole, "RecordIO")) == [whole, parts, whole]
    with pytest.raises(LocalError, match="cut off"):
        list(records(whole[:-4], "RecordIO"))
    with pytest.raises(LocalError, match="at byte 0"):
        list(records(b"not a record", "RecordIO"))


def test_answers_are_put_together():
    assert assemble([b"a", b"b\n"], "Line") == b"a\nb\n"
    assert assemble([b"a", b"b"], "None") == b"ab"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"TransformOutput": {"S3OutputPath": "s3://no-such-bucket/out"}},
            'TransformOutput.S3OutputPath: the S3 bucket "no-such-bucket" does not exist',
        ),
        (
            {
                "TransformInput": {
                    "DataSource": {
                        "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/nowhere"}
                    }
                }
            },
            'No S3 objects found under S3 URL "s3://bucket/nowhere" given in input data source',
        ),
    ],
)
def test_a_job_without_its_input_or_its_output_bucket_is_refused(sm, model, changes, message):
    with pytest.raises(ClientError, match=message):
        transform(sm, model, "no-bucket", "in/lines", "Line", **changes)
