"""The metrics of the built-in, from sums in float64 that can be added batch by batch."""

import math

import numpy as np

from fm_container.algorithm.parameters import Float32
from fm_container.algorithm.reference import sigmoid

ACCURACY = "binary_classification_accuracy"
CROSS_ENTROPY = "binary_classification_cross_entropy"
F1 = "binary_f_1.000"


class Classification:
    """Accuracy, cross-entropy and F1 of the positive class over all rows added."""

    def __init__(self) -> None:
        self.rows = 0
        self._correct = 0
        self._loss = 0.0
        self._true_positive = 0
        self._predicted = 0
        self._positive = 0

    def add(self, z: Float32, y: Float32) -> None:
        """Add rows: `z` (B,) log-odds, `y` (B,) labels 0 or 1, both float32."""
        predicted = sigmoid(z) > 0.5
        positive = y > 0.5
        self.rows += z.size
        self._correct += int((predicted == positive).sum())
        self._true_positive += int((predicted & positive).sum())
        self._predicted += int(predicted.sum())
        self._positive += int(positive.sum())
        wide = z.astype(np.float64)
        # -log of the label's probability, from the log-odds: exact where the sigmoid is 0 or 1.
        loss = np.log1p(np.exp(-np.abs(wide))) + np.maximum(wide, 0) - wide * y
        self._loss += float(loss.sum())

    def scores(self) -> dict[str, float]:
        """Return the metrics by the built-in's names, in its order; F1 is 0 without positives."""
        relevant = self._predicted + self._positive
        return {
            ACCURACY: self._correct / self.rows,
            CROSS_ENTROPY: self._loss / self.rows,
            F1: 2 * self._true_positive / relevant if relevant else 0.0,
        }

    def finite(self) -> bool:
        """Return whether the loss so far is a number."""
        return math.isfinite(self._loss)


class Regression:
    """Root mean square error, mean square error and mean absolute error over all rows added."""

    def __init__(self) -> None:
        self.rows = 0
        self._square = 0.0
        self._absolute = 0.0

    def add(self, z: Float32, y: Float32) -> None:
        """Add rows: `z` (B,) predictions and `y` (B,) labels, both float32."""
        error = z.astype(np.float64) - y
        self.rows += z.size
        self._square += float(error @ error)
        self._absolute += float(np.abs(error).sum())

    def scores(self) -> dict[str, float]:
        """Return the metrics by the built-in's names, in its order."""
        mean = self._square / self.rows
        return {"rmse": math.sqrt(mean), "mse": mean, "absolute_loss": self._absolute / self.rows}

    def finite(self) -> bool:
        """Return whether the loss so far is a number."""
        return math.isfinite(self._square)


Metrics = Classification | Regression


def metrics_for(classifier: bool) -> Metrics:
    """Return an empty metric of the task."""
    return Classification() if classifier else Regression()
