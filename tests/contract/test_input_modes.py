"""A channel as it may come: files or FIFOs, packed or not, decoded once or in each epoch."""

import gzip
import io
import os
import re
import signal
import threading
import zipfile

import pytest

from contract.conftest import GIVEN, ratings
from support.job import PATIENCE, Job, Result
from support.pipes import Feed, fed, slow, whole
from support.recordio import frame, sparse_file

TRAIN, TEST = sparse_file(*ratings(550, 1)), sparse_file(*ratings(130, 2))
ENGINES = ({}, {"_num_threads": 3}, {"_engine": "torch"})


def outcome(job: Job, done: Result) -> tuple[bytes, list[str]]:
    """Return the model's bytes, and every score of the log."""
    assert done.code == 0, done.stderr
    model = (job.model / "model_algo-1").read_bytes()
    (job.model / "model_algo-1").unlink()
    scores = re.findall(r"#(?:quality_metric|test_score).*", done.stdout)
    return model, scores


def params(model: bytes) -> bytes:
    return zipfile.ZipFile(io.BytesIO(model)).read("params")


def modes(job: Job, mode: str, **options: str) -> None:
    channel = {"TrainingInputMode": mode, "ContentType": "application/x-recordio-protobuf"}
    channel |= options
    job.configure("inputdataconfig", {"train": channel, "test": channel})


def by_pipe(job: Job, train: list[Feed], test: list[Feed], **options: str) -> Result:
    modes(job, "Pipe", **options)
    with fed(job, train=train, test=test):
        return job.train()


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_the_same_model_and_scores_in_each_mode(good: Job, engine: dict[str, object]) -> None:
    given = {**GIVEN, "epochs": 3, "batch_metrics_publish_interval": 2, **engine}
    good.hyperparameters(**given)
    expected = outcome(good, good.train())
    assert len(expected[1]) == 3 * 4 * 3 + 9
    modes(good, "FastFile")
    assert outcome(good, good.train()) == expected
    assert outcome(good, by_pipe(good, [whole(TRAIN)] * 3, [whole(TEST)])) == expected
    assert outcome(good, by_pipe(good, [slow(TRAIN)] * 3, [slow(TEST)])) == expected


def test_files_that_do_not_fit_the_budget_are_streamed(good: Job) -> None:
    x, y = ratings(90_000, 1)
    parts = [sparse_file(x[first : first + 30_000], y[first : first + 30_000])
             for first in range(0, 90_000, 30_000)]  # fmt: skip
    (good.data / "train" / "part-0").unlink()
    good.channel("train", {f"part-{i}": part for i, part in enumerate(parts)})
    good.channel("test", sparse_file(*ratings(60_000, 2)))
    good.hyperparameters(**GIVEN, _memory_budget_mb=100)
    done = good.train()
    assert "90000 train, 60000 test records" in done.stdout
    expected = outcome(good, done)
    good.hyperparameters(**GIVEN, _memory_budget_mb=1)
    done = good.train()
    assert "streamed train, streamed test records" in done.stdout
    got = outcome(good, done)
    assert got[1] == expected[1]
    assert params(got[0]) == params(expected[0])  # meta.json has the budget


@pytest.mark.parametrize("mode", ["File", "Pipe"])
@pytest.mark.parametrize("members", [1, 3])
def test_gzip(good: Job, mode: str, members: int) -> None:
    """Also of several members: what `cat` makes of several objects."""
    expected = outcome(good, good.train())
    x, y = ratings(550, 1)
    ends = [550 * i // members for i in range(members + 1)]
    train = b"".join(
        gzip.compress(sparse_file(x[a:b], y[a:b])) for a, b in zip(ends, ends[1:], strict=False)
    )
    if mode == "Pipe":
        # The service's own pipe may have unpacked it: told from the bytes.
        done = by_pipe(good, [slow(train, 1), whole(TRAIN)], [whole(TEST)], CompressionType="Gzip")
    else:
        good.channel("train", {"part-0": train})
        good.channel("test", {"part-0": gzip.compress(TEST)})
        modes(good, "File", CompressionType="Gzip")
        done = good.train()
    assert outcome(good, done) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            gzip.compress(TRAIN, mtime=0)[:-20],
            "train/part-0: the gzip data is cut: its end is missing",
        ),
        (
            gzip.compress(TRAIN[:-20], mtime=0),
            "train/part-0: record 550 at byte 32940: the data ends",
        ),
        (
            gzip.compress(TRAIN, mtime=0)[:-6] + b"\0" * 6,
            "train/part-0: the gzip data is damaged: ",
        ),
        (gzip.compress(b"", mtime=0), "channel 'train', pass 0: there is no record"),
    ],
)
def test_gzip_that_is_not_right(good: Job, content: bytes, message: str) -> None:
    modes(good, "File", CompressionType="Gzip")
    good.channel("train", content)
    assert good.train().code == 2
    assert good.failure is not None and good.failure.startswith(f"DataError: {message}")


def test_early_stopping_reads_a_fifo_for_test_once(good: Job) -> None:
    good.hyperparameters(**{**GIVEN, "epochs": 3}, _early_stopping_patience=2)
    expected = outcome(good, good.train())
    assert outcome(good, by_pipe(good, [whole(TRAIN)] * 3, [slow(TEST)])) == expected


def test_a_producer_that_dies_in_a_record(good: Job) -> None:
    done = by_pipe(good, [whole(TRAIN), whole(TRAIN[:-20])], [])
    assert done.code == 2
    assert good.failure == (
        "DataError: train_1: record 550 at byte 32940: the data ends inside the record: "
        "only 40 bytes are left"
    )
    assert good.left == []


def test_a_producer_that_dies_between_records(good: Job) -> None:
    done = by_pipe(good, [whole(TRAIN), whole(TRAIN[:-600])], [])
    assert done.code == 3
    assert good.failure == (
        "PlatformError: channel 'train', pass 1: 540 records, and 550 in the passes before: "
        "what delivers them ended early, or they changed"
    )


def test_a_producer_that_dies_before_the_first_byte(good: Job) -> None:
    done = by_pipe(good, [lambda out: None], [])
    assert done.code == 2
    assert good.failure == "DataError: channel 'train', pass 0: there is no record"


def test_a_wrapped_object_that_was_recordio_already(good: Job) -> None:
    done = by_pipe(good, [whole(frame(TRAIN))], [], RecordWrapperType="RecordIO")
    assert done.code == 2
    assert good.failure is not None
    assert good.failure.endswith("RecordWrapperType 'RecordIO' is not for: leave that out")


def test_a_label_is_wrong_in_the_middle_of_a_pass(good: Job) -> None:
    x, y = ratings(550, 1)
    y[500] = 2
    done = by_pipe(good, [whole(sparse_file(x, y))], [])
    assert done.code == 2
    assert good.failure == (
        "DataError: channel 'train': the label of a binary_classifier must be 0 or 1; "
        "got 2 in record 501 of the channel"
    )


@pytest.mark.parametrize("waits_for", ["a writer", "data"])
def test_a_stop_while_it_waits(good: Job, waits_for: str) -> None:
    good.hyperparameters(**{**GIVEN, "epochs": 5})
    modes(good, "Pipe")

    def stuck(out: int) -> None:
        whole(TRAIN[:9000])(out)
        gone.wait(PATIENCE)

    gone = threading.Event()
    second = [] if waits_for == "a writer" else [stuck]
    with fed(good, train=[whole(TRAIN), *second], test=[]), good.started() as process:
        if waits_for == "a writer":
            os.mkfifo(good.data / "train_1")
        assert process.stdout is not None
        for line in process.stdout:
            if "#throughput_metric" in line:
                break
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 143, said
        gone.set()
        assert said == "stopped by a signal; the model as far as it was trained is saved\n"
    assert good.left == ["model_algo-1"]
