"""Metrics over any number of batches compared with their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from factorization_machines.metrics import Classification, Regression, metrics_for
from factorization_machines.parameters import sigmoid

Float32 = NDArray[np.float32]


def classification(z: Float32, y: Float32) -> dict[str, float]:
    """Return the three metrics row by row, in Python floats."""
    predicted = [1 / (1 + math.exp(-a)) > 0.5 for a in z.tolist()]
    positive = [b == 1 for b in y.tolist()]
    loss = [
        math.log1p(math.exp(-abs(a))) + max(-a if p else a, 0)
        for a, p in zip(z.tolist(), positive, strict=True)
    ]
    hits = sum(p and q for p, q in zip(predicted, positive, strict=True))
    precision = hits / sum(predicted) if any(predicted) else 0.0
    recall = hits / sum(positive) if any(positive) else 0.0
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    right = sum(p == q for p, q in zip(predicted, positive, strict=True))
    return {
        "binary_classification_accuracy": right / len(z),
        "binary_classification_cross_entropy": sum(loss) / len(z),
        "binary_f_1.000": f1,
    }


def regression(z: Float32, y: Float32) -> dict[str, float]:
    errors = [a - b for a, b in zip(z.tolist(), y.tolist(), strict=True)]
    mse = sum(e * e for e in errors) / len(errors)
    absolute = sum(abs(e) for e in errors) / len(errors)
    return {"rmse": math.sqrt(mse), "mse": mse, "absolute_loss": absolute}


rows = st.lists(
    st.tuples(st.floats(-80, 80, width=32), st.sampled_from([0.0, 1.0])), min_size=1, max_size=30
)


@pytest.mark.parametrize("classifier", [True, False])
@given(rows=rows, cut=st.integers(0, 30))
def test_the_definitions(classifier: bool, rows: list[tuple[float, float]], cut: int) -> None:
    # Excluded: for tiny log-odds a float32 sigmoid is exactly 0.5.
    z = np.array([a if abs(a) > 1e-6 else 0.0 for a, _ in rows], np.float32)
    y = np.array([b for _, b in rows], np.float32)
    metrics = metrics_for(classifier)
    for piece in (slice(None, cut), slice(cut, None)):
        metrics.add(z[piece], y[piece])
    expected = (classification if classifier else regression)(z, y)
    assert list(metrics.scores()) == list(expected)
    assert metrics.scores() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert metrics.rows == len(rows)
    assert metrics.finite()


def test_sums_are_in_float64() -> None:
    # In float32 the sum would stop growing at 2**24.
    z = np.zeros(2**24 // 64, np.float32)
    metrics = Regression()
    for _ in range(65):
        metrics.add(z, np.ones_like(z))
    assert metrics.scores()["mse"] == 1.0


def test_a_score_of_exactly_one_half_is_no_positive() -> None:
    metrics = Classification()
    metrics.add(np.zeros(2, np.float32), np.array([0, 1], np.float32))
    assert metrics.scores()["binary_classification_accuracy"] == 0.5
    assert metrics.scores()["binary_f_1.000"] == 0.0


def test_f1_without_positives_is_zero() -> None:
    metrics = Classification()
    metrics.add(np.array([-1.0], np.float32), np.zeros(1, np.float32))
    assert metrics.scores()["binary_f_1.000"] == 0.0


def test_a_sure_and_wrong_score_has_a_finite_loss() -> None:
    metrics = Classification()
    metrics.add(np.array([1e4, -1e4], np.float32), np.array([0, 1], np.float32))
    assert metrics.scores()["binary_classification_cross_entropy"] == 1e4
    assert metrics.finite()


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("classifier", [True, False])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("label", [0, 1])
def test_a_loss_that_is_not_finite_is_detected(classifier: bool, bad: float, label: int) -> None:
    metrics = metrics_for(classifier)
    metrics.add(np.array([bad], np.float32), np.array([label], np.float32))
    assert not metrics.finite()


def test_sigmoid() -> None:
    z = np.array([-200, -1, 0, 1, 200], np.float32)
    assert sigmoid(z).dtype == np.float32
    np.testing.assert_allclose(
        sigmoid(z), [0, 0.2689414213699951, 0.5, 0.7310585786300049, 1], rtol=1e-6, atol=1e-45
    )
