"""The metrics of the built-in algorithm, computed from float64 sums over batches."""

import math
from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from factorization_machines.kernels import columns
from factorization_machines.parameters import Float32, sigmoid

ACCURACY = "binary_classification_accuracy"
CROSS_ENTROPY = "binary_classification_cross_entropy"
F1 = "binary_f_1.000"


class Metrics(ABC):
    """Accumulates metrics: the number of `rows`, and `sums` (COLUMNS,) float64, over these rows.

    Engines may add to both directly.
    """

    loss: str
    """The metric that early stopping minimizes."""

    def __init__(self) -> None:
        self.rows = 0
        self.sums: NDArray[np.float64] = np.zeros(columns.COLUMNS)

    @abstractmethod
    def add(self, z: Float32, y: Float32, weights: Float32 | None = None) -> None:
        """Add rows: `z` (B,) scores and `y` (B,) labels, both float32.

        `weights` (B,) of mean 1 make the metrics weighted means.
        """

    @abstractmethod
    def add_empty_rows(self, z: float, count: int) -> None:
        """Add `count` rows of score z and label 0, in constant time."""

    @abstractmethod
    def scores(self) -> dict[str, float]:
        """Return the metrics, with the names and the order of the built-in."""

    def finite(self) -> bool:
        """Return whether the loss so far is finite."""
        return math.isfinite(self.sums[0])


class Classification(Metrics):
    """Accuracy, cross-entropy and F1 of the positive class; scores are log-odds."""

    loss = CROSS_ENTROPY

    def add(self, z: Float32, y: Float32, weights: Float32 | None = None) -> None:
        """Add rows; labels are 0 or 1."""
        w = 1.0 if weights is None else weights.astype(np.float64)
        predicted = sigmoid(z) > 0.5
        positive = y > 0.5
        wide = z.astype(np.float64)
        # -log of the label's probability, from the log-odds: exact where the sigmoid is 0 or 1 too.
        loss = np.log1p(np.exp(-np.abs(wide))) + np.maximum(wide, 0) - wide * y
        self.rows += z.size
        self.sums[columns.LOSS] += (loss * w).sum()
        self.sums[columns.CORRECT] += ((predicted == positive) * w).sum()
        self.sums[columns.TRUE_POSITIVE] += ((predicted & positive) * w).sum()
        self.sums[columns.PREDICTED] += (predicted * w).sum()
        self.sums[columns.POSITIVE] += (positive * w).sum()

    def add_empty_rows(self, z: float, count: int) -> None:
        """Add `count` rows of score z and label 0, in constant time."""
        predicted = bool(sigmoid(np.array([z], np.float32))[0] > 0.5)
        self.rows += count
        self.sums[columns.LOSS] += count * (math.log1p(math.exp(-abs(z))) + max(z, 0.0))
        self.sums[columns.PREDICTED if predicted else columns.CORRECT] += count

    def scores(self) -> dict[str, float]:
        """Return the metrics by the names of the built-in; F1 is 0 without positives."""
        loss, correct, true_positive, predicted, positive = self.sums.tolist()
        relevant = predicted + positive
        return {
            ACCURACY: correct / self.rows,
            CROSS_ENTROPY: loss / self.rows,
            F1: 2 * true_positive / relevant if relevant else 0.0,
        }


class Regression(Metrics):
    """Root mean square error, mean square error and mean absolute error."""

    loss = "rmse"

    def add(self, z: Float32, y: Float32, weights: Float32 | None = None) -> None:
        """Add rows of predictions and labels."""
        w = 1.0 if weights is None else weights.astype(np.float64)
        error = z.astype(np.float64) - y
        self.rows += z.size
        self.sums[columns.SQUARE] += error @ (error * w)
        self.sums[columns.ABSOLUTE] += (np.abs(error) * w).sum()

    def add_empty_rows(self, z: float, count: int) -> None:
        """Add `count` rows of score z and label 0, in constant time."""
        self.rows += count
        self.sums[columns.SQUARE] += count * z * z
        self.sums[columns.ABSOLUTE] += count * abs(z)

    def scores(self) -> dict[str, float]:
        """Return the metrics, with the names and the order of the built-in."""
        mean = float(self.sums[columns.SQUARE]) / self.rows
        absolute = float(self.sums[columns.ABSOLUTE]) / self.rows
        return {"rmse": math.sqrt(mean), "mse": mean, "absolute_loss": absolute}


def metrics_for(classifier: bool) -> Metrics:
    """Return metrics without rows, for a classifier or a regressor."""
    return Classification() if classifier else Regression()
