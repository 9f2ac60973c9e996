"""Lab 2 by the lab command, and in the local mode of each real SDK: the scores are the same.

Every run has the lab's 100 epochs. The lab command runs on the local service. In local mode the
image is the one that SDK v1, v2 or v3 looks up, S3 is moto's, and no other host is reached.

v3's ModelBuilder with Mode.LOCAL_CONTAINER cannot serve an image of this machine:
LocalContainerMode.create_server always pulls from a registry, after an ECR login if the name is
ECR's, and supports the protocols of its own model servers only
(serve/mode/local_container_mode.py). lab2_v3.py therefore uses v3's local session, which creates
endpoints from an image.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from local_sagemaker.lab.printed import parse
from support import sdk

pytestmark = pytest.mark.sdk
needs_containers = pytest.mark.docker

ACCURACY, CROSS_ENTROPY, F1 = NAMES = (
    "binary_classification_accuracy",
    "binary_classification_cross_entropy",
    "binary_f_1.000",
)


def need(version: int, containers: bool = True) -> None:
    if reason := sdk.missing(version, containers):
        pytest.skip(reason)


def truth(ratings: Path) -> list[float]:
    """Return the labels of the ten rows that the lab predicts."""
    return (np.loadtxt(ratings / "ua.test", dtype=int)[1000:1010, 2] >= 4).astype(float).tolist()


def assert_ten(answer: Any) -> None:
    """Assert that an answer has the built-in's form, for ten rows."""
    assert list(answer) == ["predictions"]
    assert len(answer["predictions"]) == 10
    for one in answer["predictions"]:
        assert sorted(one) == ["predicted_label", "score"]
        assert 0 < one["score"] < 1
        assert one["predicted_label"] == float(one["score"] > 0.5)


@pytest.fixture(scope="module")
def expected(lab: Callable[[str], Any]) -> dict[str, float]:
    """Return the scores of the lab without a container, the reference for all other runs."""
    need(2, containers=False)
    scores: dict[str, float] = lab("process")["scores"]
    return scores


def test_the_lab_learns(expected):
    """The model beats the constant answer yes, which is right for 55 % of these ratings."""
    assert list(expected) == list(NAMES)
    assert expected[ACCURACY] > 0.65
    assert expected[CROSS_ENTROPY] < 0.65
    assert expected[F1] > 0.65


@pytest.mark.parametrize("backend", ["process", pytest.param("docker", marks=needs_containers)])
def test_the_lab_command(backend, lab, expected, ratings):
    need(2, containers=backend == "docker")
    found = lab(backend)
    assert found["backend"] == backend
    assert found["movielens"] is False
    assert found["scores"] == expected
    assert [len(values) for values in found["epochs"].values()] == [100, 100, 100]
    answered = [{k: v for k, v in one.items() if k != "truth"} for one in found["predictions"]]
    assert_ten({"predictions": answered})
    assert [one["truth"] for one in found["predictions"]] == truth(ratings)
    assert f"learning-curve-{backend}.png" in found["files"]


VERSIONS = pytest.mark.parametrize("version", [1, 2, 3])


@VERSIONS
@needs_containers
def test_the_same_scores(version, through, expected):
    run = through(version)
    assert run.code == 0, run.story
    log = parse(run.output.splitlines())
    assert log.test == expected
    assert [len(values) for values in log.epochs.values()] == [100, 100, 100]


@VERSIONS
@needs_containers
def test_ten_predictions(version, through, lab):
    need(2)
    answer = through(version).result["answer"]
    assert_ten(answer)
    scores = [one["score"] for one in answer["predictions"]]
    assert scores == [one["score"] for one in lab("process")["predictions"]]


@VERSIONS
@needs_containers
def test_no_other_host_and_nothing_left(version, through):
    run = through(version)
    assert run.other_hosts == ""
    assert run.litter == []
    assert run.running == []
    assert run.left == []


@VERSIONS
@needs_containers
def test_no_progress_bar_without_a_terminal(version, through):
    output = through(version).output
    assert "epoch/s" not in output
    assert "%|" not in output


@needs_containers
def test_scores_in_the_log_are_those_of_the_predictions(through):
    """All test rows are predicted by the SDK v2's endpoint."""
    run = through(2)
    truth = np.array(run.result["truth"])
    predictions = run.result["all"]["predictions"]
    score = np.array([one["score"] for one in predictions], np.float64)
    yes = np.array([one["predicted_label"] for one in predictions]) == 1
    assert len(truth) == len(predictions) == 9430
    hits = np.count_nonzero(yes & (truth == 1))
    logged = parse(run.output.splitlines()).test
    assert logged[ACCURACY] == np.mean(yes == truth)
    assert logged[F1] == pytest.approx(2 * hits / (yes.sum() + truth.sum()), rel=1e-9)
    cross_entropy = -np.mean(np.where(truth == 1, np.log(score), np.log1p(-score)))
    assert logged[CROSS_ENTROPY] == pytest.approx(cross_entropy, rel=1e-6)


@needs_containers
@VERSIONS
def test_the_image_is_the_one_that_the_sdk_looks_up(version, through):
    result = through(version).result
    assert result.get("image", result.get("looked_up")) in sdk.IMAGES
