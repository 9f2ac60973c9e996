"""Where training stands: with the parameters, all that a run needs to go on to the same bits."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from factorization_machines.metrics import Metrics, metrics_for
from factorization_machines.parameters import Float32, Parameters

TERMS = ("bias", "linear", "factors")
MOMENTS: Mapping[str, tuple[str, ...]] = {"adam": ("m", "s"), "adagrad": ("s",), "sgd": ()}


@dataclass(frozen=True)
class Moments:
    """The optimiser's state, in one layout whichever engine and number of threads it is of.

    `steps` is the number of steps so far. `arrays` has for each term and moment, as `factors.m`, an
    array of the parameter's shape: (1,), (d,) or (d, k), float32.
    """

    steps: int
    arrays: Mapping[str, Float32]


@dataclass(frozen=True)
class Best:
    """The epoch of the least test loss so far, where early stopping looks for it."""

    epoch: int
    loss: float
    parameters: Parameters


@dataclass(frozen=True)
class Position:
    """What is done: all epochs before `epoch`, and of that one the first `batch` mini-batches."""

    epoch: int = 0
    batch: int = 0
    rows: int = 0
    """Rows that the metrics of the epoch are over so far."""
    sums: tuple[float, ...] = ()
    """Their sums, as in metrics.py."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """The training scores of the last whole epoch."""
    best: Best | None = None

    def metrics(self, classifier: bool) -> Metrics:
        """Return the metrics of the epoch so far."""
        metrics = metrics_for(classifier)
        if self.sums:
            metrics.rows, metrics.sums[:] = self.rows, self.sums
        return metrics
