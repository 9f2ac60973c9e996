"""The service's small parts: hosts, request validation, metrics, pagination, records, pipes."""

import datetime
import io
import queue
import re
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import pytest

from local_sagemaker import builtin
from local_sagemaker.api import validation
from local_sagemaker.api.endpoint_members import check_model
from local_sagemaker.api.pagination import listing
from local_sagemaker.backends.docker import DockerRunner
from local_sagemaker.backends.process import ProcessRunner
from local_sagemaker.errors import LocalError, ServiceError
from local_sagemaker.jobs.base import Job
from local_sagemaker.server import origin_check
from local_sagemaker.storage import channels, metrics, objects
from local_sagemaker.storage.channels import Share
from local_sagemaker.storage.pipes import PipeFeeder
from local_sagemaker.storage.records import Store, now
from support.job import PATIENCE
from support.recordio import frame

LINES = [
    (1, "#quality_metric: host=algo-1, epoch=0, batch=0 train binary_f_1.000 <score>=0.1"),
    (2, "#quality_metric: host=algo-1, epoch=0, train binary_f_1.000 <score>=0.2"),
    (3, "#quality_metric: host=algo-1, epoch=1, train binary_f_1.000 <score>=0.3"),
    (4, "#quality_metric: host=algo-1, train binary_f_1.000 <score>=0.35"),
    (4, "#progress_metric: host=algo-1, completed 50.0 % of epochs"),
    (4, "#throughput_metric: host=algo-1, train throughput=12.5 records/second"),
    (5, "#quality_metric: host=algo-1, test binary_f_1.000 <score>=0.4"),
    (6, "#quality_metric: host=algo-1, epoch=1, train rmse <loss>=nan"),
]


OURS = "x/factorization-machines:1"
BUILTIN = "382416733822.dkr.ecr.us-east-1.amazonaws.com/factorization-machines:1"


def definitions(image, own=None):
    return builtin.metric_definitions({"TrainingImage": image, "MetricDefinitions": own})


def test_the_built_in_s_metrics_are_of_the_run_of_epochs_and_of_batches():
    found = metrics.MetricScraper(definitions(OURS)).scrape(LINES)
    values = {name: [point.value for point in points] for name, points in found.items()}
    assert values == {
        "train:binary_f_beta:batch": [0.1],
        "train:binary_f_beta:epoch": [0.2, 0.3],
        "train:binary_f_beta": [0.35],
        "test:binary_f_beta": [0.4],
        "train:progress": [50.0],
        "train:throughput": [12.5],
    }
    final = {one["MetricName"]: one["Value"] for one in metrics.final(found)}
    assert final["train:binary_f_beta:epoch"] == 0.3


def test_there_are_eighteen_of_them():
    four = ("rmse", "classification_accuracy", "classification_cross_entropy", "f_beta")
    names = [name if name == "rmse" else f"binary_{name}" for name in four]
    expected = {f"{channel}:{name}" for channel in ("train", "test") for name in names}
    expected |= {f"train:{name}:{scope}" for name in names for scope in ("epoch", "batch")}
    expected |= {"train:progress", "train:throughput"}
    assert {one["Name"] for one in definitions(BUILTIN)} == expected
    assert len(expected) == 18


def test_definitions_of_a_job_are_refused_for_the_service_s_image_alone():
    own = [{"Name": "m", "Regex": "m=(.*)"}]
    with pytest.raises(ServiceError, match="You can't override the metric definitions for Amazon"):
        definitions(BUILTIN, own)
    assert definitions("1.dkr.ecr.us-east-1.amazonaws.com/factorization-machines:1", own) == own
    assert definitions("xgboost:1", own) == own


@pytest.mark.parametrize(
    ("image", "ours"),
    [
        ("factorization-machines", True),
        ("1.dkr.ecr.us-east-1.amazonaws.com/factorization-machines:1", True),
        ("localhost:5000/factorization-machines@sha256:0", True),
        ("factorization-machines:latest --privileged", False),
        ("--privileged/factorization-machines", False),
        ("factorization-machines:1\n", False),
        ("xgboost:1", False),
        ("factorization-machines/other", False),
    ],
)
def test_our_image_is_known_by_its_name(image, ours):
    assert builtin.is_ours(image) is ours
    assert bool(definitions(image)) is ours


@pytest.mark.parametrize("image", ["--help", "-v", "a b", "a\n", "", "a/", "A/b c", "a:-t", "$(a)"])
def test_what_is_no_image_name_is_refused_by_both_backends(tmp_path, image):
    for runner in (DockerRunner(tmp_path), ProcessRunner(tmp_path)):
        assert runner.problem(image).startswith(f"{image!r} is not the name of an image")


@pytest.mark.parametrize(
    "image", ["a", "Host.io:80/a/b_c", "a__b-c.d:T-1", f"sha256:{'0' * 64}", "a@sha256:" + "0" * 64]
)
def test_names_and_ids_of_images(image):
    assert builtin.problem_of_name(image) is None


@pytest.mark.parametrize(
    ("host", "aws"),
    [
        ("sts.us-east-1.amazonaws.com", True),
        ("bucket.s3.eu-west-1.amazonaws.com", True),
        ("api.sagemaker.cn-north-1.amazonaws.com.cn", True),
        ("amazonaws.com.evil.example", False),
        ("evilamazonaws.com", False),
        ("pypi.org", False),
    ],
)
def test_which_hosts_are_stood_in_for(host, aws):
    assert origin_check.is_aws(host) is aws


def problem(request):
    with pytest.raises(ServiceError) as raised:
        validation.check("DescribeTrainingJob", request)
    assert raised.value.code == "ValidationException"
    return raised.value.message


def test_a_request_is_checked_in_aws_s_words():
    assert problem({}) == (
        "1 validation error detected: Value null at 'trainingJobName' failed to satisfy"
        " constraint: Member must not be null"
    )
    assert "'a_b' at 'trainingJobName'" in problem({"TrainingJobName": "a_b"})
    assert "less than or equal to 63" in problem({"TrainingJobName": "a" * 64})
    validation.check("DescribeTrainingJob", {"TrainingJobName": "a-b"})


def test_network_isolation_is_refused_for_a_server_that_may_connect():
    context = SimpleNamespace(runner=SimpleNamespace(problem=lambda image: None))
    request = {"EnableNetworkIsolation": True}
    check_model(context, request, [{"Image": OURS}])
    check_model(context, {}, [{"Image": "x/other:1"}])
    with pytest.raises(ServiceError, match="EnableNetworkIsolation is not offered here for x/oth"):
        check_model(context, request, [{"Image": "x/other:1"}])


def test_a_listing_has_pages_and_an_order():
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    records = [
        {
            "ModelName": f"m{index}",
            "ModelArn": "arn",
            "CreationTime": start + datetime.timedelta(days=index),
        }
        for index in range(5)
    ]

    def names(**request):
        answer = listing("ListModels", records, request, "ModelName")
        return [one["ModelName"] for one in answer["Models"]], answer.get("NextToken")

    assert names()[0] == ["m4", "m3", "m2", "m1", "m0"]
    assert names(SortBy="Name")[0] == ["m0", "m1", "m2", "m3", "m4"]
    first, token = names(MaxResults=3)
    second, last = names(MaxResults=3, NextToken=token)
    assert first + second == ["m4", "m3", "m2", "m1", "m0"]
    assert last is None
    assert names(CreationTimeAfter=records[3]["CreationTime"].timestamp())[0] == ["m4", "m3"]
    for other in ({"NextToken": "x"}, {"NextToken": token, "SortOrder": "Ascending"}):
        with pytest.raises(ServiceError, match="NextToken"):
            names(**other)


def test_records_outlive_the_store(open_database, tmp_path):
    database = open_database(tmp_path)
    store = Store(database)
    record = {"CreationTime": now(), "Nested": [{"At": now()}]}
    assert store.add("model", "a", record)
    assert not store.add("model", "a", record)
    store.update("model", "nobody", Status="x")
    store.update("model", "a", Status="x")
    store.move("model", "a", "Status", "another", "y")
    kept = Store(database).get("model", "a")
    assert kept is not None and kept["Status"] == "x"
    store.move("model", "a", "Status", "x", "y")
    kept = Store(database).get("model", "a")
    assert kept is not None and kept["Status"] == "y"
    assert kept == store.get("model", "a")
    assert kept is not None and kept["Nested"] == record["Nested"]
    store.remove("model", "a")
    assert Store(database).all("model") == []


class Objects:
    """What is used of a boto3 S3 client."""

    class exceptions:
        ClientError = KeyError

    def __init__(self, **objects):
        self._objects = objects

    def get_paginator(self, _):
        return self

    def paginate(self, Bucket, Prefix):
        return [{"Contents": [{"Key": key} for key in self._objects]}]

    def get_object(self, Bucket, Key):
        return {"Body": self.Body(self._objects[Key])}

    class Body(io.BytesIO):
        def iter_chunks(self, size):
            return iter(lambda: self.read(size), b"")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, b"aaabb"),
        ({"RecordWrapperType": "RecordIO"}, frame(b"aaa") + frame(b"bb")),
    ],
)
def test_pipe_mode_fills_a_pipe_for_each_pass(tmp_path, more, expected):
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket"}
    channel = {"ChannelName": "train", "DataSource": {"S3DataSource": source}, **more}
    feeder = PipeFeeder(Objects(a=b"aaa", b=b"bb"), channel, tmp_path, Share(0, 1))
    try:
        for epoch in range(3):
            assert (tmp_path / f"train_{epoch}").read_bytes() == expected
    finally:
        feeder.stop()


def test_pipe_mode_goes_on_after_a_reader_that_left(tmp_path):
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket"}
    channel = {"ChannelName": "train", "DataSource": {"S3DataSource": source}}
    feeder = PipeFeeder(Objects(a=bytes(10_000_000)), channel, tmp_path, Share(0, 1))
    with (tmp_path / "train_0").open("rb") as stream:
        stream.read(10)
    until = time.monotonic() + 30
    while not (tmp_path / "train_1").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    assert len((tmp_path / "train_1").read_bytes()) == 10_000_000
    feeder.stop()


@pytest.mark.parametrize("replaced", ["train_1", "data"])
def test_a_pipe_that_a_container_replaced_by_a_link_is_not_written(tmp_path, replaced):
    """The reader makes the next pipe before the service does, or replaces the folder."""
    host, data = tmp_path / "host", tmp_path / "data"
    data.mkdir()
    host.mkdir()
    (host / "train_1").write_text("of the host")
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket"}
    channel = {"ChannelName": "train", "DataSource": {"S3DataSource": source}}
    feeder = PipeFeeder(Objects(a=bytes(10_000_000)), channel, data, Share(0, 1))
    with (data / "train_0").open("rb") as stream:
        stream.read(10)
        if replaced == "data":
            data.rename(tmp_path / "before")
            data.symlink_to(host)
        else:
            (data / "train_1").symlink_to(host / "train_1")
        stream.read()
    time.sleep(0.2)  # the service would write it now
    feeder.stop()
    assert (host / "train_1").read_text() == "of the host"


CATASTROPHIC, NO_MATCH = "((a|a)*)b(c)", "a" * 40 + "cb"  # 2**40 ways to try


def test_a_regular_expression_that_takes_too_long_is_used_no_more():
    slow = [{"Name": f"slow-{n}", "Regex": CATASTROPHIC} for n in range(5)]
    scraper = metrics.MetricScraper([*slow, {"Name": "m", "Regex": "m=([0-9]+)"}])
    points = scraper.scrape([(n, f"{NO_MATCH} m={n}") for n in range(9)])
    assert [point.value for point in points["m"]] == list(range(9))
    assert scraper.too_slow == [entry["Name"] for entry in slow]
    assert set(points) == {"m"}


def test_other_threads_run_while_a_regular_expression_is_searched():
    scraper = metrics.MetricScraper([{"Name": "slow", "Regex": CATASTROPHIC}])
    thread = threading.Thread(target=scraper.scrape, args=([(1, NO_MATCH)],))
    turns = 0
    thread.start()
    while thread.is_alive():
        time.sleep(0.01)
        turns += 1
    assert turns > 5
    assert scraper.too_slow == ["slow"]


@pytest.mark.parametrize("regex", ["(a", "a", "(?:" * 400 + "(a)" + ")" * 400, "[", "(?P<a>"])
def test_what_is_no_regular_expression_with_a_group_is_refused(regex):
    with pytest.raises(ServiceError, match="Metric m: "):
        metrics.check_definitions([{"Name": "m", "Regex": regex}])


@pytest.mark.parametrize("regex", [r"(?<=m=)(\d+)", r"(\d+)(?=;)", r"(\d)\d*\1?;|(\d+)"])
def test_lookaround_and_references_are_offered(regex):
    metrics.check_definitions([{"Name": "m", "Regex": regex}])
    points = metrics.MetricScraper([{"Name": "m", "Regex": regex}]).scrape([(1, "m=5;")])
    assert [point.value for point in points["m"]] == [5]


def test_a_group_that_took_no_part_is_no_value():
    assert metrics.MetricScraper([{"Name": "m", "Regex": "(a)|m"}]).scrape([(1, "m")]) == {}


def test_a_growing_log_is_read_once_and_by_whole_lines(tmp_path):
    log = tmp_path / "algo-1.log"
    scraper = metrics.MetricScraper([{"Name": "m", "Regex": "m=([0-9]+)"}])

    def values():
        return [point.value for point in scraper.update([log]).get("m", [])]

    assert values() == []
    log.write_text("1\tm=1\n2\tm=2")
    assert values() == [1]
    with log.open("a") as stream:
        stream.write("3\n3\tm=4\n")
    assert values() == values() == [1, 23, 4]


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        (("p/a", "p/a/b"), "'p/a/b'"),
        (("p/a", "p/a-b", "p/a/b/c"), "'p/a/b/c'"),
        (("p/x/y", "p/x//y"), "'p/x/y'"),
        (("p/x/y", "p/x/./y"), "'p/x/y'"),
        (("p/../z",), "'../z'"),
        (("p/z", "p//z"), "'p/z'"),
    ],
)
def test_keys_that_would_be_written_to_one_file_are_refused(tmp_path, keys, named):
    written = []
    s3 = SimpleNamespace(
        get_paginator=lambda _: SimpleNamespace(
            paginate=lambda **_: [{"Contents": [{"Key": key} for key in keys]}]
        ),
        download_file=lambda *arguments: written.append(arguments),
        exceptions=SimpleNamespace(ClientError=KeyError),
    )
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/p"}
    channel = {"ChannelName": "train", "DataSource": {"S3DataSource": source}}
    with pytest.raises(LocalError, match=re.escape(named)):
        channels.fetch(s3, channel, tmp_path, channels.Share(0, 1))
    assert written == []


@pytest.mark.parametrize(
    ("key", "reason"),
    [("x" * 300, "File name too long"), ("a\0b", "embedded null byte")],
    ids=["long", "null"],
)
def test_a_key_that_is_no_name_of_a_file_is_named_without_a_path_of_this_machine(
    tmp_path, key, reason
):
    def download_file(_: str, key: str, target: str) -> None:
        Path(target).write_bytes(b"")

    s3 = SimpleNamespace(download_file=download_file)
    with pytest.raises(LocalError) as error:
        objects.download(s3, ("bucket", key), tmp_path, PurePosixPath(key))
    text = key.replace("\0", "\\x00")
    assert str(error.value) == f"ClientError: Data download failed: s3://bucket/{text}: {reason}"


class Written(Job):
    """A job that ends, as its record would say, before its folder is removed."""

    kind = "written"

    def work(self):
        self.work_folder.mkdir(parents=True, exist_ok=True)
        (self.work_folder / "result").touch()
        self.context.written.put(self.name)
        self.end(self.context.go_on.get(timeout=PATIENCE))

    def end(self, status, **changes):
        self.context.ended.put((status, (self.work_folder / "result").is_file()))


def test_a_job_keeps_its_folder_while_that_of_an_earlier_namesake_is_removed(tmp_path):
    go_on, written, ended, removed = (queue.Queue() for _ in range(4))
    may_remove = threading.Event()

    def remove(folder):
        assert may_remove.wait(PATIENCE)
        shutil.rmtree(folder, ignore_errors=True)
        removed.put(folder)

    with ThreadPoolExecutor(2) as jobs:
        runner = SimpleNamespace(remove=remove)
        context = SimpleNamespace(
            runner=runner, jobs=jobs, running={}, work=lambda name: tmp_path / name,
            go_on=go_on, written=written, ended=ended,
        )  # fmt: skip
        Written(context, "again").submit()
        go_on.put("Completed")
        assert ended.get(timeout=PATIENCE) == ("Completed", True)
        Written(context, "again").submit()
        assert [written.get(timeout=PATIENCE) for _ in range(2)] == ["again", "again"]
        may_remove.set()
        removed.get(timeout=PATIENCE)
        assert list(context.running) == [("written", "again")]
        go_on.put("Completed")
        assert ended.get(timeout=PATIENCE) == ("Completed", True)
    assert context.running == {}
    assert list(tmp_path.iterdir()) == []
