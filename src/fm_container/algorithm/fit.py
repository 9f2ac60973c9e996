"""The training loop: epochs of mini-batches in the order of the data, measured as they go."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from scipy.sparse import csr_array

from fm_container.algorithm.blocks import Batches, Block, batches
from fm_container.algorithm.metrics import Metrics, metrics_for
from fm_container.algorithm.parameters import Float32, Parameters
from fm_container.algorithm.settings import Settings
from fm_container.errors import DivergedError

Passes = Callable[[], Iterable[Batches]]
"""Gives the mini-batches of one epoch, in plans of rows that the engine then has."""

# Rows that an engine is given at once: many enough that the call costs nothing, and few enough
# that a signal is answered within a fraction of a second.
_ROWS_AT_ONCE = 65_536


class Engine(Protocol):
    """What runs the steps: on the parameters that it was made with, and the rows that it has."""

    def use(self, x: csr_array, y: Float32) -> None:
        """Train on these rows from now on; parameters and optimiser state stay as they are.

        x (n, feature_dim) float32 in canonical CSR form, y (n,) float32.
        """

    def run(self, batches: Batches, metrics: Metrics) -> int:
        """Train on mini-batches, (m, 2) first row and end; return how many were done.

        The scores of each batch before its update are added to `metrics`. After a batch that
        leaves the loss not finite it ends.
        """

    def score(self, x: csr_array) -> Float32:
        """Return the scores of rows, (n,) float32."""


@dataclass
class Epoch:
    """What one epoch did: `scores` are over its predictions as it went."""

    number: int
    started: float  # seconds since 1970
    ended: float = 0.0
    batches: int = 0
    records: int = 0
    scores: Mapping[str, float] = field(default_factory=dict)
    test_scores: Mapping[str, float] | None = None


class Observer(Protocol):
    """Who is told as training goes."""

    def batch(self, epoch: int, batch: int, metrics: Metrics) -> None:
        """The first batch is done, or one at the publish interval; `metrics` are so far."""

    def epoch(self, epoch: Epoch) -> None:
        """An epoch is done."""


@dataclass(frozen=True)
class Outcome:
    """How training ended: whether it ran as long as it was to, and the epoch that was kept."""

    finished: bool
    kept: int | None = None
    """The epoch whose parameters are the result, where early stopping chose; else the last."""


def streamed(engine: Engine, one_pass: Callable[[], Iterable[Block]]) -> Passes:
    """Return the passes over rows that the engine is given block by block."""

    def plans() -> Iterator[Batches]:
        for block in one_pass():
            engine.use(block.x, block.y)
            yield block.batches

    return plans


def fit(
    engine: Engine,
    parameters: Parameters,
    rows: int | Passes,
    settings: Settings,
    observer: Observer,
    stopped: Callable[[], bool] = lambda: False,
    test: Callable[[], Metrics] | None = None,
) -> Outcome:
    """Train for the epochs of the settings, or until early stopping or `stopped` ends it.

    Args:
        engine: works on `parameters`.
        parameters: hold the initial values, then the result.
        rows: how many the engine has, or what gives the plans of each pass over them.
        settings: of the run. With a patience, training ends after as many epochs without a better
            loss on the test data, and the parameters of the best epoch are the result.
        observer: told of batches and epochs.
        stopped: asked several times a second.
        test: measures the test data; needed with a patience.

    Raises: DivergedError if the loss of a batch, or a parameter at an epoch's end, is not finite.
    """
    passes = rows
    if isinstance(passes, int):
        whole = batches(passes, settings.mini_batch_size)
        passes = lambda: [whole]  # noqa: E731
    best = _Best(settings.patience) if settings.patience and test else None
    for number in range(settings.epochs):
        epoch, began = Epoch(number, time.time()), time.perf_counter()
        metrics = metrics_for(settings.classifier)
        for plan in passes():
            for part in _segments(plan, epoch.batches, settings.publish_interval):
                done = engine.run(part, metrics)
                epoch.batches += done
                if not metrics.finite():
                    where = f"the loss is not finite in batch {epoch.batches - 1}"
                    raise DivergedError(_advice(where, number))
                if (epoch.batches - 1) % settings.publish_interval == 0:
                    observer.batch(number, epoch.batches - 1, metrics)
                if stopped():
                    return Outcome(finished=False)
        if stopped():  # while it waited for rows
            return Outcome(finished=False)
        if not parameters.finite():
            raise DivergedError(_advice("a parameter is not finite at the end", number))
        epoch.ended = epoch.started + time.perf_counter() - began  # a clock may be set meanwhile
        epoch.records = metrics.rows
        epoch.scores = metrics.scores()
        measured = test() if best and test else None
        if measured and stopped():  # while it waited for test data
            return Outcome(finished=False)
        epoch.test_scores = measured.scores() if measured else None
        observer.epoch(epoch)
        if best and measured and best.enough(number, measured, parameters):
            break
    return Outcome(finished=True, kept=best.restore(parameters) if best else None)


class _Best:
    """The parameters of the best epoch so far, and for how long none was better."""

    def __init__(self, patience: int):
        self._patience = patience
        self._loss = float("inf")
        self._epoch = 0
        self._kept: Parameters | None = None

    def enough(self, epoch: int, measured: Metrics, parameters: Parameters) -> bool:
        """Take note of an epoch; return whether it is time to end."""
        loss = measured.scores()[measured.loss]
        if loss < self._loss:
            self._loss, self._epoch, self._kept = loss, epoch, parameters.copy()
        return epoch - self._epoch >= self._patience

    def restore(self, parameters: Parameters) -> int:
        """Make the best epoch's parameters the result; return that epoch."""
        if self._kept is not None:
            parameters.take(self._kept)
        return self._epoch


def _segments(plan: Batches, before: int, publish_interval: int) -> Iterator[Batches]:
    """Yield the batches to run at once: up to the next one to publish, and not too many rows.

    `before` are the batches of the epoch that are done.
    """
    at_once = max(1, _ROWS_AT_ONCE // int(plan[0, 1] - plan[0, 0]))
    first = 0
    while first < len(plan):
        # Published are the batches 0, interval, 2 x interval …: a segment ends after each.
        published = -(-(before + first) // publish_interval) * publish_interval + 1
        last = min(first + at_once, published - before, len(plan))
        yield plan[first:last]
        first = last


def _advice(what: str, epoch: int) -> str:
    return (
        f"training diverged: {what} of epoch {epoch}. Lower bias_lr, linear_lr or factors_lr, "
        "set clip_gradient, or scale the features and labels"
    )
