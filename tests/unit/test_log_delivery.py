"""Delivery of logs: a group or stream that is deleted, and a stream that cannot be delivered."""

import resource
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_sagemaker.storage.logs import Logs, read


class NotFound(ClientError):
    pass


class Exists(ClientError):
    pass


class FakeLogs:
    """The calls of boto3's client that Logs makes, over a dict."""

    exceptions = SimpleNamespace(
        ResourceNotFoundException=NotFound, ResourceAlreadyExistsException=Exists
    )

    def __init__(self) -> None:
        self.groups: dict[str, dict[str, list[str]]] = {}

    def create_log_group(self, logGroupName: str) -> None:
        if logGroupName in self.groups:
            raise Exists({}, "CreateLogGroup")
        self.groups[logGroupName] = {}

    def create_log_stream(self, logGroupName: str, logStreamName: str) -> None:
        if logGroupName not in self.groups:
            raise NotFound({}, "CreateLogStream")
        if logStreamName in self.groups[logGroupName]:
            raise Exists({}, "CreateLogStream")
        self.groups[logGroupName][logStreamName] = []

    def put_log_events(self, logGroupName: str, logStreamName: str, logEvents: Any) -> None:
        if logStreamName == "bad":
            raise ClientError({}, "PutLogEvents")
        try:
            stream = self.groups[logGroupName][logStreamName]
        except KeyError:
            raise NotFound({}, "PutLogEvents") from None
        stream += [event["message"] for event in logEvents]


@pytest.fixture
def client():
    return FakeLogs()


@pytest.fixture
def logs(client):
    logs = Logs(client)
    yield logs
    logs.stop()


@pytest.mark.parametrize("what", ["group", "stream"])
def test_what_is_deleted_is_created_again(client, logs, tmp_path, what):
    stream = logs.stream("group", "name", tmp_path / "a.log")
    stream.write("first")
    stream.deliver()
    del (client.groups if what == "group" else client.groups["group"])[
        "group" if what == "group" else "name"
    ]
    stream.write("second")
    stream.close()
    assert client.groups == {"group": {"name": ["second"]}}
    later = logs.stream("group", "later", tmp_path / "b.log")
    later.write("third")
    later.close()
    assert client.groups["group"]["later"] == ["third"]
    assert [text for _, text in read(tmp_path / "a.log")] == ["first", "second"]


def test_one_stream_that_cannot_be_delivered_does_not_affect_the_others(
    client, logs, tmp_path, capsys
):
    bad = logs.stream("group", "bad", tmp_path / "bad.log")
    good = logs.stream("group", "good", tmp_path / "good.log")
    bad.write("lost")
    good.write("first")
    until = time.monotonic() + 30
    while client.groups["group"]["good"] != ["first"]:
        assert time.monotonic() < until
        time.sleep(0.01)
    bad.write("lost too")
    bad.close()
    good.write("second")
    good.close()
    assert client.groups["group"]["good"] == ["first", "second"]
    assert "1 lines of group bad are not in CloudWatch: " in capsys.readouterr().err


def test_a_full_disk_ends_no_container_and_loses_no_line_that_is_delivered(client, logs):
    stream = logs.stream("group", "name", Path("/dev/full"))
    for line in ("first", "second"):
        stream.write(line)  # an error here would end the container that prints
    stream.close()
    *lines, last = client.groups["group"]["name"]
    assert lines == ["first", "second"]
    assert last == "The disk is full: the last lines are not kept, and have no metrics."


def test_lines_of_a_full_disk_are_written_when_it_has_space(client, logs, tmp_path):
    stream = logs.stream("group", "name", tmp_path / "a.log")
    size, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    stream.write("first")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))  # ends in the second line
        stream.write("second")
        stream.write("third")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    stream.close()
    lines = ["first", "second", "third"]
    assert [text for _, text in read(tmp_path / "a.log")] == lines
    assert client.groups["group"]["name"] == lines
