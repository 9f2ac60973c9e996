"""The state of a training run: with the parameters, all that is needed to resume it exactly."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from factorization_machines.metrics import Metrics, metrics_for
from factorization_machines.parameters import Float32, Parameters

TERMS = ("bias", "linear", "factors")


@dataclass(frozen=True)
class OptimizerState:
    """The state of the optimizer, in a layout that does not depend on the engine.

    `steps` is the number of steps so far. `arrays` has an array for each term and state name, such
    as `factors.m`, of the parameter's shape: (1,), (d,) or (d, k), float32.
    """

    steps: int
    arrays: Mapping[str, Float32]


@dataclass(frozen=True)
class BestEpoch:
    """The epoch with the lowest test loss so far, for early stopping."""

    epoch: int
    loss: float
    parameters: Parameters


@dataclass(frozen=True)
class TrainingState:
    """Progress: all epochs before `epoch` are done, and `batch` mini-batches of that epoch."""

    epoch: int = 0
    batch: int = 0
    rows: int = 0
    """Rows that the metrics of the epoch include so far."""
    sums: tuple[float, ...] = ()
    """The sums of these metrics, see `metrics.Metrics`."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """The training scores of the last complete epoch."""
    best: BestEpoch | None = None

    def metrics(self, classifier: bool) -> Metrics:
        """Return the metrics of the epoch so far."""
        metrics = metrics_for(classifier)
        if self.sums:
            metrics.rows, metrics.sums[:] = self.rows, self.sums
        return metrics
