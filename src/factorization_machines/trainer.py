"""The training loop: epochs of mini-batches, measured as they go."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from scipy.sparse import csr_array

from factorization_machines.batching import Batches, Block, batches, reordered
from factorization_machines.config import Settings
from factorization_machines.errors import CheckpointError, DivergedError
from factorization_machines.metrics import Metrics
from factorization_machines.parameters import Float32, Parameters
from factorization_machines.training_state import Best, Moments, Position

Passes = Callable[[int], Iterable[Batches]]
"""Gives the mini-batches of an epoch, by its number, in plans of rows that the engine then has."""

# Rows that an engine is given at once: many enough that the call costs nothing, and few enough
# that a signal is answered within a fraction of a second.
ROWS_AT_ONCE = 65_536


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

    def moments(self) -> Moments:
        """Return a copy of the optimiser's state."""

    def restore(self, moments: Moments) -> None:
        """Go on from the parameters as they are now, and an optimiser's state."""


@dataclass
class Epoch:
    """What one epoch did: `scores` are over its predictions as it went."""

    number: int
    started: float  # seconds since 1970
    ended: float = 0.0
    batches: int = 0
    records: int = 0  # of the data, without the empty ones that fill up the last batch
    resumed: int = 0  # records of those that an earlier run did
    last: bool = False  # whether training ends here
    scores: Mapping[str, float] = field(default_factory=dict)
    test_scores: Mapping[str, float] | None = None


class Observer(Protocol):
    """Who is told as training goes."""

    def first_batch(self, rows: int) -> None:
        """The first batch has been read, of so many rows of the data; none is trained on yet."""

    def batch(self, epoch: int, batch: int, metrics: Metrics) -> None:
        """The first batch is done, or one at the publish interval; `metrics` are so far."""

    def epoch(self, epoch: Epoch) -> None:
        """An epoch is done."""


class Keeper(Protocol):
    """Who may keep a copy of where training stands."""

    def reached(self, position: Position, stopped: bool = False) -> None:
        """Between two batches; `stopped` says that none follows."""


@dataclass(frozen=True)
class Outcome:
    """How training ended: whether it ran as long as it was to, and the epoch that was kept."""

    finished: bool
    kept: int | None = None
    """The epoch whose parameters are the result, where early stopping chose; else the last."""


def streamed(engine: Engine, one_pass: Callable[[], Iterable[Block]]) -> Passes:
    """Return the passes over rows that the engine is given block by block."""

    def plans(_: int) -> Iterator[Batches]:
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
    begin: Position | None = None,
    keeper: Keeper | None = None,
    rows_at_once: int = ROWS_AT_ONCE,
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
        begin: where an earlier run stood, whose parameters and moments are restored. Batches that
            it did are passed over.
        keeper: told where training stands, as often as `stopped` is asked.
        rows_at_once: rows between two questions.

    Raises: DivergedError if the loss of a batch, or a parameter at an epoch's end, is not finite;
        CheckpointError if an epoch has fewer batches than are to be passed over.
    """
    passes = _in_memory(rows, settings) if isinstance(rows, int) else rows
    begin = begin or Position()
    best = _Best(settings.patience, begin.best) if settings.patience and test else None
    scores = begin.scores

    def reached(number: int, batch: int, metrics: Metrics | None, stopped: bool = False) -> None:
        if keeper is not None:
            so_far = (metrics.rows, tuple(metrics.sums.tolist())) if metrics else (0, ())
            kept = best.kept if best else None
            keeper.reached(Position(number, batch, *so_far, scores, kept), stopped)

    for number in range(begin.epoch, settings.epochs):
        if best and best.enough(number - 1):
            break
        resumed = begin if number == begin.epoch else Position()
        metrics = resumed.metrics(settings.classifier)
        began = time.perf_counter()
        epoch = Epoch(number, time.time(), batches=resumed.batch)
        met = 0  # batches in the plans so far
        for plan in passes(number):
            sizes = plan[:, 1] - plan[:, 0]
            if number == begin.epoch and not met:
                observer.first_batch(int(sizes.max()))
            epoch.records += int(sizes.sum())
            epoch.resumed += int(sizes[: max(0, resumed.batch - met)].sum())
            for part in _segments(plan, met, epoch.batches, settings, rows_at_once):
                epoch.batches += engine.run(part, metrics)
                if not metrics.finite():
                    where = f"the loss is not finite in batch {epoch.batches - 1}"
                    raise DivergedError(_advice(where, number))
                if (epoch.batches - 1) % settings.publish_interval == 0:
                    observer.batch(number, epoch.batches - 1, metrics)
                stop = stopped()
                reached(number, epoch.batches, metrics, stop)
                if stop:
                    return Outcome(finished=False)
            met += len(plan)
            if met <= resumed.batch and stopped():
                break
        if stopped():  # while it waited for rows
            reached(number, epoch.batches, metrics, stopped=True)
            return Outcome(finished=False)
        if met < resumed.batch:
            raise CheckpointError(
                f"the checkpoint is of other data: {resumed.batch} mini-batches of epoch {number} "
                f"were done, and the channel 'train' has {met}"
            )
        if not parameters.finite():
            raise DivergedError(_advice("a parameter is not finite at the end", number))
        epoch.ended = epoch.started + time.perf_counter() - began  # a clock may be set meanwhile
        epoch.scores = metrics.scores()
        measured = test() if best and test else None
        if measured and stopped():  # while it waited for test data
            reached(number, epoch.batches, metrics, stopped=True)
            return Outcome(finished=False)
        scores = epoch.scores
        epoch.test_scores = measured.scores() if measured else None
        if best and measured:
            best.note(number, measured, parameters)
        epoch.last = number + 1 == settings.epochs or bool(best and best.enough(number))
        observer.epoch(epoch)
        reached(number + 1, 0, None)
    return Outcome(finished=True, kept=best.restore(parameters) if best else None)


def _in_memory(rows: int, settings: Settings) -> Passes:
    whole = batches(rows, settings.mini_batch_size)
    if settings.shuffle:
        return lambda epoch: [reordered(whole, settings.seed, epoch)]
    return lambda _: [whole]


class _Best:
    """The parameters of the best epoch so far, and for how long none was better."""

    def __init__(self, patience: int, kept: Best | None):
        self._patience = patience
        self.kept = kept

    def note(self, epoch: int, measured: Metrics, parameters: Parameters) -> None:
        """Take note of an epoch."""
        loss = measured.scores()[measured.loss]
        if self.kept is None or loss < self.kept.loss:
            self.kept = Best(epoch, loss, parameters.copy())

    def enough(self, epoch: int) -> bool:
        """Return whether it is time to end, once an epoch is done."""
        return self.kept is not None and epoch - self.kept.epoch >= self._patience

    def restore(self, parameters: Parameters) -> int:
        """Make the best epoch's parameters the result; return that epoch."""
        if self.kept is None:
            return 0
        parameters.take(self.kept.parameters)
        return self.kept.epoch


def _segments(
    plan: Batches, before: int, done: int, settings: Settings, rows_at_once: int
) -> Iterator[Batches]:
    """Yield the batches to run at once: up to the next one to publish, and not too many rows.

    `before` are the batches of the epoch in the plans before this one, and `done` are those that
    were trained on, which may be some of this plan, where training goes on from a checkpoint.
    """
    publish_interval = settings.publish_interval
    at_once = max(1, rows_at_once // settings.mini_batch_size)
    first = max(0, done - before)
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
