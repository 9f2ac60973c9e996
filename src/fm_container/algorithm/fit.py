"""The training loop: epochs of mini-batches in the order of the data, measured as they go."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from scipy.sparse import csr_array

from fm_container.algorithm.metrics import Metrics, metrics_for
from fm_container.algorithm.parameters import Float32, Parameters
from fm_container.algorithm.settings import Settings
from fm_container.errors import DivergedError


class Engine(Protocol):
    """What runs the steps: on the memory of the parameters that it was made with."""

    def step(self, x: csr_array, y: Float32, start: int, stop: int) -> Float32:
        """Train on the rows [start, stop); return their scores before the update."""

    def score(self, x: csr_array) -> Float32:
        """Return the scores of all rows."""


@dataclass
class Epoch:
    """What one epoch did: `scores` are over its predictions as it went."""

    number: int
    started: float  # seconds since 1970
    ended: float = 0.0
    batches: int = 0
    records: int = 0
    step_seconds: list[float] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)


class Observer(Protocol):
    """Who is told as training goes."""

    def batch(self, epoch: int, batch: int, metrics: Metrics) -> None:
        """A batch is done; `metrics` are over the epoch so far."""

    def epoch(self, epoch: Epoch) -> None:
        """An epoch is done."""


def batches(rows: int, size: int) -> list[tuple[int, int]]:
    """Return first row and end of each mini-batch of an epoch.

    Where the rows do not divide evenly the last batch is the last `size` rows, which overlap the
    batch before; with fewer rows than one batch the batch is all rows.
    """
    if rows <= size:
        return [(0, rows)]
    full = [(start, start + size) for start in range(0, rows - size + 1, size)]
    return full if rows % size == 0 else [*full, (rows - size, rows)]


def fit(
    engine: Engine,
    parameters: Parameters,
    x: csr_array,
    y: Float32,
    settings: Settings,
    observer: Observer,
    stopped: Callable[[], bool] = lambda: False,
) -> bool:
    """Train for the epochs of the settings; return False if `stopped` asked for an early end.

    Args:
        engine: works on `parameters`.
        parameters: hold the initial values, then the result.
        x: (n, d) float32 in canonical form.
        y: (n,) float32 labels, 0 or 1 for a classifier.
        settings: of the run.
        observer: told of each batch and epoch.
        stopped: asked after each batch.

    Raises: DivergedError if the loss of a batch, or a parameter at an epoch's end, is not finite.
    """
    plan = batches(x.shape[0], settings.mini_batch_size)
    for number in range(settings.epochs):
        epoch = Epoch(number, time.time())
        metrics = metrics_for(settings.classifier)
        for index, (start, stop) in enumerate(plan):
            began = time.perf_counter()
            metrics.add(engine.step(x, y, start, stop), y[start:stop])
            epoch.step_seconds.append(time.perf_counter() - began)
            if not metrics.finite():
                raise DivergedError(_advice(f"the loss is not finite in batch {index}", number))
            observer.batch(number, index, metrics)
            if stopped():
                return False
        if not parameters.finite():
            raise DivergedError(_advice("a parameter is not finite at the end", number))
        epoch.ended = time.time()
        epoch.batches, epoch.records = len(plan), metrics.rows
        epoch.scores = metrics.scores()
        observer.epoch(epoch)
    return True


def _advice(what: str, epoch: int) -> str:
    return (
        f"training diverged: {what} of epoch {epoch}. Lower bias_lr, linear_lr or factors_lr, "
        "set clip_gradient, or scale the features and labels"
    )
