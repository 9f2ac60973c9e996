"""The engines, devices and early stopping that a job can ask for, in a real process."""

import json
import re
import zipfile

import pytest

from contract.conftest import GIVEN
from factorization_machines import artifact
from support.job import Job


def scores_of(output: str) -> list[float]:
    return [float(value) for value in re.findall(r"#test_score \S+ : \('\S+', (\S+)\)", output)]


def trained_by(job: Job) -> str:
    with zipfile.ZipFile(job.model / artifact.FILE_NAME) as archive:
        engine: str = json.loads(archive.read("meta.json"))["engine"]
        return engine


def test_both_engines_say_who_they_are_and_agree(good: Job) -> None:
    results = []
    for name, called in (("auto", "numba (1 thread)"), ("torch", "torch (cpu)")):
        good.hyperparameters(**GIVEN, _engine=name)
        done = good.train()
        assert done.code == 0, done.stderr
        assert f"Training with the engine {called}: 550 train, 130 test records" in done.stdout
        assert trained_by(good) == called
        results.append(scores_of(done.stdout))
    assert results[0] == pytest.approx(results[1], rel=1e-6)


def test_threads_do_not_change_the_model(good: Job) -> None:
    models = []
    for threads in (1, 2, 5):
        good.hyperparameters(**GIVEN, _num_threads=threads)
        assert good.train().code == 0
        models.append(artifact.read(good.model).parameters.v.tobytes())
        assert trained_by(good) == f"numba ({threads} thread{'s' * (threads > 1)})"
    assert models[0] == models[1] == models[2]


@pytest.mark.parametrize("optimizer", ["adagrad", "sgd"])
def test_an_optimizer_is_another_result(good: Job, optimizer: str) -> None:
    good.train()
    adam = artifact.read(good.model).parameters.v.tobytes()
    good.hyperparameters(**GIVEN, _optimizer=optimizer)
    assert good.train().code == 0
    assert artifact.read(good.model).parameters.v.tobytes() != adam


def test_a_shuffled_job_repeats_and_is_another_result(good: Job) -> None:
    found = []
    for given in ({}, {"_shuffle": "true"}, {"_shuffle": "true"}, {"_shuffle": "true", "_seed": 1}):
        good.hyperparameters(**{**GIVEN, "mini_batch_size": 50}, **given)
        assert good.train().code == 0
        found.append(artifact.read(good.model).parameters.v.tobytes())
    assert found[1] == found[2]
    assert len({*found}) == 3


def test_a_streamed_channel_cannot_be_shuffled(good: Job) -> None:
    good.configure("inputdataconfig", {"train": {"TrainingInputMode": "Pipe"}})
    good.hyperparameters(**GIVEN, _shuffle="true")
    assert good.train().code == 2
    assert good.failure == (
        "ChannelError: _shuffle needs the channel 'train' in memory, and it is streamed: raise "
        "_memory_budget_mb or the memory, use File mode, or leave _shuffle out"
    )


def test_early_stopping_needs_a_test_channel(good: Job) -> None:
    good.configure("inputdataconfig", {"train": {"TrainingInputMode": "File"}})
    good.hyperparameters(**GIVEN, _early_stopping_patience=3)
    assert good.train().code == 2
    assert good.failure == (
        "ChannelError: _early_stopping_patience needs the channel 'test'; the job has none"
    )


def test_early_stopping_leaves_the_best_epoch(good: Job) -> None:
    # Steps so large that it soon learns the training rows by heart.
    given = {**GIVEN, "epochs": 500, "factors_lr": 0.05, "linear_lr": 0.05, "num_factors": 8}
    good.hyperparameters(**given, _early_stopping_patience=4)
    done = good.train()
    assert done.code == 0, done.stderr
    pattern = r"epoch=\d+, test binary_classification_cross_entropy <loss>=(\S+)"
    losses = [float(value) for value in re.findall(pattern, done.stdout)]
    best = losses.index(min(losses))
    assert len(losses) == best + 1 + 4 < 500
    assert f"Early stopping: the model is that of epoch {best}" in done.stdout
    assert scores_of(done.stdout)[1] == min(losses)


def test_a_device_that_is_not_there(good: Job) -> None:
    good.hyperparameters(**GIVEN, _device="cuda")
    done = good.train(environment={"CUDA_VISIBLE_DEVICES": ""})
    assert done.code == 3
    assert good.failure == (
        "PlatformError: _device 'cuda': torch finds no CUDA device here; use 'cpu'"
    )
