"""Training steps compared with the rules of the built-in in float64 NumPy."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from factorization_machines import artifact
from factorization_machines.batching import batch_bounds
from factorization_machines.config import Term, TrainingConfig
from factorization_machines.errors import AlgorithmError, DivergedError
from factorization_machines.initialization import initial_parameters
from factorization_machines.kernels.losses import exponential
from factorization_machines.kernels.step import pieces
from factorization_machines.metrics import (
    CROSS_ENTROPY,
    Metrics,
    Regression,
    metrics_for,
)
from factorization_machines.optimizers import OPTIMIZERS
from factorization_machines.parameters import Parameters, score
from factorization_machines.trainer import Callback, Epoch, Outcome, Trainer
from support import fm
from support.engines import ENGINES, Trained, numba_engine

D, K, N = 12, 3, 43


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Watch(Callback):
    """Records the calls."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, int]] = []
        self.epochs: list[Epoch] = []

    def on_batch_end(self, epoch: int, batch: int, metrics: Metrics) -> None:
        self.batches.append((epoch, batch))

    def on_epoch_end(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)


class Rules:
    """The rules, feature by feature in float64: `m` and `s` are the state of each parameter."""

    def __init__(self, start: Parameters, config: TrainingConfig):
        self.config = config
        self.p = {
            "bias": start.w0.astype(np.float64),
            "linear": start.w.astype(np.float64),
            "factors": start.v.astype(np.float64),
        }
        self.m = {name: np.zeros_like(array) for name, array in self.p.items()}
        self.s = {name: np.zeros_like(array) for name, array in self.p.items()}
        self.t = 0

    def scores(self, x: Any) -> Any:
        s = x @ self.p["factors"]
        pairs = (s**2 - x**2 @ self.p["factors"] ** 2).sum(axis=1)
        return self.p["bias"][0] + x @ self.p["linear"] + 0.5 * pairs

    def step(self, x: Any, y: Any, weights: Any = 1.0) -> Any:
        config = self.config
        z = self.scores(x)
        dz = ((1 / (1 + np.exp(-z)) if config.classifier else z) - y) * weights
        factor = config.rescale_grad
        if factor is None:
            factor = 1 / config.mini_batch_size
        self.t += 1
        sums = x @ self.p["factors"]
        touched = np.flatnonzero((x != 0).any(axis=0))
        gradient = {"linear": x.T @ dz, "factors": np.zeros_like(self.p["factors"])}
        for r in range(len(y)):
            own = self.p["factors"] * (x[r] ** 2)[:, None]
            gradient["factors"] += dz[r] * (np.outer(x[r], sums[r]) - own)
        if config.use_bias:
            self.update("bias", 0, np.array(dz.sum()) * factor)
        for i in touched:
            if config.use_linear:
                self.update("linear", i, gradient["linear"][i] * factor)
            self.update("factors", i, gradient["factors"][i] * factor)
        return z

    def update(self, name: str, i: int, g: Any) -> None:
        term: Term = getattr(self.config, name)
        p, m, s = self.p[name], self.m[name], self.s[name]
        g = g + term.wd * p[i]
        if self.config.clip_gradient is not None:
            g = np.clip(g, -self.config.clip_gradient, self.config.clip_gradient)
        if self.config.optimizer == "sgd":
            p[i] = p[i] - term.lr * g
        elif self.config.optimizer == "adagrad":
            s[i] = s[i] + g**2
            p[i] = p[i] - term.lr * g / (np.sqrt(s[i]) + self.config.eps)
        else:
            m[i] = 0.9 * m[i] + 0.1 * g
            s[i] = 0.999 * s[i] + 0.001 * g**2
            size = term.lr * np.sqrt(1 - 0.999**self.t) / (1 - 0.9**self.t)
            p[i] = p[i] - size * m[i] / (np.sqrt(s[i]) + self.config.eps)


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
    "no padding": {"mini_batch_size": 43},
    "more padding than rows": {"mini_batch_size": 100, "classifier": False},
    "many steps": {"epochs": 20},
    "adagrad": {"optimizer": "adagrad"},
    "adagrad, clipped": {"optimizer": "adagrad", "clip_gradient": 0.01, "classifier": False},
    "sgd": {"optimizer": "sgd"},
    "sgd without linear": {"optimizer": "sgd", "use_linear": False, "rescale_grad": 0.5},
}  # fmt: skip


def ours(kind: str, config: TrainingConfig, x: csr_array, y: Any) -> tuple[Trained, Watch]:
    trained, watch = ENGINES[kind](initial_parameters(config), config, x, y), Watch()
    assert Trainer(trained.engine, config, [watch]).fit(len(y)).finished
    return trained, watch


every_engine = pytest.mark.parametrize("kind", ENGINES)


@every_engine
@pytest.mark.parametrize("change", CHANGES)
def test_the_steps_follow_the_rules(change: str, kind: str) -> None:
    config = fm.config(D, K, **CHANGES[change])
    x, y = fm.rows(1, N, D)
    trained, watch = ours(kind, config, x, y)
    parameters = trained.parameters

    dense = x.toarray().astype(np.float64)
    rules = Rules(initial_parameters(config), config)
    size = config.mini_batch_size
    starts = list(range(0, N, size))
    # Real empty rows of label 0 fill up the last batch.
    padded = len(starts) * size
    dense = np.vstack([dense, np.zeros((padded - N, D))])
    y = np.append(y, np.zeros(padded - N, np.float32))
    scores = []
    for _ in range(config.epochs):
        scores = [rules.step(dense[s : s + size], y[s : s + size]) for s in starts]

    # The sign of a gradient that is nearly zero is noise, and Adam's first steps follow it.
    for name, got in (
        ("bias", parameters.w0),
        ("linear", parameters.w),
        ("factors", parameters.v),
    ):
        np.testing.assert_allclose(got, rules.p[name], rtol=2e-3, atol=2e-4, err_msg=name)
    for moment in OPTIMIZERS[config.optimizer].state_names:
        for name in ("bias", "linear", "factors"):
            expected = getattr(rules, moment)[name]
            got = trained.state(name, moment).reshape(expected.shape)
            np.testing.assert_allclose(got, expected, rtol=5e-3, atol=1e-5, err_msg=name)
    last = watch.epochs[-1]
    z = np.concatenate(scores)
    labels = np.concatenate([y[s : s + size] for s in starts])
    assert last.records == N and last.batches == len(starts)
    if config.classifier:
        loss = np.mean(np.log1p(np.exp(-np.abs(z))) + np.maximum(z, 0) - z * labels)
        assert last.scores["binary_classification_cross_entropy"] == pytest.approx(loss, rel=2e-3)
    else:
        assert last.scores["mse"] == pytest.approx(np.mean((z - labels) ** 2), rel=2e-3)


@every_engine
@pytest.mark.parametrize("classifier", [True, False])
@pytest.mark.parametrize("k", [K, 40])
def test_weights_multiply_the_gradients_of_their_rows(kind: str, classifier: bool, k: int) -> None:
    config = fm.config(D, k, classifier=classifier, fill_batches=False, epochs=3)
    x, y = fm.rows(1, N, D)
    weights = np.random.default_rng(2).choice([0, 0.5, 1, 3], N).astype(np.float32)
    trained = ENGINES[kind](initial_parameters(config), config, x, y)
    trained.engine.set_rows(x, y, weights)
    watch = Watch()
    Trainer(trained.engine, config, [watch]).fit(N)

    rules = Rules(initial_parameters(config), config)
    dense, size = x.toarray().astype(np.float64), config.mini_batch_size
    for _ in range(config.epochs):
        for start in range(0, N, size):  # the last batch has N % size rows, and no empty ones
            part = slice(start, start + size)
            rules.step(dense[part], y[part], weights[part])
    got = trained.parameters
    for name, values in (("bias", got.w0), ("linear", got.w), ("factors", got.v)):
        np.testing.assert_allclose(values, rules.p[name], rtol=2e-3, atol=2e-4, err_msg=name)
    assert watch.epochs[-1].records == N


@every_engine
def test_no_empty_row_counts_without_fill_batches(kind: str) -> None:
    config = fm.config(D, K, fill_batches=False)
    x, y = fm.rows(1, N, D)
    trained = ENGINES[kind](initial_parameters(config), config, x, y)
    metrics = metrics_for(True)
    trained.engine.run(batch_bounds(N, config.mini_batch_size), metrics)
    assert metrics.rows == N


@every_engine
def test_one_step_to_the_last_digits(kind: str) -> None:
    """A single step from known values, worked out by hand: one row, two features."""
    parameters = Parameters(
        np.array([0.5], np.float32),
        np.array([1.0, -1.0, 2.0], np.float32),
        np.array([[0.5], [2.0], [3.0]], np.float32),
    )
    config = fm.config(3, 1, classifier=False, mini_batch_size=1)
    x = csr_array(np.array([[2.0, 1.0, 0.0]], np.float32))
    trained = ENGINES[kind](parameters, config, x, np.array([1.0], np.float32))
    metrics = Regression()
    assert trained.engine.run(np.array([[0, 1]]), metrics) == 1
    # z = 0.5 + (2 - 1) + 0.5 * 2 * 2 * 1 = 3.5; dz = 2.5. In a first step m/sqrt(v) is the
    # gradient's sign, so each parameter moves against it by its learning rate; slightly more,
    # because 1 - beta is computed in float32.
    assert metrics.scores()["absolute_loss"] == 2.5
    a, b, c = (rate * 1.0000066756 for rate in (0.1, 0.03, 0.02))
    np.testing.assert_allclose(parameters.w0, [0.5 - a], rtol=3e-7)
    np.testing.assert_allclose(parameters.w, [1.0 - b, -1.0 - b, 2.0], rtol=3e-7)
    np.testing.assert_allclose(parameters.v[:, 0], [0.5 - c, 2.0 - c, 3.0], rtol=3e-7)
    # The moments are exact: g = dz * dz/dp + wd * p.
    for name, gradients in (
        ("bias", [2.5 + 0.01 * 0.5]),
        ("linear", [2.5 * 2 + 0.02 * 1.0, 2.5 - 0.02, 0.0]),
        ("factors", [2.5 * 2 * 2 + 0.03 * 0.5, 2.5 * 2 * 0.5 + 0.03 * 2.0, 0.0]),
    ):
        g = np.array(gradients)
        m, s = trained.state(name, "m").ravel(), trained.state(name, "s").ravel()
        np.testing.assert_allclose(m, 0.10000002 * g, rtol=1e-6)
        np.testing.assert_allclose(s, 0.00099998713 * g * g, rtol=1e-6)


@every_engine
@pytest.mark.parametrize("classifier", [True, False])
def test_rows_of_features_that_do_not_occur_keep_their_bits(classifier: bool, kind: str) -> None:
    config = fm.config(D, K, classifier=classifier)
    x, y = fm.rows(2, N, D)
    seen, later = [0, 2, 3, 7, 11], [1, 4, 5]
    dense = x.toarray()
    dense[:, [i for i in range(D) if i not in seen + later]] = 0
    dense[:20, later] = 0
    dense[20:, seen] = 0
    x = csr_array(dense)
    parameters = initial_parameters(config)
    before = initial_parameters(config)
    trained = ENGINES[kind](parameters, config, x, y)

    def run(first: int, last: int) -> None:
        starts = np.arange(first, last, 8)
        trained.engine.run(np.stack([starts, starts + 8], axis=1), metrics_for(classifier))

    def state() -> list[bytes]:
        kept = [parameters.w[seen], parameters.v[seen]]
        kept += [trained.state(name, m)[seen] for name in ("linear", "factors") for m in "ms"]
        return [array.tobytes() for array in kept]

    run(0, 16)
    never = [i for i in range(D) if i not in seen]
    for got, old in ((parameters.w, before.w), (parameters.v, before.v)):
        assert got[never].tobytes() == old[never].tobytes()
        assert (got[seen] != old[seen]).all()
    # Features of the first batches do not move, and their moments do not decay, in those after.
    kept = state()
    run(20, 36)
    assert state() == kept
    assert (parameters.w[later] != before.w[later]).all()


@every_engine
@pytest.mark.parametrize("size", [1, 5])
def test_a_batch_of_empty_rows_moves_the_bias_alone(size: int, kind: str) -> None:
    config = fm.config(D, K, mini_batch_size=size)
    x = csr_array((size, D), dtype=np.float32)
    parameters, before = initial_parameters(config), initial_parameters(config)
    trained = ENGINES[kind](parameters, config, x, np.ones(size, np.float32))
    assert trained.engine.score(x).tolist() == [before.w0[0]] * size
    trained.engine.run(np.array([[0, size]]), metrics_for(True))
    assert parameters.w0[0] > before.w0[0]
    assert parameters.w.tobytes() == before.w.tobytes()
    assert parameters.v.tobytes() == before.v.tobytes()


@pytest.mark.parametrize(
    ("rows", "size", "expected"),
    [
        (1, 1, [(0, 1)]),
        (3, 10, [(0, 3)]),
        (10, 10, [(0, 10)]),
        (11, 10, [(0, 10), (10, 11)]),
        (20, 10, [(0, 10), (10, 20)]),
        (25, 10, [(0, 10), (10, 20), (20, 25)]),
        (3, 1, [(0, 1), (1, 2), (2, 3)]),
        (3, 2**31 - 1, [(0, 3)]),
    ],
)
def test_batches(rows: int, size: int, expected: list[tuple[int, int]]) -> None:
    assert batch_bounds(rows, size).tolist() == [list(pair) for pair in expected]


@every_engine
@pytest.mark.parametrize("classifier", [True, False])
def test_a_planted_machine_is_recovered(classifier: bool, kind: str) -> None:
    """Train on the scores of a known machine, and test on unseen pairs."""
    random = np.random.default_rng(5)
    users, items = 60, 50
    planted = fm.parameters(6, users + items, 2)
    every = np.array([(u, users + i) for u in range(users) for i in range(items)])
    random.shuffle(every)
    x = csr_array(
        (np.ones(every.size, np.float32), every.ravel(), np.arange(len(every) + 1) * 2),
        shape=(len(every), users + items),
    )
    z = score(x, planted)
    y = ((z > 0) if classifier else z).astype(np.float32)
    cut = 2500
    term = Term(lr=0.05, wd=1e-4, init_sigma=0.1)
    config = TrainingConfig(
        users + items, 2, classifier, term, term, term, epochs=40, mini_batch_size=100
    )
    trained, watch = ours(kind, config, x[:cut], y[:cut])
    got = trained.engine.score(x[cut:])
    if classifier:
        assert np.mean((got > 0) == (y[cut:] > 0)) > 0.93
    else:
        assert np.sqrt(np.mean((got - y[cut:]) ** 2)) < 0.1 * y.std()
        # Of the inner products, what the linear terms could not have taken over as well.
        trained_pairs, known_pairs = (
            pairs - pairs.mean(axis=0) - pairs.mean(axis=1, keepdims=True) + pairs.mean()
            for pairs in (p.v[:users] @ p.v[users:].T for p in (trained.parameters, planted))
        )
        assert np.corrcoef(trained_pairs.ravel(), known_pairs.ravel())[0, 1] > 0.98


@every_engine
def test_the_same_seed_is_the_same_bytes(tmp_path: Path, kind: str) -> None:
    x, y = fm.rows(1, N, D)

    def content(seed: int) -> bytes:
        trained, _ = ours(kind, fm.config(D, K, seed=seed), x, y)
        model = artifact.Model(trained.parameters, {"predictor_type": "binary_classifier"})
        return artifact.write(tmp_path, model).read_bytes()

    assert content(1) == content(1)
    assert content(1) != content(2)


@every_engine
def test_callbacks_are_called_in_order(kind: str) -> None:
    config = fm.config(D, K, epochs=2, mini_batch_size=10, publish_interval=2)
    _, watch = ours(kind, config, *fm.rows(1, N, D))
    assert watch.batches == [(0, 0), (0, 2), (0, 4), (1, 0), (1, 2), (1, 4)]
    assert [epoch.number for epoch in watch.epochs] == [0, 1]
    for epoch in watch.epochs:
        assert (epoch.batches, epoch.records) == (5, N)
        assert epoch.started <= epoch.ended


@every_engine
def test_a_stop_ends_after_the_running_batches(kind: str) -> None:
    config = fm.config(D, K, epochs=3, publish_interval=1)
    x, y = fm.rows(1, N, D)
    # Once after each batch, and at the end of an epoch.
    watch, asked = Watch(), iter([False] * 8 + [True])
    trained = ENGINES[kind](initial_parameters(config), config, x, y)
    trainer = Trainer(trained.engine, config, [watch], stop_requested=lambda: next(asked))
    outcome = trainer.fit(N)
    assert not outcome.finished
    assert watch.batches == [(0, i) for i in range(6)] + [(1, 0), (1, 1)]
    assert len(watch.epochs) == 1
    # The parameters are those after exactly these steps.
    other = ENGINES[kind](initial_parameters(config), config, x, y)
    steps = np.concatenate([batch_bounds(N, 8), [(0, 8), (8, 16)]])
    assert other.engine.run(steps, metrics_for(True)) == 8
    assert trained.parameters.v.tobytes() == other.parameters.v.tobytes()


@every_engine
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_error_of_a_loss_that_is_not_finite_names_the_batch(kind: str) -> None:
    config = fm.config(D, K, classifier=False, epochs=3)
    x, y = fm.rows(1, N, D)
    y[17] = np.float32(1e38)
    x = csr_array(x.toarray())
    x.data[x.indptr[25] : x.indptr[26]] = np.float32(3e38)  # their products overflow
    trained = ENGINES[kind](initial_parameters(config), config, x, y)
    with pytest.raises(DivergedError) as caught:
        Trainer(trained.engine, config).fit(N)
    assert str(caught.value) == (
        "training diverged: the loss is not finite in batch 3 of epoch 0. Lower bias_lr, "
        "linear_lr or factors_lr, set clip_gradient, or scale the features and labels"
    )


@every_engine
def test_a_parameter_that_is_not_finite_at_the_end_of_an_epoch(kind: str) -> None:
    config = fm.config(D, K, epochs=3)
    config = replace(config, linear=Term(lr=3e38, wd=0.0))
    x = csr_array(np.eye(1, D, dtype=np.float32))
    parameters = initial_parameters(config)
    parameters.w[0] = -1e38
    parameters.w[5] = np.inf  # no row has this feature, so no loss shows it
    trained = ENGINES[kind](parameters, config, x, np.ones(1, np.float32))
    with pytest.raises(DivergedError, match="a parameter is not finite at the end of epoch 0"):
        Trainer(trained.engine, config).fit(1)


def _repeated(seed: int, n: int, d: int) -> tuple[csr_array, Any]:
    """Return rows of five non-zeros, some of them the same feature, some zero, in any order."""
    random = np.random.default_rng(seed)
    keys = random.integers(0, d, (n, 5))
    values = random.normal(1.5, 1.0, keys.shape) * (random.random(keys.shape) < 0.8)
    indptr = np.arange(0, keys.size + 1, 5, dtype=np.int64)
    x = csr_array(
        (values.astype(np.float32).ravel(), keys.astype(np.int32).ravel(), indptr), shape=(n, d)
    )
    x.sum_duplicates()
    return x, random.integers(0, 2, n).astype(np.float32)


SHAPES = {
    "empty rows": (fm.rows(31, 60, 20, density=0.05), 6),
    "one feature": (fm.rows(32, 60, 1, density=0.8), 3),
    "one factor": (fm.rows(33, 60, 20), 1),
    "a line of factors": (fm.rows(34, 60, 20), 16),
    "part of a line": (fm.rows(35, 60, 20), 23),
    "two pieces": (fm.rows(36, 60, 20), 33),
    "four pieces": (fm.rows(37, 60, 20), 129),
    "repeated keys": (_repeated(38, 60, 9), 4),
    "dense": (fm.rows(39, 60, 20, density=1.0), 10),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("classifier", [True, False])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_epoch_agrees_with_autograd(shape: str, classifier: bool, optimizer: str) -> None:
    """Compares parameters, scores and losses after an epoch, to 1e-5."""
    (x, y), k = SHAPES[shape]
    config = fm.config(
        x.shape[1], k, classifier=classifier, optimizer=optimizer, epochs=1, eps=1e-4
    )
    results = []
    for kind in ("torch", "numba", "numba, two threads"):
        trained, watch = ours(kind, config, x, y)
        p = trained.parameters
        arrays = (p.w0, p.w, p.v.ravel(), trained.engine.score(x))
        results.append((np.concatenate(arrays), list(watch.epochs[0].scores.values())))
    for values, losses in results[1:]:
        np.testing.assert_allclose(values, results[0][0], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(losses, results[0][1], rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("classifier", [True, False])
def test_the_gradient_agrees_with_autograd_in_float64(shape: str, classifier: bool) -> None:
    """A step of SGD without decay is the gradient: of the engine to 1e-5, of the rules to 1e-10."""
    (x, y), k = SHAPES[shape]
    term = Term(lr=1.0, wd=0.0, init_sigma=0.3)
    config = fm.config(
        x.shape[1], k, classifier=classifier, optimizer="sgd", mini_batch_size=len(y),
        bias=term, linear=term, factors=term,
    )  # fmt: skip
    start = initial_parameters(config)
    rules = Rules(start, config)
    rules.step(x.toarray().astype(np.float64), y.astype(np.float64))

    tensors = {
        name: torch.from_numpy(array.astype(np.float64)).requires_grad_()
        for name, array in (("bias", start.w0), ("linear", start.w), ("factors", start.v))
    }
    dense = torch.from_numpy(x.toarray().astype(np.float64))
    sums = dense @ tensors["factors"]
    squares = dense**2 @ tensors["factors"] ** 2
    z = tensors["bias"] + dense @ tensors["linear"] + 0.5 * (sums**2 - squares).sum(dim=1)
    target = torch.from_numpy(y).double()
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    loss = entropy(z, target) if classifier else 0.5 * ((z - target) ** 2).mean()
    loss.backward()

    stepped = start.copy()
    engine = numba_engine(stepped, config, x, y)
    engine.run(batch_bounds(len(y), len(y)), metrics_for(classifier))
    for name, before, after in (
        ("bias", start.w0, stepped.w0),
        ("linear", start.w, stepped.w),
        ("factors", start.v, stepped.v),
    ):
        gradient = tensors[name].grad
        assert gradient is not None
        scale = float(gradient.abs().max())
        exact = before.astype(np.float64) - rules.p[name]
        np.testing.assert_allclose(exact, gradient, rtol=1e-10, atol=1e-10 * max(scale, 1.0))
        got = before.astype(np.float64) - after
        np.testing.assert_allclose(got, gradient, rtol=1e-5, atol=2e-6 * max(scale, 1.0))


@pytest.mark.parametrize("low", [-1e-6, -0.1, -1.0, -20.0, -86.0])
def test_the_exponential(low: float) -> None:
    x = np.linspace(low, 0, 1001).astype(np.float32)
    got = np.array([exponential(number) for number in x])
    np.testing.assert_allclose(got, np.exp(x.astype(np.float64)), rtol=2e-7)
    assert exponential(np.float32(0)) == 1
    assert exponential(np.float32(-np.inf)) == exponential(np.float32(-87))


def test_pieces_have_equal_shares_in_whole_cache_lines() -> None:
    assert [pieces(k).tolist() for k in (1, 31, 32, 33, 64, 130)] == [
        [0, 1], [0, 31], [0, 16, 32], [0, 16, 33], [0, 32, 64], [0, 32, 64, 96, 130],
    ]  # fmt: skip


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("classifier", [True, False])
@pytest.mark.parametrize("num_factors", [5, 16, 32, 130])
def test_any_number_of_threads_gives_the_same_bytes(
    optimizer: str, classifier: bool, num_factors: int
) -> None:
    """With more features, rows and factors than a thread's share of each, and clipping."""
    config = fm.config(
        500,
        num_factors,
        classifier=classifier,
        optimizer=optimizer,
        mini_batch_size=300,
        clip_gradient=0.05,
    )
    x, y = fm.rows(4, 1000, 500)
    results = []
    for threads in (1, 2, 3, 7):
        parameters, watch = initial_parameters(config), Watch()
        engine = numba_engine(parameters, config, x, y, threads)
        Trainer(engine, config, [watch]).fit(len(y))
        arrays = (parameters.w0, parameters.w, parameters.v, engine.score(x))
        results.append([array.tobytes() for array in arrays] + [watch.epochs[-1].scores])
    assert all(result == results[0] for result in results)


def test_rows_with_keys_out_of_range_are_an_error() -> None:
    config = fm.config(D, K)
    x, y = fm.rows(1, N, D + 1)
    with pytest.raises(AlgorithmError, match="rows are not a CSR array"):
        numba_engine(initial_parameters(config), config, x, y)


@every_engine
def test_early_stopping_keeps_the_best_epoch(kind: str) -> None:
    config = fm.config(D, K, epochs=50, patience=3)
    trained = ENGINES[kind](initial_parameters(config), config, *fm.rows(1, N, D))
    losses = iter([0.9, 0.5, 0.7, 0.4, 0.6, 0.4, 0.8, 0.1])
    kept: list[bytes] = []

    def test() -> Metrics:
        kept.append(trained.parameters.v.tobytes())
        metrics = metrics_for(True)
        metrics.rows, metrics.sums[0] = 1, next(losses)
        return metrics

    watch = Watch()
    outcome = Trainer(trained.engine, config, [watch], test).fit(N)
    # 0.4 in epoch 3 is not beaten in the three epochs after it: 0.1 is never seen.
    assert outcome == Outcome(finished=True, best_epoch=3)
    assert len(watch.epochs) == 7
    assert trained.parameters.v.tobytes() == kept[3] != kept[6]
    assert [e.test_scores and e.test_scores[CROSS_ENTROPY] for e in watch.epochs][3] == 0.4
