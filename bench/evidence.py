"""Training cross-entropy beside what the real service printed, epoch by epoch.

The service's run: 64 factors, classifier (rating >= 4), 30 epochs, mini_batch_size 200, the rows of
ua.base in their order, defaults otherwise. Its numbers are public logs, written down here. Its test
rows are those of ua.test whose movie is in ua.base.

    .venv/bin/python bench/evidence.py --data ML-100K-FOLDER [--seeds 5]
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from fm_container.algorithm.fit import Epoch, fit
from fm_container.algorithm.metrics import ACCURACY, CROSS_ENTROPY, F1, Metrics, metrics_for
from fm_container.algorithm.parameters import initial
from fm_container.contract import hyperparameters
from fm_container.data.recordio import Rows
from fm_container.engines import choose
from fm_container.train import settings_of
from local_sagemaker.ratings import MOVIES, USERS, read_folder

SERVICE = {
    0: 0.685802,
    1: 0.673162,
    2: 0.663339,
    4: 0.649089,
    9: 0.627384,
    14: 0.612912,
    19: 0.601327,
    24: 0.591438,
    29: 0.582783,
}
TOLERANCE = 0.0003
TEST = {ACCURACY: 0.693466, CROSS_ENTROPY: 0.603960, F1: 0.762414}
TEST_CROSS_ENTROPY = (0.602, 0.606)


class Curve:
    """Keeps the cross-entropy of each epoch."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def batch(self, epoch: int, batch: int, metrics: Metrics) -> None:
        pass

    def epoch(self, epoch: Epoch) -> None:
        self.values.append(epoch.scores[CROSS_ENTROPY])


def rows_of(ratings: np.ndarray) -> Rows:
    n = len(ratings)
    columns = np.column_stack([ratings[:, 0] - 1, USERS + ratings[:, 1] - 1]).ravel()
    ones = np.ones(2 * n, np.float32)
    x = csr_array((ones, columns, np.arange(0, 2 * n + 1, 2)), shape=(n, USERS + MOVIES))
    return Rows(x, (ratings[:, 2] >= 4).astype(np.float32))


def one_run(train: Rows, test: Rows, seed: int, name: str) -> tuple[list[float], list[float]]:
    """Return the training cross-entropy of each epoch, and the test scores in TEST's order."""
    given = {
        "feature_dim": str(train.x.shape[1]),
        "num_factors": "64",
        "predictor_type": "binary_classifier",
        "epochs": "30",
        "mini_batch_size": "200",
        "_seed": str(seed),
    }
    settings = settings_of(hyperparameters.check(given))
    parameters = initial(settings)
    chosen = choose(name, "cpu", 1, parameters, settings, train)
    curve = Curve()
    fit(chosen.engine, parameters, len(train), settings, curve)
    metrics = metrics_for(True)
    metrics.add(chosen.engine.score(test.x), test.y)
    scores = metrics.scores()
    return curve.values, [scores[name] for name in TEST]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--engine", default="auto")
    arguments = parser.parse_args()
    ratings = read_folder(arguments.data)
    known = np.isin(ratings.test[:, 1], ratings.train[:, 1])
    train, test = rows_of(ratings.train), rows_of(ratings.test[known])
    runs = [one_run(train, test, seed, arguments.engine) for seed in range(arguments.seeds)]
    curves = np.array([values for values, _ in runs])
    tested = np.array([values for _, values in runs]).mean(axis=0)
    mean, spread = curves.mean(axis=0), curves.std(axis=0)
    print(f"training cross-entropy, mean of {arguments.seeds} seeds, engine {arguments.engine}")
    print(f"{'epoch':>5} {'service':>10} {'here':>10} {'difference':>11} {'spread':>9}")
    for epoch, service in SERVICE.items():
        difference = mean[epoch] - service
        print(
            f"{epoch:5} {service:10.6f} {mean[epoch]:10.6f} {difference:+11.6f}"
            f" {spread[epoch]:9.6f}"
        )
    worst = max(abs(mean[epoch] - service) for epoch, service in SERVICE.items())
    print(f"largest difference {worst:.6f}; {TOLERANCE} asked")
    print(f"test, {len(test)} rows:")
    for (name, service), value in zip(TEST.items(), tested, strict=True):
        print(f"  {name}: service {service:.6f}, here {value:.6f}")
    low, high = TEST_CROSS_ENTROPY
    cross_entropy = tested[list(TEST).index(CROSS_ENTROPY)]
    print(f"test cross-entropy {cross_entropy:.6f}; {low} to {high} asked")
    return int(worst > TOLERANCE or not low <= cross_entropy <= high)


if __name__ == "__main__":
    sys.exit(main())
