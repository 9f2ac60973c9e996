"""The empty rows that fill up the last batch of an epoch, and the order of decay and clip."""

import math
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array, vstack

from factorization_machines.config import Term
from factorization_machines.initialization import initial_parameters
from factorization_machines.metrics import Metrics, metrics_for
from factorization_machines.optimizers import OPTIMIZERS
from factorization_machines.parameters import Parameters
from factorization_machines.trainer import Callback, Trainer
from support import fm
from support.engines import ENGINES

D, K, N = 12, 5, 43
every_engine = pytest.mark.parametrize("kind", ENGINES)
# 1 - beta is computed in float32, so a first step is slightly larger than the learning rate.
FIRST = 0.10000002384185791 / 0.1 * math.sqrt(0.001) / (math.sqrt(0.00099998712539672852) + 1e-8)


class Sums(Callback):
    """Records the metrics of each published batch and of each epoch."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.epochs: list[dict[str, float]] = []

    def on_batch_end(self, epoch: int, batch: int, metrics: Metrics) -> None:
        self.batches.append([metrics.rows, *metrics.sums.tolist()])

    def on_epoch_end(self, epoch: Any) -> None:
        self.epochs.append(dict(epoch.scores))


@every_engine
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("classifier", [True, False])
@pytest.mark.parametrize(
    ("size", "changes"),
    [
        (8, {}),
        (200, {}),
        (16, {"rescale_grad": 0.3}),
        (16, {"clip_gradient": 0.02}),
        (16, {"use_bias": False}),
    ],
)
def test_the_closed_form_agrees_with_real_empty_rows(
    kind: str, optimizer: str, classifier: bool, size: int, changes: dict[str, Any]
) -> None:
    config = fm.config(
        D, K, classifier=classifier, optimizer=optimizer, mini_batch_size=size, epochs=3,
        publish_interval=1, **changes,
    )  # fmt: skip
    x, y = fm.rows(1, N, D)
    if not classifier:
        y = y * 3 - 1
    missing = -N % size
    padded = csr_array(vstack([x, csr_array((missing, D), dtype=np.float32)]))
    results = []
    for rows, labels in ((x, y), (padded, np.append(y, np.zeros(missing, np.float32)))):
        parameters, sums = initial_parameters(config), Sums()
        engine = ENGINES[kind](parameters, config, rows, labels).engine
        Trainer(engine, config, [sums]).fit(len(labels))
        results.append((parameters, sums))
    (ours, ours_sums), (real, real_sums) = results
    np.testing.assert_allclose(ours_sums.batches, real_sums.batches, rtol=2e-5, atol=1e-5)
    for name in ours_sums.epochs[-1]:
        expected = real_sums.epochs[-1][name]
        assert ours_sums.epochs[-1][name] == pytest.approx(expected, rel=2e-5)
    for a, b in ((ours.w0, real.w0), (ours.w, real.w), (ours.v, real.v)):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6)


@every_engine
@pytest.mark.parametrize("classifier", [True, False])
def test_one_row_and_three_empty_ones_by_hand(kind: str, classifier: bool) -> None:
    parameters = Parameters(
        np.array([0.5], np.float32), np.array([1.0], np.float32), np.array([[2.0]], np.float32)
    )
    config = fm.config(
        1, 1, classifier=classifier, mini_batch_size=4, optimizer="sgd",
        bias=Term(0.1, 0.0), linear=Term(0.1, 0.0), factors=Term(0.1, 0.0),
    )  # fmt: skip
    x = csr_array(np.array([[1.0]], np.float32))
    trained = ENGINES[kind](parameters, config, x, np.ones(1, np.float32))
    metrics = metrics_for(classifier)
    assert trained.engine.run(np.array([[0, 1]]), metrics) == 1
    assert metrics.rows == 4
    # The row's score is 1.5, and an empty row's is 0.5; labels 1 and 0.
    if classifier:
        row, empty = 1 / (1 + math.exp(-1.5)), 1 / (1 + math.exp(-0.5))
        gradient = row - 1
        scores = metrics.scores()
        loss = -math.log(row) - 3 * math.log(1 - empty)
        assert scores["binary_classification_cross_entropy"] == pytest.approx(loss / 4, rel=1e-6)
        assert scores["binary_classification_accuracy"] == 0.25
        assert scores["binary_f_1.000"] == pytest.approx(2 * 1 / (4 + 1))
    else:
        empty, gradient = 0.5, 0.5
        assert metrics.scores()["mse"] == pytest.approx((0.25 + 3 * 0.25) / 4)
        assert metrics.scores()["absolute_loss"] == pytest.approx((0.5 + 3 * 0.5) / 4)
    expected = 0.5 - 0.1 * (gradient + 3 * empty) / 4
    np.testing.assert_allclose(parameters.w0, [expected], rtol=1e-6)
    np.testing.assert_allclose(parameters.w, [1 - 0.1 * gradient / 4], rtol=1e-6)
    assert parameters.v[0, 0] == 2  # one feature has no pair


@every_engine
def test_decay_is_clipped_too_by_hand(kind: str) -> None:
    """g = clip(gradient + wd * p): the decay alone is larger than the clip."""
    parameters = Parameters(
        np.array([3.0], np.float32),
        np.array([1.0, -2.0], np.float32),
        np.array([[0.5], [4.0]], np.float32),
    )
    config = fm.config(
        2, 1, classifier=False, mini_batch_size=1, optimizer="sgd", clip_gradient=0.25,
        bias=Term(1.0, 1.0), linear=Term(1.0, 1.0), factors=Term(1.0, 1.0),
    )  # fmt: skip
    x = csr_array(np.array([[1.0, 1.0]], np.float32))
    # z = 3 + (1 - 2) + 0.5 * 4 = 4; with the label 3.9 the loss gradient is 0.1.
    trained = ENGINES[kind](parameters, config, x, np.array([3.9], np.float32))
    trained.engine.run(np.array([[0, 1]]), metrics_for(False))
    # 0.1 + 3; 0.1 + 1 and 0.1 - 2; 0.1 * 4 + 0.5 and 0.1 * 0.5 + 4: all beyond 0.25.
    np.testing.assert_allclose(parameters.w0, [2.75], rtol=1e-6)
    np.testing.assert_allclose(parameters.w, [0.75, -1.75], rtol=1e-6)
    np.testing.assert_allclose(parameters.v[:, 0], [0.25, 3.75], rtol=1e-6)


@every_engine
def test_a_clip_that_is_wider_changes_nothing(kind: str) -> None:
    x, y = fm.rows(1, N, D)
    results = []
    for clip in (None, 1e6):
        config = fm.config(D, K, clip_gradient=clip)
        parameters = initial_parameters(config)
        engine = ENGINES[kind](parameters, config, x, y).engine
        Trainer(engine, config).fit(N)
        results.append(parameters)
    np.testing.assert_allclose(results[0].v, results[1].v, rtol=1e-5, atol=1e-7)


@every_engine
def test_adams_constants_are_computed_in_float32(kind: str) -> None:
    parameters = Parameters(
        np.zeros(1, np.float32), np.zeros(1, np.float32), np.zeros((1, 1), np.float32)
    )
    config = fm.config(1, 1, classifier=False, mini_batch_size=1, bias=Term(1.0, 0.0))
    x = csr_array(np.array([[1.0]], np.float32))
    trained = ENGINES[kind](parameters, config, x, np.array([1.0], np.float32))
    trained.engine.run(np.array([[0, 1]]), metrics_for(False))
    # The gradient is -1: the moments are the constants. The step is not exactly the rate.
    assert trained.state("bias", "m")[0] == np.float32(-0.100000024)
    assert trained.state("bias", "s")[0] == np.float32(0.00099998713)
    assert parameters.w0[0] == pytest.approx(FIRST, rel=2e-7)
