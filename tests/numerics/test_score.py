"""One score, computed in four ways: over all pairs, in numpy, in torch, and as it is served."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, vstack

from factorization_machines import scoring as scoring
from factorization_machines.module import Batch, FactorizationMachine
from factorization_machines.parameters import Parameters, score
from support import fm
from support.engines import ENGINES
from support.rows import instances
from support.scoring import predictor

CASES = {
    "common": (fm.rows(1, 20, 9), fm.parameters(2, 9, 4)),
    "one feature": (fm.rows(3, 6, 1, density=1.0), fm.parameters(4, 1, 3)),
    "one factor": (fm.rows(5, 12, 7), fm.parameters(6, 7, 1)),
    "dense": (fm.rows(7, 10, 12, density=1.0), fm.parameters(8, 12, 5)),
    "one row": (fm.rows(9, 1, 5), fm.parameters(10, 5, 2)),
    "only empty rows": (fm.rows(11, 4, 5, density=0.0), fm.parameters(12, 5, 2)),
    "large values": (fm.rows(13, 15, 8, scale=1e6), fm.parameters(14, 8, 3)),
    "large parameters": (fm.rows(15, 15, 8), fm.parameters(16, 8, 3, scale=1e4)),
    "one-hot": (
        (csr_array(np.eye(30, dtype=np.float32)[:, :].repeat(2, axis=0)), None),
        fm.parameters(17, 30, 8),
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[csr_array, Parameters, np.ndarray]:
    (x, _), parameters = CASES[request.param]
    return x, parameters, fm.score_of_pairs(x, parameters)


def assert_close(got: np.ndarray, expected: np.ndarray) -> None:
    assert got.dtype == np.float32
    assert got.shape == expected.shape
    # Of the largest score: where terms of that size cancel, float32 keeps no more.
    tolerance = 3e-6 * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=tolerance)


def test_reference(case: tuple[csr_array, Parameters, np.ndarray]) -> None:
    x, parameters, expected = case
    assert_close(score(x, parameters), expected)


def test_torch(case: tuple[csr_array, Parameters, np.ndarray]) -> None:
    x, parameters, expected = case
    model = FactorizationMachine(parameters)
    assert_close(model(Batch.of(x, 0, x.shape[0])).detach().numpy(), expected)
    config = fm.config(x.shape[1], parameters.num_factors)
    y = np.zeros(x.shape[0], np.float32)
    for kind in ENGINES.values():
        assert_close(kind(parameters, config, x, y).engine.score(x), expected)


def test_a_part_of_the_rows(case: tuple[csr_array, Parameters, np.ndarray]) -> None:
    x, parameters, expected = case
    start = x.shape[0] // 2
    model = FactorizationMachine(parameters)
    got = model(Batch.of(x, start, x.shape[0])).detach().numpy()
    assert_close(got, expected[start:])


@pytest.mark.parametrize("classifier", [True, False])
def test_served(case: tuple[csr_array, Parameters, np.ndarray], classifier: bool) -> None:
    x, parameters, expected = case
    kind = "binary_classifier" if classifier else "regressor"
    scores, labels = predictor(parameters, kind).predict(instances(x))
    if not classifier:
        assert labels is None
        assert_close(scores, expected)
        return
    assert labels is not None
    z = score(x, parameters).astype(np.float64)
    with np.errstate(over="ignore"):
        probability = 1 / (1 + np.exp(-z))
    clear = np.abs(z) < 10 if np.abs(z).max() < 1e3 else np.abs(z) > 1e5
    np.testing.assert_allclose(scores[clear], probability[clear], rtol=1e-4, atol=1e-30)
    assert labels.tolist() == [float(score > 0.5) for score in scores]


def ragged(seed: int, d: int, sizes: list[int]) -> csr_array:
    """Return rows of the given numbers of non-zeros, half of them one-hot."""
    random = np.random.default_rng(seed)
    keys = [np.sort(random.choice(d, size, replace=False)) for size in sizes]
    values = random.standard_normal(sum(sizes), np.float32)
    values[: values.size // 2] = 1
    x = csr_array((values, np.concatenate(keys), np.cumsum([0, *sizes])), (len(sizes), d))
    x.indptr = x.indptr.astype(np.int64)
    return x


def terms(x: csr_array, p: Parameters) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores in float64, and the size of what is added up in them."""
    w0, w, v = (array.astype(np.float64) for array in (p.w0, p.w, p.v))
    wide = x.astype(np.float64)
    s, squares = wide @ v, (wide * wide) @ (v * v)
    z = w0 + wide @ w + 0.5 * (s * s - squares).sum(axis=1)
    return z, np.abs(w0) + np.abs(wide) @ np.abs(w) + 0.5 * (s * s + squares).sum(axis=1)


@pytest.mark.parametrize("block", [1, 64, 2048])
@pytest.mark.parametrize("k", [1, 8, 64])
def test_served_as_trained(k: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """To 1e-6 of what is added up, in batches of any size and with rows of any length."""
    monkeypatch.setattr(scoring, "_BLOCK", block)
    d = 3000
    sizes = [*np.random.default_rng(k).integers(0, 40, 200).tolist(), 0, 1, 2, 3, 5, 13, 0]
    long = [3000, 2049, 500]
    x, parameters = ragged(k, d, [*sizes, *long]), fm.parameters(k, d, k, scale=0.05)
    served = predictor(parameters, "regressor")
    z, _ = served.predict(instances(x))
    exact, size = terms(x, parameters)
    assert (np.abs(z - exact) < 1e-6 * size).all()
    # The engines add up long rows one by one in float32, and are further off there than this.
    y, short = np.zeros(x.shape[0], np.float32), len(sizes)
    for kind in ENGINES.values():
        trained = kind(parameters, fm.config(d, k), x, y).engine.score(x)
        assert (np.abs(z - trained)[:short] < 1e-6 * np.maximum(size, 1)[:short]).all()
    for some in (slice(0, 1), slice(3, 10), slice(200, 210)):
        np.testing.assert_array_equal(served.predict(instances(x[some]))[0], z[some])


def test_rows_of_two_lengths_with_as_many_non_zeros_as_one_filled_up() -> None:
    x, parameters = ragged(1, 9, [1, 5]), fm.parameters(2, 9, 3)
    z, _ = predictor(parameters, "regressor").predict(instances(x))
    assert_close(z, fm.score_of_pairs(x, parameters))


def test_more_rows_than_one_batch_of_scoring() -> None:
    (x, _), parameters = CASES["common"]
    many = csr_array(vstack([x] * 900))
    assert many.shape[0] > 2 * 8192
    expected = np.tile(fm.score_of_pairs(x, parameters), 900)
    y = np.zeros(many.shape[0], np.float32)
    for kind in ENGINES.values():
        trained = kind(parameters, fm.config(9, 4), many, y)
        assert_close(trained.engine.score(many), expected)


def test_the_model_shares_the_memory_of_the_parameters() -> None:
    parameters = fm.parameters(0, 4, 2)
    model = FactorizationMachine(parameters)
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.fill_(7)
    assert all((array == 7).all() for array in (parameters.w0, parameters.w, parameters.v))


@pytest.mark.parametrize("classifier", [True, False])
def test_the_gradient_is_the_closed_form(classifier: bool) -> None:
    """Rendle, section 3.3: dz/dv_if = x_i * sum_j v_jf x_j - v_if * x_i^2, in float64."""
    x, y = fm.rows(20, 15, 8)
    parameters = fm.parameters(21, 8, 3, scale=0.5)
    model = FactorizationMachine(parameters).double()
    batch = Batch.of(x, 3, 13)
    batch = Batch(batch.columns, batch.local, batch.offsets, batch.values.double())
    z = model(batch)
    target = torch.from_numpy(y[3:13]).double()
    if classifier:
        torch.nn.functional.binary_cross_entropy_with_logits(z, target, reduction="sum").backward()
    else:
        (0.5 * ((z - target) ** 2).sum()).backward()

    dense = x.toarray()[3:13].astype(np.float64)
    v = parameters.v.astype(np.float64)
    scores = fm.score_of_pairs(x[3:13], parameters)
    dz = (1 / (1 + np.exp(-scores)) if classifier else scores) - y[3:13]
    sums = dense @ v
    expected_v = sum(
        dz[r] * (np.outer(dense[r], sums[r]) - v * (dense[r] ** 2)[:, None]) for r in range(10)
    )
    np.testing.assert_allclose(model.w0.grad, [dz.sum()], rtol=1e-12)
    for gradient, expected in (
        (model.w.grad, (dense.T @ dz)[:, None]),
        (model.v.grad, expected_v),
    ):
        assert gradient is not None and gradient.is_sparse
        np.testing.assert_allclose(gradient.to_dense(), expected, rtol=1e-9, atol=1e-12)
        used = set(x[3:13].indices.tolist())
        assert set(gradient.coalesce().indices()[0].tolist()) == used
