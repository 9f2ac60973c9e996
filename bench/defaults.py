"""Defaults of the estimators, chosen on rows that are held out of training rows.

    .venv/bin/python -m bench.defaults --data ML-100K-FOLDER --retail FOLDER [--seconds 1200]

A random search over parameters, the same for all data sets. A candidate is fitted as a user would
fit it: without an evaluation set. Its loss on a data set is divided by the lowest loss of the first
round there. The best candidates are fitted again on other splits. ua.test has no say.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.metrics import log_loss, root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from bench.choose import split
from bench.data import lab
from bench.evidence import _arrays
from factorization_machines import FactorizationMachineClassifier, FactorizationMachineRegressor
from factorization_machines.recordio.decoder import Rows
from local_sagemaker.lab.ratings import read_folder

FINALISTS, SPLITS = 12, 3
MOST_ROWS = 80_000  # of Online Retail, for more candidates in the same time
SECOND = 0.002  # relative loss that a second of training costs
RANGES = {
    "factors_lr": (0.002, 0.1),
    "factors_wd": (1e-5, 0.01),
    "factors_init_sigma": (0.003, 0.1),
    "linear_lr": (0.01, 0.3),
    "linear_wd": (1e-5, 0.01),
}
CHOICES = {
    "optimizer": ("adagrad", "adam"),
    "num_factors": (8, 16, 32, 64),
    "mini_batch_size": (16, 32, 64, 128),
    "epochs": (20, 50, 100),
}


@dataclass(frozen=True)
class Task:
    """A data set: returns training and held-out rows of a split, and how they are scored."""

    name: str
    classifier: bool
    rows: Callable[[int], tuple[Any, Any, Any, Any]]

    def loss(self, parameters: dict[str, Any], seed: int) -> tuple[float, float]:
        """Return the held-out loss of an estimator with some parameters, and seconds of `fit`."""
        x, held_x, y, held_y = self.rows(seed)
        kind = FactorizationMachineClassifier if self.classifier else FactorizationMachineRegressor
        estimator = kind(random_state=seed, **parameters)
        began = time.perf_counter()
        estimator.fit(x, y)
        seconds = time.perf_counter() - began
        if self.classifier:
            return log_loss(held_y, estimator.predict_proba(held_x)), seconds
        return root_mean_squared_error(held_y, estimator.predict(held_x)), seconds


def tasks(movielens: Path, retail: Path) -> Iterator[Task]:
    rows = lab(movielens)[0]
    ratings = read_folder(movielens).train[:, 2].astype(np.float32)

    def held_out(labels: Any) -> Callable[[int], tuple[Any, Any, Any, Any]]:
        def make(seed: int) -> tuple[Any, Any, Any, Any]:
            train, test = split(Rows(rows.x, labels), seed)
            return train.x, test.x, train.y, test.y

        return make

    yield Task("MovieLens-100k, rating >= 4", True, held_out(rows.y))
    yield Task("MovieLens-100k, rating", False, held_out(ratings))
    sales = _arrays(retail / "train.npz")
    yield Task("Online Retail, log(1 + quantity)", False, _random(sales.x, np.log1p(sales.y)))
    for name, classifier, load in (
        ("breast cancer", True, load_breast_cancer),
        ("diabetes", False, load_diabetes),
    ):
        x, y = load(return_X_y=True)
        yield Task(
            f"{name}, standardized", classifier, _random(StandardScaler().fit_transform(x), y)
        )


def _random(x: csr_array, y: Any) -> Callable[[int], tuple[Any, Any, Any, Any]]:
    most = min(0.8, MOST_ROWS / len(y))
    return lambda seed: tuple(
        train_test_split(x, y, train_size=most, test_size=0.2, random_state=seed)
    )


def drawn(rng: np.random.Generator) -> dict[str, Any]:
    logs = {name: rng.uniform(*map(math.log, ends)) for name, ends in RANGES.items()}
    parameters = {name: float(f"{math.exp(log):.2g}") for name, log in logs.items()}
    choices = {name: values[rng.integers(len(values))] for name, values in CHOICES.items()}
    return {**parameters, **choices}


def varied(rng: np.random.Generator, best: list[dict[str, Any]]) -> dict[str, Any]:
    """Return new parameters, half of the time near some of the best."""
    new = drawn(rng)
    if not best or rng.random() < 0.4:
        return new
    near = dict(best[rng.integers(len(best))])
    for name in near:
        if rng.random() < 0.35:
            near[name] = new[name]
        elif name in RANGES and rng.random() < 0.5:
            near[name] = float(f"{near[name] * math.exp(rng.uniform(-0.5, 0.5)):.2g}")
    return near


def total(losses: Any, seconds: Any, lowest: Any) -> Any:
    return (losses / lowest).mean(axis=-1) + SECOND * seconds.mean(axis=-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--retail", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=1200)
    arguments = parser.parse_args()
    among = list(tasks(arguments.data, arguments.retail))
    rng, tried, end = np.random.default_rng(0), [], time.monotonic() + arguments.seconds
    losses, seconds = np.empty((0, len(among))), np.empty((0, len(among)))
    while time.monotonic() < end:
        order = np.argsort(total(losses, seconds, losses.min(axis=0))) if tried else []
        parameters = varied(rng, [tried[i] for i in order[:6]])
        found = np.array([task.loss(parameters, 0) for task in among])
        tried.append(parameters)
        losses, seconds = np.vstack([losses, found[:, 0]]), np.vstack([seconds, found[:, 1]])
    lowest = losses.min(axis=0)
    order = np.argsort(total(losses, seconds, lowest))[:FINALISTS]
    print(f"{len(tried)} candidates; the lowest losses are those of any candidate")
    print("  ", "; ".join(f"{task.name}: {x:.4f}" for task, x in zip(among, lowest, strict=True)))
    for i in order:
        again = [[task.loss(tried[i], seed) for task in among] for seed in range(1, 1 + SPLITS)]
        means = np.array(again).mean(axis=0)
        shown = " ".join(f"{loss:.4f}" for loss in means[:, 0])
        print(f"  {shown}  {means[:, 1].sum():.2f} s  {tried[i]}", flush=True)


if __name__ == "__main__":
    main()
