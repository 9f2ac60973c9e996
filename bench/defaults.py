"""The defaults of the estimators beside variations of them, on rows held out of training rows.

    .venv/bin/python -m bench.defaults --data ML-100K-FOLDER --retail FOLDER

Each is fitted as a user would fit it, without an evaluation set, on three splits of each data set.
Test rows are not read.
"""

import argparse
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

SPLITS = 3
MOST_ROWS = 80_000  # of Online Retail
VARIATIONS: tuple[dict[str, Any], ...] = (
    {},
    {"num_factors": 32},
    {"mini_batch_size": 32, "factors_wd": 0.0005, "linear_wd": 0.0002},
    {"factors_lr": 0.025},
    {"linear_lr": 0.2},
    {"factors_wd": 0.0005},
    {"epochs": 20},
    {"refit": False},
    {"optimizer": "adam", "factors_lr": 0.001, "linear_lr": 0.005},
    # The best of a random search over one split, which has learned that split.
    {"num_factors": 32, "mini_batch_size": 16, "factors_lr": 0.0083, "factors_wd": 2.1e-05,
     "factors_init_sigma": 0.0062, "linear_lr": 0.2, "linear_wd": 7.9e-05, "epochs": 100},
)  # fmt: skip


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--retail", type=Path, required=True)
    arguments = parser.parse_args()
    among = list(tasks(arguments.data, arguments.retail))
    heads = ["", *(task.name for task in among)]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for parameters in VARIATIONS:
        found = [[task.loss(parameters, seed) for task in among] for seed in range(SPLITS)]
        cells = [f"{loss:.4f}, {seconds:.2f} s" for loss, seconds in np.array(found).mean(axis=0)]
        print(f"| {parameters or 'defaults'} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
