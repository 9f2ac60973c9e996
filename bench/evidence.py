"""Training cross-entropy beside what the real service printed, epoch by epoch.

The service's run: 64 factors, classifier (rating >= 4), 30 epochs, mini_batch_size 200, the rows of
ua.base in their order, defaults otherwise. Its numbers are public logs, written down here.

    .venv/bin/python bench/evidence.py --data ML-100K-FOLDER [--seeds 3]
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from fm_container.algorithm.fit import Epoch, fit
from fm_container.algorithm.metrics import CROSS_ENTROPY, Metrics
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
TOLERANCE = 0.0005


class Curve:
    """Keeps the cross-entropy of each epoch."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def batch(self, epoch: int, batch: int, metrics: Metrics) -> None:
        pass

    def epoch(self, epoch: Epoch) -> None:
        self.values.append(epoch.scores[CROSS_ENTROPY])


def one_run(x: csr_array, y: np.ndarray, seed: int, engine_name: str) -> list[float]:
    given = {
        "feature_dim": str(x.shape[1]),
        "num_factors": "64",
        "predictor_type": "binary_classifier",
        "epochs": "30",
        "mini_batch_size": "200",
        "_seed": str(seed),
    }
    settings = settings_of(hyperparameters.check(given))
    parameters = initial(settings)
    chosen = choose(engine_name, "cpu", 1, parameters, settings, Rows(x, y))
    curve = Curve()
    fit(chosen.engine, parameters, len(y), settings, curve)
    return curve.values


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--engine", default="auto")
    arguments = parser.parse_args()
    rows = read_folder(arguments.data).train
    n = len(rows)
    columns = np.column_stack([rows[:, 0] - 1, USERS + rows[:, 1] - 1]).ravel()
    ones = np.ones(2 * n, np.float32)
    x = csr_array((ones, columns, np.arange(0, 2 * n + 1, 2)), shape=(n, USERS + MOVIES))
    y = (rows[:, 2] >= 4).astype(np.float32)

    curves = np.array([one_run(x, y, seed, arguments.engine) for seed in range(arguments.seeds)])
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
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
