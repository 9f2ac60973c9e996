"""Batch transform through boto3: the framing of objects, DataProcessing, and failures."""

import csv
import gzip
import json
import tarfile

import pytest
from botocore.exceptions import ClientError

from factorization_machines import artifact
from support import fm
from support.recordio import sparse_file
from support.service import BUCKET, FEATURES, IMAGE, ROLE, ended, planted

COUNT = 50


@pytest.fixture(scope="module")
def model(sm, s3, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    parameters = fm.parameters(5, FEATURES, 4, scale=0.4)
    written = artifact.write(
        folder, artifact.Model(parameters, {"predictor_type": "binary_classifier"})
    )
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        archive.add(written, artifact.FILE_NAME)
    s3.upload_file(str(folder / "model.tar.gz"), BUCKET, "to-transform/model.tar.gz")
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/to-transform/model.tar.gz"}
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


RECORDS = "application/x-recordio-protobuf"
LINES = "application/jsonlines"


def request(model, name, prefix, source=None, output=None, **members):
    """Return a request in which nothing is set that need not be."""
    data = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{prefix}"}}
    return {
        "TransformJobName": name,
        "ModelName": model,
        "TransformInput": {"DataSource": data, **(source or {})},
        "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/transformed/{name}", **(output or {})},
        "TransformResources": {"InstanceType": "ml.c4.xlarge", "InstanceCount": 1},
        **members,
    }


def run(sm, *arguments, **members):
    """Return the description of a job that has ended."""
    wanted = request(*arguments, **members)
    sm.create_transform_job(**wanted)
    name = wanted["TransformJobName"]
    return ended(sm.describe_transform_job, "TransformJobStatus", TransformJobName=name)


def output_of(s3, name, place):
    """Return the text of an output object, whose last line must be complete."""
    text = s3.get_object(Bucket=BUCKET, Key=f"transformed/{name}/{place}.out")["Body"].read()
    assert text.endswith(b"\n")
    return text.decode()


def parsed(text):
    return [json.loads(line) for line in text[:-1].split("\n")]


@pytest.fixture(scope="module")
def rows(s3):
    """Return rows, which are also objects in S3: RecordIO, CSV and JSON Lines, with an id."""
    x, y = planted(2, COUNT)
    dense = x.toarray().tolist()
    s3.put_object(Bucket=BUCKET, Key="in/records/part-0", Body=sparse_file(x, y))
    s3.put_object(Bucket=BUCKET, Key="in/records/part-1", Body=sparse_file(x[:7], y[:7]))
    texts = {
        "csv": [",".join(map(str, row)) for row in dense],
        "ids-csv": [f"{i},{','.join(map(str, row))}" for i, row in enumerate(dense)],
        "ids-lines": [json.dumps({"id": i, "features": row}) for i, row in enumerate(dense)],
    }
    for name, lines in texts.items():
        s3.put_object(Bucket=BUCKET, Key=f"in/{name}/x", Body="\n".join(lines).encode())
    return dense


@pytest.mark.parametrize(
    ("name", "source", "output", "members"),
    [
        ("whole", {}, {}, {"BatchStrategy": "MultiRecord"}),
        ("unlimited", {}, {}, {"BatchStrategy": "MultiRecord", "MaxPayloadInMB": 0}),
        ("defaults", {"SplitType": "RecordIO"}, {}, {"MaxPayloadInMB": 1}),
        ("single", {"SplitType": "RecordIO"}, {}, {"BatchStrategy": "SingleRecord"}),
        ("assembled", {"SplitType": "RecordIO"}, {"AssembleWith": "Line", "Accept": LINES}, {}),
        (
            "single-assembled",
            {"SplitType": "RecordIO"},
            {"AssembleWith": "Line"},
            {"BatchStrategy": "SingleRecord", "MaxConcurrentTransforms": 3},
        ),
    ],
)
def test_one_line_for_each_record(sm, s3, model, rows, name, source, output, members):
    job = run(sm, model, name, "in/records", {"ContentType": RECORDS, **source}, output, **members)
    assert job["TransformJobStatus"] == "Completed", job
    for place, count in (("part-0", COUNT), ("part-1", 7)):
        lines = parsed(output_of(s3, name, place))
        assert [set(line) for line in lines] == [{"score", "predicted_label"}] * count


def test_csv_has_one_line_for_each_record(sm, s3, model, rows):
    source = {"ContentType": RECORDS, "SplitType": "RecordIO"}
    job = run(sm, model, "to-csv", "in/records", source, {"Accept": "text/csv"})
    assert job["TransformJobStatus"] == "Completed", job
    lines = output_of(s3, "to-csv", "part-0").splitlines()
    assert [len(line.split(",")) for line in lines] == [2] * COUNT


def test_json_documents_are_on_lines_of_their_own(sm, s3, model, rows):
    source = {"ContentType": LINES, "SplitType": "Line"}
    job = run(
        sm, model, "documents", "in/ids-lines", source, {"Accept": "application/json"},
        BatchStrategy="SingleRecord",
    )  # fmt: skip
    assert job["TransformJobStatus"] == "Completed", job
    documents = parsed(output_of(s3, "documents", "x"))
    assert [len(document["predictions"]) for document in documents] == [1] * COUNT


def test_no_line_is_lost_where_two_requests_meet(sm, s3, model):
    count = 40_000
    x, y = planted(5, count)
    s3.put_object(Bucket=BUCKET, Key="in/many/part-0", Body=sparse_file(x, y))
    source = {"ContentType": RECORDS, "SplitType": "RecordIO"}
    more = {"BatchStrategy": "MultiRecord", "MaxPayloadInMB": 1}
    job = run(sm, model, "many", "in/many", source, **more)
    assert job["TransformJobStatus"] == "Completed", job
    assert len(parsed(output_of(s3, "many", "part-0"))) == count


def test_recordio_protobuf_answers_stay_as_they_are(sm, s3, model, rows):
    source = {"ContentType": RECORDS, "SplitType": "RecordIO"}
    run(sm, model, "to-records", "in/records", source, {"Accept": RECORDS})
    run(sm, model, "to-records-whole", "in/records", {"ContentType": RECORDS}, {"Accept": RECORDS})
    results = [
        s3.get_object(Bucket=BUCKET, Key=f"transformed/{name}/part-0.out")["Body"].read()
        for name in ("to-records", "to-records-whole")
    ]
    assert results[0] == results[1]
    assert len(results[0]) % COUNT == 0


def test_json_lines_are_filtered_and_joined(sm, s3, model, rows):
    processing = {
        "InputFilter": "$.features",
        "JoinSource": "Input",
        "OutputFilter": "$['id','SageMakerOutput']",
    }
    lines = {"ContentType": LINES, "SplitType": "Line"}
    output = {"Accept": LINES, "AssembleWith": "Line"}
    job = run(sm, model, "joined", "in/ids-lines", lines, output, DataProcessing=processing)
    assert job["TransformJobStatus"] == "Completed", job
    assert job["DataProcessing"] == processing
    run(sm, model, "not-joined", "in/ids-lines", lines, output)
    plain = parsed(output_of(s3, "not-joined", "x"))
    assert parsed(output_of(s3, "joined", "x")) == [
        {"id": i, "SageMakerOutput": prediction} for i, prediction in enumerate(plain)
    ]


def test_csv_is_filtered_and_joined(sm, s3, model, rows):
    source = {"ContentType": "text/csv", "SplitType": "Line"}
    output = {"Accept": "text/csv", "AssembleWith": "Line"}
    processing = {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"}
    for strategy in ("MultiRecord", "SingleRecord"):
        name = f"columns-{strategy}"
        more = {"DataProcessing": processing, "BatchStrategy": strategy}
        job = run(sm, model, name, "in/ids-csv", source, output, **more)
        assert job["TransformJobStatus"] == "Completed", job
    run(sm, model, "no-columns", "in/csv", source, output)
    plain = csv.reader(output_of(s3, "no-columns", "x").splitlines())
    expected = [[str(i), label] for i, (_, label) in enumerate(plain)]
    for strategy in ("MultiRecord", "SingleRecord"):
        text = output_of(s3, f"columns-{strategy}", "x")
        assert list(csv.reader(text.splitlines())) == expected


def test_whole_json_documents_are_joined(sm, s3, model):
    document = {"instances": [{"features": [1] * 30}], "batch": 3}
    s3.put_object(Bucket=BUCKET, Key="in/document/x", Body=json.dumps(document).encode())
    json_type = "application/json"
    processing = {"JoinSource": "Input", "OutputFilter": "$['batch','SageMakerOutput']"}
    source, output = {"ContentType": json_type}, {"Accept": json_type}
    run(sm, model, "document", "in/document", source, output, DataProcessing=processing)
    text = s3.get_object(Bucket=BUCKET, Key="transformed/document/x.out")["Body"].read()
    joined = json.loads(text)
    assert joined["batch"] == 3
    assert len(joined["SageMakerOutput"]["predictions"]) == 1


def test_a_bad_record_fails_its_object_and_the_job_but_not_the_other_objects(sm, s3, model, rows):
    good = ",".join(["1"] * 30) + "\n"
    for place, body in (("a", good), ("b", good + "1,2\n" + good), ("c", good * 2)):
        s3.put_object(Bucket=BUCKET, Key=f"in/middle/{place}", Body=body.encode())
    source = {"ContentType": "text/csv", "SplitType": "Line"}
    job = run(sm, model, "middle", "in/middle", source)
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: in/middle/b: the model answered 400: ")
    assert "instance 1 (the first is 0): 2 features" in job["FailureReason"]
    assert job["FailureReason"].endswith("(1 of 3 objects failed)")
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix="transformed/middle/")["Contents"]
    assert [entry["Key"][-5:] for entry in found] == ["a.out", "c.out"]


def test_gzip_is_decompressed(sm, s3, model, rows):
    body = gzip.compress(",".join(["1"] * 30).encode(), mtime=0)
    s3.put_object(Bucket=BUCKET, Key="in/gzip/x.gz", Body=body)
    source = {"ContentType": "text/csv", "CompressionType": "Gzip"}
    run(sm, model, "gzip", "in/gzip", source)
    assert len(parsed(output_of(s3, "gzip", "x.gz"))) == 1
    job = run(sm, model, "no-gzip", "in/csv", source)
    assert job["FailureReason"].startswith("ClientError: in/csv/x: the object is not gzip")


def test_reasons(sm, s3, model):
    s3.put_object(Bucket=BUCKET, Key="in/large/x", Body=b"1" * (2 << 20))
    source = {"ContentType": "text/csv", "SplitType": "Line"}
    job = run(sm, model, "large", "in/large", source, MaxPayloadInMB=1)
    assert job["FailureReason"].startswith(
        "ClientError: in/large/x: Too much data for max payload size: "
    )
    with pytest.raises(ClientError, match=f'No S3 objects found .*"s3://{BUCKET}/in/nothing"'):
        run(sm, model, "nothing", "in/nothing", source)


def test_what_describe_adds(sm, model, rows):
    job = run(sm, model, "described", "in/csv", {"ContentType": "text/csv"})
    assert job["TransformInput"]["SplitType"] == job["TransformInput"]["CompressionType"] == "None"
    assert job["TransformOutput"]["KmsKeyId"] == ""
    assert job["TransformOutput"]["AssembleWith"] == "None"
    none = {"InputFilter": "$", "JoinSource": "None", "OutputFilter": "$"}
    assert job["DataProcessing"] == none


CSV = {"ContentType": "text/csv", "SplitType": "Line"}
CSV_OUT = {"Accept": "text/csv", "AssembleWith": "Line"}
JOIN = {"DataProcessing": {"JoinSource": "Input"}}


def only(name, expression):
    return {"DataProcessing": {name: expression}}


@pytest.mark.parametrize(
    ("source", "output", "members", "message"),
    [
        ({"SplitType": "TFRecord"}, {}, {}, "TFRecord is not offered"),
        ({}, {"S3OutputPath": "s3://nobody/x"}, {}, 'the S3 bucket "nobody" does not exist'),
        ({}, {}, {"MaxPayloadInMB": 101}, "must not exceed 100 MB"),
        ({}, {}, {"MaxPayloadInMB": 20, "MaxConcurrentTransforms": 6}, "got 20 and 6"),
        ({}, {"Accept": RECORDS, "AssembleWith": "Line"}, {}, "Line breaks its records"),
        ({}, {}, {"DataCaptureConfig": {"DestinationS3Uri": "s3://b/x"}}, "DataCaptureConfig"),
        ({"ContentType": RECORDS, "SplitType": "RecordIO"}, {}, JOIN, "needs the ContentType"),
        ({"ContentType": "text/csv"}, CSV_OUT, JOIN, "needs SplitType Line"),
        (CSV, {}, JOIN, "Accept and ContentType must match; got 'application/jsonlines'"),
        (CSV, {"Accept": "text/csv"}, JOIN, "AssembleWith and SplitType must match"),
        (CSV, CSV_OUT, only("InputFilter", "$.id"), "InputFilter of text/csv must have indexes"),
        (CSV, CSV_OUT, only("OutputFilter", "$..id"), "OutputFilter must be a JSONPath of"),
        (CSV, CSV_OUT, only("OutputFilter", "id"), "OutputFilter must be a JSONPath of"),
    ],
)
def test_what_is_refused_when_the_job_is_created(sm, model, source, output, members, message):
    with pytest.raises(ClientError, match=message) as caught:
        sm.create_transform_job(**request(model, "refused", "in", source, output, **members))
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(sm.exceptions.ResourceNotFound):
        sm.describe_transform_job(TransformJobName="refused")
