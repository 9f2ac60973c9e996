"""Hosts and channels, from the configuration files and the folders."""

import json
from pathlib import Path

import pytest

from sagemaker_container.contract import channels
from sagemaker_container.contract.channels import Hosts
from sagemaker_container.contract.errors import ChannelError, ConfigurationError
from sagemaker_container.contract.paths import OptMl
from support.job import Job

FILE = {"TrainingInputMode": "File"}


def names(job: Job, channel: str = "train") -> list[str]:
    found = channels.channels(OptMl(job.base))[channel]
    assert found.folder == job.data / channel
    return [path.relative_to(found.folder).as_posix() for path in found.files]


def problem(job: Job) -> str:
    with pytest.raises(ChannelError) as caught:
        channels.channels(OptMl(job.base))
    return str(caught.value)


def test_paths_are_the_contracts() -> None:
    assert OptMl.from_environment({}) == OptMl(Path("/opt/ml"))
    assert OptMl.from_environment({"SAGEMAKER_BASE_DIR": ""}) == OptMl(Path("/opt/ml"))
    paths = OptMl.from_environment({"SAGEMAKER_BASE_DIR": "/x"})
    assert [
        str(path)
        for path in (
            paths.hyperparameters,
            paths.input_data_config,
            paths.resource_config,
            paths.channel("train"),
            paths.model,
            paths.failure,
            paths.output_data,
        )
    ] == [
        "/x/input/config/hyperparameters.json",
        "/x/input/config/inputdataconfig.json",
        "/x/input/config/resourceconfig.json",
        "/x/input/data/train",
        "/x/model",
        "/x/output/failure",
        "/x/output/data",
    ]


def test_files_come_sorted_by_path_from_all_sub_folders(job: Job) -> None:
    files = ("b", "a/z", "a/b/c", "a-1", "10", "9", "B")
    job.channel("train", dict.fromkeys(files, b"x"))
    job.configure("inputdataconfig", {"train": FILE})
    assert names(job) == sorted(files)


def test_hidden_files_and_empty_objects_are_left_out(job: Job) -> None:
    job.channel("train", {"a": b"x", ".b": b"x", ".git/c": b"x", "d": b"", "e/.f": b"x"})
    markers = ("_committed_123", "_started_123", "_temporary/0/part-0", ".part-0.crc")
    job.channel("train", dict.fromkeys(markers, b"x"))
    assert names(job) == ["a"]


def test_without_inputdataconfig_the_folders_are_the_channels(job: Job) -> None:
    job.channel("train", b"x")
    assert list(channels.channels(OptMl(job.base))) == ["train"]
    job.channel("test", b"x")
    (job.data / "other").mkdir()
    assert list(channels.channels(OptMl(job.base))) == ["train", "test"]


def test_what_is_not_declared_is_not_read(job: Job) -> None:
    job.channel("train", b"x")
    job.channel("test", b"x")
    job.configure("inputdataconfig", {"train": FILE})
    assert list(channels.channels(OptMl(job.base))) == ["train"]


def test_a_missing_train_channel(job: Job) -> None:
    assert problem(job) == "the channel 'train' is required; the job's channels: none"
    job.configure("inputdataconfig", {"test": FILE})
    assert problem(job) == "the channel 'train' is required; the job's channels: 'test'"


def test_an_unknown_channel(job: Job) -> None:
    job.configure("inputdataconfig", {"train": FILE, "validation": FILE})
    assert (
        problem(job) == "unknown channel 'validation'; the channels are 'train', 'test' and 'model'"
    )


def test_all_problems_of_the_channels_are_told_together(job: Job) -> None:
    csv = {"ContentType": "text/csv"}
    job.configure("inputdataconfig", {"training": FILE, "test": csv, "validation": FILE})
    assert problem(job).splitlines() == [
        "unknown channel 'training'; the channels are 'train', 'test' and 'model'",
        "unknown channel 'validation'; the channels are 'train', 'test' and 'model'",
        "the channel 'train' is required; the job's channels: 'training', 'test', 'validation'",
        "channel 'test': ContentType must be 'application/x-recordio-protobuf'; got 'text/csv'",
    ]
    assert channels.problems(OptMl(job.base)) == problem(job).splitlines()


def test_the_channel_of_a_model(job: Job) -> None:
    job.channel("train", b"x")
    paths = OptMl(job.base)
    assert channels.model_folder(paths) is None
    job.channel("model", b"x")
    assert channels.model_folder(paths) == job.data / "model"
    job.configure("inputdataconfig", {"train": {}})
    assert channels.model_folder(paths) is None
    sagemakers = {"TrainingInputMode": "File", "ContentType": "application/x-sagemaker-model"}
    job.configure("inputdataconfig", {"train": {}, "model": sagemakers})
    assert channels.model_folder(paths) == job.data / "model"
    assert list(channels.channels(paths)) == ["train"]
    job.configure("inputdataconfig", {"train": {}, "model": {"ContentType": "text/csv"}})
    assert problem(job) == (
        "channel 'model': ContentType must be 'application/x-sagemaker-model' or "
        "'application/x-tar' or 'application/gzip'; got 'text/csv'"
    )
    job.configure("inputdataconfig", {"train": {}, "model": {}})
    (job.data / "model" / "part-0").unlink()
    (job.data / "model").rmdir()
    with pytest.raises(ChannelError) as caught:
        channels.model_folder(paths)
    assert str(caught.value) == f"channel 'model': the folder {job.data / 'model'} does not exist"


def test_a_declared_channel_without_folder_or_data(job: Job) -> None:
    job.configure("inputdataconfig", {"train": FILE, "test": FILE})
    job.channel("train", b"x")
    folder = job.data / "test"
    assert problem(job) == f"channel 'test': the folder {folder} does not exist"
    job.channel("test", {"_SUCCESS": b"", ".hidden": b"x"})
    assert problem(job) == (
        f"channel 'test' is empty: no file with data below {folder}; names that begin with '.' or"
        " '_' are skipped"
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        FILE,
        {"TrainingInputMode": "FastFile"},
        {"ContentType": "application/x-recordio-protobuf"},
        {"ContentType": "application/x-recordio-protobuf; charset=utf-8"},
        {"ContentType": "", "CompressionType": None},
        {"CompressionType": "None", "RecordWrapperType": "None"},
        {"RecordWrapperType": "RecordIO", "S3DistributionType": "FullyReplicated"},
        {"S3DistributionType": "ShardedByS3Key"},
    ],
)
def test_deliveries_that_are_read(job: Job, options: dict[str, object]) -> None:
    job.channel("train", b"x")
    job.configure("inputdataconfig", {"train": options})
    assert names(job) == ["part-0"]


@pytest.mark.parametrize(
    ("key", "got", "allowed"),
    [
        ("TrainingInputMode", "Queue", "'File' or 'FastFile' or 'Pipe'"),
        ("TrainingInputMode", 1, "'File' or 'FastFile' or 'Pipe'"),
        ("ContentType", "text/csv", "'application/x-recordio-protobuf'"),
        ("CompressionType", "Bzip2", "'None' or 'Gzip'"),
        ("RecordWrapperType", "TFRecord", "'None' or 'RecordIO'"),
        ("S3DistributionType", "Some", "'FullyReplicated' or 'ShardedByS3Key'"),
    ],
)
def test_deliveries_that_are_not(job: Job, key: str, got: object, allowed: str) -> None:
    job.channel("train", b"x")
    job.configure("inputdataconfig", {"train": {key: got}})
    assert problem(job) == f"channel 'train': {key} must be {allowed}; got {got!r}"


def test_a_pipe_has_no_files_and_gzip_is_told(job: Job) -> None:
    pipe = {"TrainingInputMode": "Pipe", "CompressionType": "Gzip"}
    job.channel("test", b"x")
    job.configure("inputdataconfig", {"train": pipe, "test": {"CompressionType": "Gzip"}})
    found = channels.channels(OptMl(job.base))
    assert found["train"] == channels.Channel("train", job.data / "train", (), pipe=True, gzip=True)
    assert (found["test"].pipe, found["test"].gzip) == (False, True)


@pytest.mark.parametrize("options", ["File", ["File"], None, 1])
def test_a_channel_that_is_no_object(job: Job, options: object) -> None:
    job.configure("inputdataconfig", {"train": options})
    with pytest.raises(ConfigurationError) as caught:
        channels.channels(OptMl(job.base))
    path = job.config / "inputdataconfig.json"
    shown = json.dumps(options)
    assert str(caught.value) == f"{path}: channel 'train' must be an object; got {shown}"


def test_the_host_is_the_current_one(job: Job) -> None:
    paths = OptMl(job.base)
    assert channels.hosts(paths).current == "algo-1"
    job.configure("resourceconfig", {"current_host": "algo-1-z7lsm", "hosts": ["algo-1-z7lsm"]})
    assert channels.hosts(paths).current == "algo-1-z7lsm"
    job.configure("resourceconfig", {"current_host": "a", "network_interface_name": "ethwe"})
    assert channels.hosts(paths).current == "a"
    job.configure("resourceconfig", {})
    assert channels.hosts(paths).current == "algo-1"


def test_more_than_one_host(job: Job) -> None:
    job.configure("resourceconfig", {"current_host": "b", "hosts": ["b", "a"]})
    assert channels.hosts(OptMl(job.base)) == Hosts("b", ("b", "a"))
    job.configure("resourceconfig", {"current_host": "c", "hosts": ["b", "a"]})
    with pytest.raises(ConfigurationError, match="current_host 'c' must be one of the hosts; got"):
        channels.hosts(OptMl(job.base))


def test_a_share_of_the_files_may_be_none_where_there_are_many_hosts(job: Job) -> None:
    options = {"S3DistributionType": "ShardedByS3Key"}
    job.configure("inputdataconfig", {"train": options, "test": options})
    (job.data / "train").mkdir()
    with pytest.raises(ChannelError, match="'train' is empty"):
        channels.channels(OptMl(job.base))
    job.configure("resourceconfig", {"current_host": "b", "hosts": ["b", "a"]})
    found = channels.channels(OptMl(job.base))
    assert {name: (c.files, c.sharded) for name, c in found.items()} == {
        "train": ((), True),
        "test": ((), True),
    }
    job.configure("inputdataconfig", {"train": {}})
    with pytest.raises(ChannelError, match="'train' is empty"):
        channels.channels(OptMl(job.base))


@pytest.mark.parametrize(
    "content", [{"current_host": 1}, {"hosts": "algo-1"}, {"hosts": None}, {"hosts": [1, 2]}]
)
def test_a_malformed_resource_config(job: Job, content: object) -> None:
    job.configure("resourceconfig", content)
    with pytest.raises(ConfigurationError, match="current_host must be a string and hosts a list"):
        channels.hosts(OptMl(job.base))
