"""The training steps against the rules of the built-in, written once more in float64 numpy."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from fm_container import artifact
from fm_container.algorithm import reference
from fm_container.algorithm.fit import Epoch, batches, fit
from fm_container.algorithm.metrics import Metrics
from fm_container.algorithm.parameters import Parameters, initial
from fm_container.algorithm.settings import Settings, Term
from fm_container.algorithm.torch_engine import TorchEngine
from fm_container.errors import DivergedError
from support import fm

D, K, N = 12, 3, 43


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Watch:
    """Keeps what an observer is told."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, int]] = []
        self.epochs: list[Epoch] = []

    def batch(self, epoch: int, batch: int, metrics: Metrics) -> None:
        self.batches.append((epoch, batch))

    def epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)


class LazyAdam:
    """The rules, feature by feature in float64: `m` and `v` are the moments of each parameter."""

    def __init__(self, start: Parameters, settings: Settings):
        self.settings = settings
        self.p = {
            "bias": start.w0.astype(np.float64),
            "linear": start.w.astype(np.float64),
            "factors": start.v.astype(np.float64),
        }
        self.m = {name: np.zeros_like(array) for name, array in self.p.items()}
        self.v = {name: np.zeros_like(array) for name, array in self.p.items()}
        self.t = 0

    def scores(self, x: Any) -> Any:
        s = x @ self.p["factors"]
        pairs = (s**2 - x**2 @ self.p["factors"] ** 2).sum(axis=1)
        return self.p["bias"][0] + x @ self.p["linear"] + 0.5 * pairs

    def step(self, x: Any, y: Any) -> Any:
        settings = self.settings
        z = self.scores(x)
        dz = (1 / (1 + np.exp(-z)) if settings.classifier else z) - y
        factor = settings.rescale_grad
        if factor is None:
            factor = 1 / min(settings.mini_batch_size, len(y))
        self.t += 1
        sums = x @ self.p["factors"]
        touched = np.flatnonzero((x != 0).any(axis=0))
        gradient = {"linear": x.T @ dz, "factors": np.zeros_like(self.p["factors"])}
        for r in range(len(y)):
            own = self.p["factors"] * (x[r] ** 2)[:, None]
            gradient["factors"] += dz[r] * (np.outer(x[r], sums[r]) - own)
        if settings.use_bias:
            self.update("bias", 0, np.array(dz.sum()) * factor)
        for i in touched:
            if settings.use_linear:
                self.update("linear", i, gradient["linear"][i] * factor)
            self.update("factors", i, gradient["factors"][i] * factor)
        return z

    def update(self, name: str, i: int, g: Any) -> None:
        term: Term = getattr(self.settings, name)
        p, m, v = self.p[name], self.m[name], self.v[name]
        if self.settings.clip_gradient is not None:
            g = np.clip(g, -self.settings.clip_gradient, self.settings.clip_gradient)
        g = g + term.wd * p[i]
        m[i] = 0.9 * m[i] + 0.1 * g
        v[i] = 0.999 * v[i] + 0.001 * g**2
        size = term.lr * np.sqrt(1 - 0.999**self.t) / (1 - 0.9**self.t)
        p[i] = p[i] - size * m[i] / (np.sqrt(v[i]) + self.settings.eps)


CHANGES: dict[str, dict[str, Any]] = {
    "classifier": {},
    "regressor": {"classifier": False},
    "clipped": {"clip_gradient": 0.01},
    "rescaled": {"rescale_grad": 0.5},
    "rescaled and clipped": {"rescale_grad": 0.7, "clip_gradient": 0.05, "classifier": False},
    "large eps": {"eps": 0.1},
    "without bias": {"use_bias": False},
    "without linear": {"use_linear": False},
    "without both": {"use_bias": False, "use_linear": False, "classifier": False},
    "without decay": {
        "bias": Term(0.1, 0.0), "linear": Term(0.03, 0.0), "factors": Term(0.02, 0.0)
    },
    "large decay": {"bias": Term(0.1, 2.0), "linear": Term(0.1, 2.0), "factors": Term(0.1, 2.0)},
    "one batch": {"mini_batch_size": 1000},
    "a row at a time": {"mini_batch_size": 1},
    "no overlap": {"mini_batch_size": 43},
    "many steps": {"epochs": 20},
}  # fmt: skip


def ours(settings: Settings, x: csr_array, y: Any) -> tuple[Parameters, TorchEngine, Watch]:
    parameters = initial(settings)
    engine, watch = TorchEngine(parameters, settings), Watch()
    assert fit(engine, parameters, x, y, settings, watch)
    return parameters, engine, watch


@pytest.mark.parametrize("change", CHANGES)
def test_the_steps_are_those_of_the_rules(change: str) -> None:
    settings = fm.settings(D, K, **CHANGES[change])
    x, y = fm.rows(1, N, D)
    parameters, engine, watch = ours(settings, x, y)

    dense = x.toarray().astype(np.float64)
    rules = LazyAdam(initial(settings), settings)
    size = settings.mini_batch_size
    starts = [s for s in range(0, N, size) if s + size <= N] or [0]
    if N > size and N % size:
        starts.append(N - size)  # the last batch is the last rows, whole
    scores = []
    for _ in range(settings.epochs):
        scores = [rules.step(dense[s : s + size], y[s : s + size]) for s in starts]

    # The sign of a gradient that is nearly zero is noise, and Adam's first steps follow it.
    for name, got in (("bias", parameters.w0), ("linear", parameters.w), ("factors", parameters.v)):
        np.testing.assert_allclose(got, rules.p[name], rtol=2e-3, atol=2e-4, err_msg=name)
    state = {
        "bias": engine._optimizer.state[engine.model.w0],
        "linear": engine._optimizer.state[engine.model.w],
        "factors": engine._optimizer.state[engine.model.v],
    }
    for name, kept in state.items():
        if not kept:
            assert not getattr(settings, f"use_{name}")
            continue
        for moment in ("m", "v"):
            expected = getattr(rules, moment)[name]
            got = kept[moment].numpy().reshape(expected.shape)
            np.testing.assert_allclose(got, expected, rtol=5e-3, atol=1e-5, err_msg=name)
    last = watch.epochs[-1]
    z = np.concatenate(scores)
    labels = np.concatenate([y[s : s + size] for s in starts])
    assert last.records == z.size and last.batches == len(starts)
    if settings.classifier:
        loss = np.mean(np.log1p(np.exp(-np.abs(z))) + np.maximum(z, 0) - z * labels)
        assert last.scores["binary_classification_cross_entropy"] == pytest.approx(loss, rel=2e-3)
    else:
        assert last.scores["mse"] == pytest.approx(np.mean((z - labels) ** 2), rel=2e-3)


def test_one_step_to_the_last_digits() -> None:
    """A single step from known values, worked out by hand: one row, two features."""
    parameters = Parameters(
        np.array([0.5], np.float32),
        np.array([1.0, -1.0, 2.0], np.float32),
        np.array([[0.5], [2.0], [3.0]], np.float32),
    )
    settings = fm.settings(3, 1, classifier=False, mini_batch_size=1)
    x = csr_array(np.array([[2.0, 1.0, 0.0]], np.float32))
    engine = TorchEngine(parameters, settings)
    z = engine.step(x, np.array([1.0], np.float32), 0, 1)
    # z = 0.5 + (2 - 1) + 0.5 * 2 * 2 * 1 = 3.5; dz = 2.5. In a first step m/sqrt(v) is the
    # gradient's sign, so each parameter moves by its learning rate against it.
    assert z.tolist() == [3.5]
    np.testing.assert_allclose(parameters.w0, [0.5 - 0.1], rtol=1e-6)
    np.testing.assert_allclose(parameters.w, [1.0 - 0.03, -1.0 - 0.03, 2.0], rtol=1e-6)
    np.testing.assert_allclose(parameters.v[:, 0], [0.5 - 0.02, 2.0 - 0.02, 3.0], rtol=1e-6)
    # The moments are exact: g = dz * dz/dp + wd * p.
    state = engine._optimizer.state
    for tensor, gradients in (
        (engine.model.w0, [2.5 + 0.01 * 0.5]),
        (engine.model.w, [2.5 * 2 + 0.02 * 1.0, 2.5 - 0.02, 0.0]),
        (engine.model.v, [2.5 * 2 * 2 + 0.03 * 0.5, 2.5 * 2 * 0.5 + 0.03 * 2.0, 0.0]),
    ):
        g = np.array(gradients)
        np.testing.assert_allclose(state[tensor]["m"].numpy().ravel(), 0.1 * g, rtol=1e-5)
        np.testing.assert_allclose(state[tensor]["v"].numpy().ravel(), 0.001 * g * g, rtol=1e-5)


@pytest.mark.parametrize("classifier", [True, False])
def test_rows_of_features_that_do_not_occur_keep_their_bits(classifier: bool) -> None:
    settings = fm.settings(D, K, classifier=classifier)
    x, y = fm.rows(2, N, D)
    seen, later = [0, 2, 3, 7, 11], [1, 4, 5]
    dense = x.toarray()
    dense[:, [i for i in range(D) if i not in seen + later]] = 0
    dense[:20, later] = 0
    dense[20:, seen] = 0
    x = csr_array(dense)
    parameters = initial(settings)
    before = initial(settings)
    engine = TorchEngine(parameters, settings)
    for start in range(0, 16, 8):
        engine.step(x, y, start, start + 8)
    never = [i for i in range(D) if i not in seen]
    for got, old in ((parameters.w, before.w), (parameters.v, before.v)):
        assert got[never].tobytes() == old[never].tobytes()
        assert (got[seen] != old[seen]).all()
    # Features of the first batches do not move, and their moments do not decay, in those after.
    state = [engine._optimizer.state[tensor] for tensor in (engine.model.w, engine.model.v)]
    kept = [parameters.w[seen].tobytes(), parameters.v[seen].tobytes()]
    kept += [moments[name][seen].numpy().tobytes() for moments in state for name in "mv"]
    for start in range(20, 36, 8):
        engine.step(x, y, start, start + 8)
    now = [parameters.w[seen].tobytes(), parameters.v[seen].tobytes()]
    now += [moments[name][seen].numpy().tobytes() for moments in state for name in "mv"]
    assert now == kept
    assert (parameters.w[later] != before.w[later]).all()


@pytest.mark.parametrize("size", [1, 5])
def test_a_batch_of_empty_rows_moves_the_bias_alone(size: int) -> None:
    settings = fm.settings(D, K, mini_batch_size=size)
    x = csr_array((size, D), dtype=np.float32)
    parameters, before = initial(settings), initial(settings)
    z = TorchEngine(parameters, settings).step(x, np.ones(size, np.float32), 0, size)
    assert z.tolist() == [before.w0[0]] * size
    assert parameters.w0[0] > before.w0[0]
    assert parameters.w.tobytes() == before.w.tobytes()
    assert parameters.v.tobytes() == before.v.tobytes()


@pytest.mark.parametrize(
    ("rows", "size", "expected"),
    [
        (1, 1, [(0, 1)]),
        (3, 10, [(0, 3)]),
        (10, 10, [(0, 10)]),
        (11, 10, [(0, 10), (1, 11)]),
        (20, 10, [(0, 10), (10, 20)]),
        (25, 10, [(0, 10), (10, 20), (15, 25)]),
        (3, 1, [(0, 1), (1, 2), (2, 3)]),
        (3, 10**39, [(0, 3)]),
    ],
)
def test_batches(rows: int, size: int, expected: list[tuple[int, int]]) -> None:
    assert batches(rows, size) == expected


def test_batches_of_the_evidence() -> None:
    # The service's accuracies of 90,570 rows have 90,600 as denominator.
    assert sum(stop - start for start, stop in batches(90570, 200)) == 90600


def centred(table: np.ndarray) -> np.ndarray:
    table = table - table.mean(axis=0)
    return table - table.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("classifier", [True, False])
def test_a_planted_machine_is_found(classifier: bool) -> None:
    """Train on what a known machine says, and test on pairs that training has not seen."""
    random = np.random.default_rng(5)
    users, items = 60, 50
    planted = fm.parameters(6, users + items, 2)
    every = np.array([(u, users + i) for u in range(users) for i in range(items)])
    random.shuffle(every)
    x = csr_array(
        (np.ones(every.size, np.float32), every.ravel(), np.arange(len(every) + 1) * 2),
        shape=(len(every), users + items),
    )
    z = reference.score(x, planted)
    y = ((z > 0) if classifier else z).astype(np.float32)
    cut = 2500
    term = Term(lr=0.05, wd=1e-4, init_sigma=0.1)
    settings = Settings(
        users + items, 2, classifier, term, term, term, epochs=40, mini_batch_size=100
    )
    parameters, engine, watch = ours(settings, x[:cut], y[:cut])
    got = engine.score(x[cut:])
    if classifier:
        assert np.mean((got > 0) == (y[cut:] > 0)) > 0.93
    else:
        assert np.sqrt(np.mean((got - y[cut:]) ** 2)) < 0.1 * y.std()
        # Of the inner products, what the linear terms could not have taken over as well.
        found, known = (
            pairs - pairs.mean(axis=0) - pairs.mean(axis=1, keepdims=True) + pairs.mean()
            for pairs in (p.v[:users] @ p.v[users:].T for p in (parameters, planted))
        )
        assert np.corrcoef(found.ravel(), known.ravel())[0, 1] > 0.98


def test_the_same_seed_is_the_same_bytes(tmp_path: Path) -> None:
    x, y = fm.rows(1, N, D)

    def content(seed: int) -> bytes:
        parameters, _, _ = ours(fm.settings(D, K, seed=seed), x, y)
        model = artifact.Model(parameters, {"predictor_type": "binary_classifier"})
        return artifact.write(tmp_path, model).read_bytes()

    assert content(1) == content(1)
    assert content(1) != content(2)


def test_observers_are_told_in_order() -> None:
    settings = fm.settings(D, K, epochs=2, mini_batch_size=20)
    _, _, watch = ours(settings, *fm.rows(1, N, D))
    assert watch.batches == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert [epoch.number for epoch in watch.epochs] == [0, 1]
    for epoch in watch.epochs:
        assert (epoch.batches, epoch.records, len(epoch.step_seconds)) == (3, 60, 3)
        assert epoch.started <= epoch.ended


def test_a_stop_ends_after_the_batch() -> None:
    settings = fm.settings(D, K, epochs=3)
    x, y = fm.rows(1, N, D)
    parameters, rest = initial(settings), initial(settings)
    watch, asked = Watch(), iter([False] * 7 + [True])
    engine = TorchEngine(parameters, settings)
    assert not fit(engine, parameters, x, y, settings, watch, lambda: next(asked))
    assert watch.batches == [(0, i) for i in range(6)] + [(1, 0), (1, 1)]
    assert len(watch.epochs) == 1
    # What it leaves are the parameters of exactly these steps.
    other = TorchEngine(rest, settings)
    for start, stop in [*batches(N, 8), (0, 8), (8, 16)]:
        other.step(x, y, start, stop)
    assert parameters.v.tobytes() == rest.v.tobytes()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_is_not_finite_says_where() -> None:
    settings = fm.settings(D, K, classifier=False, epochs=3)
    x, y = fm.rows(1, N, D)
    parameters = initial(settings)
    engine = TorchEngine(parameters, settings)
    y[17] = np.float32(1e38)
    x = csr_array(x.toarray())
    x.data[x.indptr[25]] = np.float32(3e38)
    with pytest.raises(DivergedError) as caught:
        fit(engine, parameters, x, y, settings, Watch())
    assert str(caught.value) == (
        "training diverged: the loss is not finite in batch 3 of epoch 0. Lower bias_lr, "
        "linear_lr or factors_lr, set clip_gradient, or scale the features and labels"
    )


def test_a_parameter_that_is_not_finite_at_the_end_of_an_epoch() -> None:
    settings = fm.settings(D, K, epochs=3)
    settings = replace(settings, linear=Term(lr=3e38, wd=0.0))
    x = csr_array(np.eye(1, D, dtype=np.float32))
    parameters = initial(settings)
    parameters.w[0] = -1e38
    parameters.w[5] = np.inf  # of a feature that no row has: no loss can tell
    with pytest.raises(DivergedError, match="a parameter is not finite at the end of epoch 0"):
        fit(TorchEngine(parameters, settings), parameters, x, np.ones(1, np.float32), settings,
            Watch())  # fmt: skip
