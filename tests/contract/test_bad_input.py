"""Bad input in a real process: the exit code, the failure file, the message, nothing left."""

import gzip
import json
import math
import shutil
from collections.abc import Callable

import pytest

from contract.conftest import DIM, GIVEN, ratings
from support.job import UNPRIVILEGED, Job, limited
from support.recordio import frame, message, sparse_file

Spoil = Callable[[Job], None]


def hyper(**changes: object) -> Spoil:
    """Change hyperparameters; None leaves one out."""
    return lambda job: job.hyperparameters(
        **{name: value for name, value in {**GIVEN, **changes}.items() if value is not None}
    )


def text(content: str | None) -> Spoil:
    """Write hyperparameters.json as it is, or remove it."""

    def spoil(job: Job) -> None:
        path = job.config / "hyperparameters.json"
        path.unlink() if content is None else path.write_text(content)

    return spoil


def train(content: bytes) -> Spoil:
    """Replace the file of the channel train."""
    return lambda job: job.channel("train", content)


def record(label: float | None = 1.0, values: tuple[float, ...] = (1, 1), key: int = 5) -> bytes:
    """Return a file of a good record, and one that may not be."""
    first = frame(message(values=[1.0], keys=[0], label=0.0))
    return first + frame(message(values=list(values), keys=[1, key], label=label))


def no_channel(job: Job) -> None:
    job.configure("inputdataconfig", {"test": {"TrainingInputMode": "File"}})


def empty_channel(job: Job) -> None:
    shutil.rmtree(job.data / "train")
    (job.data / "train").mkdir()


WHOLE = sparse_file(*ratings(10, 1))
CASES: dict[str, tuple[Spoil, int, str]] = {
    "hyperparameters.json missing": (
        text(None),
        2,
        r"ConfigurationError: {config}/hyperparameters.json does not exist",
    ),
    "not JSON": (
        text("{'epochs': 1}"),
        2,
        "ConfigurationError: {config}/hyperparameters.json is not JSON: Expecting property name",
    ),
    "not an object": (
        text("[1, 2]"),
        2,
        "ConfigurationError: {config}/hyperparameters.json must hold one JSON object; got [1, 2]",
    ),
    "feature_dim absent": (
        hyper(feature_dim=None),
        2,
        "HyperparameterError: feature_dim is required: an integer from 1 to 2147483647",
    ),
    "feature_dim 0": (
        hyper(feature_dim=0),
        2,
        "HyperparameterError: feature_dim must be an integer from 1 to 2147483647; got '0'",
    ),
    "feature_dim abc": (
        hyper(feature_dim="abc"),
        2,
        "HyperparameterError: feature_dim must be an integer from 1 to 2147483647; got 'abc'",
    ),
    "feature_dim 1e3": (
        hyper(feature_dim="1e3"),
        2,
        "HyperparameterError: feature_dim must be an integer from 1 to 2147483647; got '1e3'",
    ),
    "feature_dim below a key": (
        hyper(feature_dim=20),
        2,
        "DataError: train/part-0: record 1 at byte 0: key ",
    ),
    "num_factors 0": (
        hyper(num_factors=0),
        2,
        "HyperparameterError: num_factors must be an integer >= 1; got '0'",
    ),
    "epochs -1": (
        hyper(epochs=-1),
        2,
        "HyperparameterError: epochs must be an integer >= 1; got '-1'",
    ),
    "predictor_type misspelt": (
        hyper(predictor_type="binary_clasifier"),
        2,
        "HyperparameterError: predictor_type must be 'binary_classifier' or 'regressor'; "
        "got 'binary_clasifier'",
    ),
    "bias_lr nan": (
        hyper(bias_lr="nan"),
        2,
        "HyperparameterError: bias_lr must be a finite number >= 0; got 'nan'",
    ),
    "unknown name": (
        hyper(num_factor=3),
        2,
        "HyperparameterError: 'num_factor' is not a hyperparameter of this algorithm; "
        "did you mean 'num_factors'?",
    ),
    "several at once": (
        hyper(epochs=0, bias_lr="x", epoch=3),
        2,
        "HyperparameterError: 3 problems\n'epoch' is not",
    ),
    "no channel train": (
        no_channel,
        2,
        "ChannelError: the channel 'train' is required; the job's channels: 'test'",
    ),
    "channel train empty": (
        empty_channel,
        2,
        "ChannelError: channel 'train' is empty: no file with data below {data}/train",
    ),
    "cut in a record": (
        train(WHOLE[:-20]),
        2,
        "DataError: train/part-0: record 10 at byte 540: the data ends inside the record: "
        "only 40 bytes are left",
    ),
    "wrong magic number": (
        train(WHOLE[:60] + b"\0\0\0\0" + WHOLE[64:]),
        2,
        "DataError: train/part-0: record 2 at byte 60: expected a RecordIO header, 0a 23 d7 ce; "
        "got 00 00 00 00",
    ),
    "gzip by mistake": (
        train(gzip.compress(WHOLE, mtime=0)),
        2,
        "DataError: train/part-0: record 1 at byte 0: expected a RecordIO header, 0a 23 d7 ce; "
        "got 1f 8b 08 00: this is gzip; set the channel's CompressionType to 'Gzip', "
        "or upload it unpacked",
    ),
    "CSV by mistake": (
        train(b"1,0,0,1\n0,1,0,0\n"),
        2,
        "DataError: train/part-0: record 1 at byte 0: expected a RecordIO header, 0a 23 d7 ce; "
        "got 31 2c 30 2c: this is text (CSV?); write it with write_spmatrix_to_sparse_tensor",
    ),
    "label missing": (
        train(record(label=None)),
        2,
        "DataError: train/part-0: record 2 at byte ",
    ),
    "label NaN": (
        train(record(label=math.nan)),
        2,
        "DataError: train/part-0: record 2 at byte ",
    ),
    "label 2 for a classifier": (
        train(record(label=2.0)),
        2,
        "DataError: channel 'train': the label of a binary_classifier must be 0 or 1; "
        "got 2 in record 2 of the channel",
    ),
    "a NaN feature": (
        train(record(values=(1, math.nan))),
        2,
        "DataError: train/part-0: record 2 at byte ",
    ),
    "a diverging loss": (
        lambda job: job.hyperparameters(
            **{**GIVEN, "predictor_type": "regressor", "bias_lr": 1e30}
        ),
        1,
        "DivergedError: training diverged: the loss is not finite in batch ",
    ),
}
ENDINGS = {
    "feature_dim below a key": " is not below feature_dim 20",
    "label missing": ": no label: the map 'label' has no key 'values'",
    "label NaN": ": the label is not a finite float32",
    "a NaN feature": ": the value of feature 5 is not a finite float32",
    "a diverging loss": (
        "Lower bias_lr, linear_lr or factors_lr, set clip_gradient, "
        "or scale the features and labels"
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name: str, good: Job) -> None:
    spoil, code, message = CASES[name]
    spoil(good)
    done = good.train()
    failure = good.failure
    assert failure is not None, done.stderr
    assert failure.startswith(message.format(config=good.config, data=good.data))
    assert failure.endswith(ENDINGS.get(name, ""))
    assert done.code == code
    assert len(failure) <= 1024
    assert failure in done.stderr
    assert "Traceback" not in done.stderr
    assert good.left == []


def test_every_problem_is_told_at_once(good: Job) -> None:
    hyper(epochs=0, bias_lr="x", epoch=3)(good)
    good.train()
    assert (good.failure or "").splitlines() == [
        "HyperparameterError: 3 problems",
        "'epoch' is not a hyperparameter of this algorithm; did you mean 'epochs'?",
        "epochs must be an integer >= 1; got '0'",
        "bias_lr must be a finite number >= 0; got 'x'",
    ]


def test_a_long_failure_is_cut(good: Job) -> None:
    good.hyperparameters(**GIVEN, **{f"{'unknown' * 9}{i}": i for i in range(40)})
    done = good.train()
    assert done.code == 2
    assert len(good.failure or "") == 1024
    assert (good.failure or "").startswith("HyperparameterError: 40 problems\n")


def test_an_output_folder_that_cannot_be_written(good: Job) -> None:
    """The real error survives, on standard error and in the exit code."""
    hyper(num_factors=0)(good)
    good.output.chmod(0o555)
    done = good.train(before=UNPRIVILEGED)
    assert done.code == 2
    assert done.stderr.splitlines() == [
        "HyperparameterError: num_factors must be an integer >= 1; got '0'",
        f"{good.output}/failure could not be written: Permission denied",
    ]
    assert good.failure is None


def test_a_model_folder_that_cannot_be_written_is_found_before_training(good: Job) -> None:
    good.model.chmod(0o555)
    done = good.train(before=UNPRIVILEGED)
    assert done.code == 3
    assert good.failure == (
        f"PlatformError: the model cannot be written to {good.model}: Permission denied"
    )
    assert "#quality_metric" not in done.stdout


def test_a_disk_that_is_full_when_the_model_is_written(good: Job) -> None:
    """By a limit on the size of files, which fails as a full disk does: in the middle of a write.

    A really full disk, a tiny tmpfs, is in tests/image.
    """
    hyper(num_factors=500)(good)
    limit = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))"
    )
    done = good.train(before=limited(limit))
    assert done.code == 3
    assert good.failure == (
        f"PlatformError: the model cannot be written to {good.model}: File too large"
    )
    assert good.left == []


def test_plain_values_of_a_hand_written_file_are_taken(good: Job) -> None:
    (good.config / "hyperparameters.json").write_text(json.dumps(GIVEN))
    done = good.train()
    assert done.code == 0, done.stderr
    assert DIM == GIVEN["feature_dim"]
