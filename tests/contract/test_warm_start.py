"""Training that goes on from a model: the channel `model`, in each form, and what is refused."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from contract.conftest import GIVEN
from factorization_machines import artifact
from support.job import Job

RATES = {"factors_lr": 0.02, "linear_lr": 0.02, "factors_init_sigma": 0.2}


def bomb() -> bytes:
    """Return an archive of 74 bytes, whose only member says that it has 8 TB."""
    info = tarfile.TarInfo("other")
    info.size = 8 * 10**12
    return gzip.compress(info.tobuf())


def tarred(content: bytes) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as out:
        info = tarfile.TarInfo("model_algo-1")
        info.size = len(content)
        out.addfile(info, io.BytesIO(content))
    return raw.getvalue()


def unpacked(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def trained(good: Job) -> bytes:
    """Return a model of the job, whose model folder is empty again."""
    good.hyperparameters(**{**GIVEN, **RATES})
    assert good.train().code == 0
    path = good.model / "model_algo-1"
    content = path.read_bytes()
    path.unlink()
    return content


def with_model(job: Job, files: Mapping[str, bytes], **options: str) -> None:
    job.channel("model", files)
    file = {"TrainingInputMode": "File"}
    given = {"ContentType": "application/x-sagemaker-model", **file, **options}
    job.configure("inputdataconfig", {"train": file, "test": file, "model": given})


def first_loss(log: str) -> float:
    name = "#quality_metric: host=algo-1, epoch=0, batch=0 train binary_classification_cross"
    (line,) = (line for line in log.splitlines() if name in line)
    return float(line.rpartition("=")[2])


@pytest.mark.parametrize("form", ["model.tar.gz", "model_algo-1", "unpacked"])
def test_training_goes_on_from_a_model(good: Job, trained: bytes, form: str) -> None:
    forms = {
        "model.tar.gz": {"model.tar.gz": tarred(trained)},
        "model_algo-1": {"model_algo-1": trained},
        "unpacked": unpacked(trained),
    }
    cold = first_loss(good.train().stdout)
    with_model(good, forms[form])
    rates = {"bias_lr": 0, "linear_lr": 0, "factors_lr": 0}
    wds = {"bias_wd": 0, "linear_wd": 0, "factors_wd": 0}
    good.hyperparameters(**{**GIVEN, **rates, **wds})
    still = good.train()
    assert still.code == 0, still.stderr
    assert (
        "Starting from the model in the channel 'model': a binary_classifier of feature_dim 100 "
        "and num_factors 4"
    ) in still.stdout
    (good.base / "before").write_bytes(trained)
    before = artifact.read(good.base / "before").parameters
    after = artifact.read(good.model).parameters
    for name in ("v", "w", "w0"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    good.hyperparameters(**{**GIVEN, **RATES, "epochs": 20})
    done = good.train()
    assert done.code == 0, done.stderr
    assert first_loss(done.stdout) < cold - 0.001
    assert np.abs(artifact.read(good.model).parameters.v - before.v).max() > 0.01


def test_without_inputdataconfig_its_folder_is_enough(good: Job, trained: bytes) -> None:
    good.channel("model", {"model_algo-1": trained})
    (good.config / "inputdataconfig.json").unlink()
    assert "Starting from the model in the channel 'model'" in good.train().stdout


def test_a_job_that_differs_from_the_model(good: Job, trained: bytes) -> None:
    with_model(good, {"model_algo-1": trained})
    changes = {"feature_dim": 120, "num_factors": 5, "predictor_type": "regressor"}
    good.hyperparameters(**{**GIVEN, **changes, "use_bias": "false", "use_linear": "false"})
    done = good.train()
    assert done.code == 2
    start = "as in the model that training starts from; got"
    term = "must be 'true', since the model that training starts from has that term; got 'false'"
    assert good.failure == (
        "HyperparameterError: 5 problems\n"
        f"feature_dim must be 100 (or more, with _grow), {start} 120\n"
        f"num_factors must be 4, {start} 5\n"
        f"predictor_type must be 'binary_classifier', {start} 'regressor'\n"
        f"use_bias {term}\n"
        f"use_linear {term}"
    )
    assert good.left == []
    good.hyperparameters(**{**GIVEN, "num_factors": 8})
    assert good.train().code == 2
    assert good.failure == f"HyperparameterError: num_factors must be 4, {start} 8"


def test_a_model_grows(good: Job, trained: bytes) -> None:
    """Its own features go on; the new ones begin as without a model, with the same seed."""
    still = {f"{term}_{what}": 0 for term in ("bias", "linear", "factors") for what in ("lr", "wd")}
    wide = {**GIVEN, "feature_dim": 130, "factors_init_sigma": 0.2, **still}
    good.hyperparameters(**wide)
    assert good.train().code == 0
    cold = artifact.read(good.model).parameters.copy()
    (good.base / "before").write_bytes(trained)
    before = artifact.read(good.base / "before").parameters
    with_model(good, {"model_algo-1": trained})
    good.hyperparameters(**wide, _grow="true")
    done = good.train()
    assert done.code == 0, done.stderr
    assert "Growing it to feature_dim 130: 100 features and new ones" in done.stdout
    after = artifact.read(good.model).parameters
    assert after.w0 == before.w0
    for name in ("w", "v"):
        got, old, new = (getattr(p, name) for p in (after, before, cold))
        np.testing.assert_array_equal(got, np.concatenate([old, new[100:]]))
    good.hyperparameters(**{**GIVEN, "feature_dim": 90}, _grow="true")
    assert good.train().code == 2
    assert good.failure == (
        "HyperparameterError: feature_dim must be 100 or more, as in the model that training "
        "starts from; got 90"
    )


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"x": b"x"}, "there is no model_algo-1 in {folder}; it holds x"),
        (
            {"model_algo-1": b"PK\3\4"},
            "{folder}/model_algo-1 is not a zip archive, or it is damaged: ",
        ),
        ({"model.tar.gz": b"\x1f\x8b"}, "{folder}/model.tar.gz is cut short at byte 2: "),
        ({"model.tar.gz": bomb()}, "{folder}/model.tar.gz: other: 8000000000000 bytes, more "),
        ({"\x1b[2J\n": b"x"}, r"there is no model_algo-1 in {folder}; it holds \x1b[2J\n"),
    ],
)
def test_a_model_that_is_none(good: Job, files: Mapping[str, bytes], reason: str) -> None:
    with_model(good, files)
    done = good.train()
    assert done.code == 2
    folder: Path = good.data / "model"
    assert good.failure is not None
    assert good.failure.startswith(f"ChannelError: channel 'model': {reason.format(folder=folder)}")


def test_serve_takes_a_model_that_is_still_packed(good: Job, trained: bytes) -> None:
    (good.model / "model.tar.gz").write_bytes(tarred(trained))
    with good.served() as endpoint:
        assert endpoint.ping().status_code == 200
        body = {"instances": [{"data": {"features": {"keys": [0, 50], "values": [1, 1]}}}]}
        packed = endpoint.invoke(body).json()
    (good.model / "model.tar.gz").unlink()
    (good.model / "model_algo-1").write_bytes(trained)
    with good.served() as endpoint:
        assert endpoint.invoke(body).json() == packed
