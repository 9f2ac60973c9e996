"""The training loop: epochs of mini-batches, callbacks, early stopping, resuming."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from factorization_machines.batching import BatchedChunk, Bounds, batch_bounds, shuffled_bounds
from factorization_machines.config import TrainingConfig
from factorization_machines.engines.base import Engine
from factorization_machines.errors import CheckpointError, DivergedError
from factorization_machines.metrics import Metrics, metrics_for
from factorization_machines.parameters import Parameters

# Rows that an engine trains on in one call: enough to hide the overhead of the call, and few enough
# to react to a signal within a fraction of a second.
ROWS_PER_CALL = 65_536


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


@dataclass
class Epoch:
    """The results of one epoch; `scores` are those of its predictions during training."""

    number: int
    started: float  # seconds since 1970
    ended: float = 0.0
    batches: int = 0
    records: int = 0  # of the data, without the empty rows that fill up the last batch
    resumed: int = 0  # records among them that an earlier run trained on
    last: bool = False  # whether training ends here
    scores: Mapping[str, float] = field(default_factory=dict)
    test_scores: Mapping[str, float] | None = None


class Callback:
    """Base class of callbacks of a Trainer; its methods do nothing."""

    def on_first_batch(self, rows: int) -> None:
        """Called before training, when the first batch has been read; `rows` is its size."""

    def on_batch_end(self, epoch: int, batch: int, metrics: Metrics) -> None:
        """Called after batches 0, n, 2 n, ... of an epoch, where n is the publish interval."""

    def on_epoch_end(self, epoch: Epoch) -> None:
        """Called after each complete epoch."""

    def on_progress(self, state: TrainingState, stopped: bool) -> None:
        """Called several times a second between batches; training can be resumed from `state`.

        `stopped` tells that this was the last batch, because a stop was requested.
        """


@dataclass(frozen=True)
class Outcome:
    """How training ended."""

    finished: bool
    """False if a stop was requested."""
    best_epoch: int | None = None
    """The epoch whose parameters early stopping restored; without it the last epoch counts."""


class EarlyStopping:
    """Keeps the parameters of the best epoch, and ends training after `patience` worse ones."""

    def __init__(self, patience: int, best: BestEpoch | None = None):
        self._patience = patience
        self.best = best

    def update(self, epoch: int, loss: float, parameters: Parameters) -> None:
        """Record the test loss of an epoch; copies the parameters if it is the lowest so far."""
        if self.best is None or loss < self.best.loss:
            self.best = BestEpoch(epoch, loss, parameters.copy())

    def should_stop(self, epoch: int) -> bool:
        """Return whether training should end after an epoch."""
        return self.best is not None and epoch - self.best.epoch >= self._patience


class Trainer:
    """Trains the model of an engine for the epochs of a configuration."""

    def __init__(
        self,
        engine: Engine,
        config: TrainingConfig,
        callbacks: Sequence[Callback] = (),
        evaluate: Callable[[], Metrics] | None = None,
        stop_requested: Callable[[], bool] = lambda: False,
        rows_per_call: int = ROWS_PER_CALL,
    ):
        """Create a trainer.

        Args:
            engine: runs the steps on its model.
            config: of the run. With a patience, training ends after as many epochs without a
                lower test loss, and the parameters of the best epoch are restored.
            callbacks: called in this order.
            evaluate: returns the metrics of the test data; used only with a patience.
            stop_requested: called several times a second; returns whether to stop.
            rows_per_call: rows between two calls of `stop_requested`.
        """
        self._engine, self._config, self._callbacks = engine, config, callbacks
        self._evaluate = evaluate if config.patience else None
        self._stop_requested = stop_requested
        self._batches_per_call = max(1, rows_per_call // config.mini_batch_size)
        self._early_stopping = EarlyStopping(config.patience)
        self._scores: Mapping[str, float] = {}

    def fit(
        self,
        rows: int | Callable[[], Iterable[BatchedChunk]],
        resume_from: TrainingState | None = None,
    ) -> Outcome:
        """Train until the last epoch, early stopping, or a requested stop.

        Args:
            rows: the number of rows that the engine has; or a function that starts a pass over
                rows, which then replace the engine's rows chunk by chunk.
            resume_from: the state of an earlier run, whose parameters and optimizer state the
                engine has. Batches that were done are skipped.

        Raises: DivergedError if the loss of a batch, or a parameter at the end of an epoch, is not
            finite; CheckpointError if an epoch has fewer batches than were done.
        """
        config, start = self._config, resume_from or TrainingState()
        best = start.best if self._evaluate else None
        self._early_stopping = EarlyStopping(config.patience, best)
        self._scores = start.scores
        for number in range(start.epoch, config.epochs):
            if self._early_stopping.should_stop(number - 1):
                break
            resumed = start if number == start.epoch else TrainingState()
            plans = self._plans(rows, number)
            if not self._run_epoch(number, plans, resumed, announce=resumed is start):
                return Outcome(finished=False)
        best = self._early_stopping.best
        if best is None:
            return Outcome(finished=True, best_epoch=0 if self._evaluate else None)
        self._engine.model.copy_from(best.parameters)
        return Outcome(finished=True, best_epoch=best.epoch)

    def _plans(
        self, rows: int | Callable[[], Iterable[BatchedChunk]], epoch: int
    ) -> Iterator[Bounds]:
        """Yield the bounds of an epoch's mini-batches in the rows that the engine has then."""
        config = self._config
        if not isinstance(rows, int):
            for chunk in rows():
                self._engine.set_rows(chunk.x, chunk.y)
                yield chunk.bounds
            return
        bounds = batch_bounds(rows, config.mini_batch_size)
        yield shuffled_bounds(bounds, config.seed, epoch) if config.shuffle else bounds

    def _run_epoch(
        self, number: int, plans: Iterator[Bounds], resumed: TrainingState, announce: bool
    ) -> bool:
        """Train an epoch; return False if a stop was requested before its end.

        `announce`: whether callbacks learn of the first batch.
        """
        metrics = resumed.metrics(self._config.classifier)
        began = time.perf_counter()
        epoch = Epoch(number, time.time(), batches=resumed.batch)
        planned = 0  # batches in the plans so far
        for plan in plans:
            sizes = plan[:, 1] - plan[:, 0]
            if announce and not planned:
                for callback in self._callbacks:
                    callback.on_first_batch(int(sizes.max()))
            epoch.records += int(sizes.sum())
            epoch.resumed += int(sizes[: max(0, resumed.batch - planned)].sum())
            for part in self._parts(plan, planned, epoch.batches):
                if not self._run_batches(part, epoch, metrics):
                    return False
            planned += len(plan)
            if planned <= resumed.batch and self._stop_requested():
                break
        if self._stop_requested():  # while rows were read
            self._report(number, epoch.batches, metrics, stopped=True)
            return False
        if planned < resumed.batch:
            raise CheckpointError(
                f"the checkpoint is of other data: {resumed.batch} mini-batches of epoch {number} "
                f"were done, and the channel 'train' has {planned}"
            )
        epoch.ended = epoch.started + time.perf_counter() - began  # the clock may be set meanwhile
        return self._finish_epoch(epoch, metrics)

    def _run_batches(self, part: Bounds, epoch: Epoch, metrics: Metrics) -> bool:
        """Train on some batches; return False if a stop was requested."""
        epoch.batches += self._engine.run(part, metrics)
        last = epoch.batches - 1
        if not metrics.finite():
            raise _diverged(f"the loss is not finite in batch {last}", epoch.number)
        if last % self._config.publish_interval == 0:
            for callback in self._callbacks:
                callback.on_batch_end(epoch.number, last, metrics)
        stop = self._stop_requested()
        self._report(epoch.number, epoch.batches, metrics, stop)
        return not stop

    def _finish_epoch(self, epoch: Epoch, metrics: Metrics) -> bool:
        """Evaluate and report a complete epoch; return False if a stop was requested meanwhile."""
        parameters = self._engine.model.arrays()
        if not parameters.finite():
            raise _diverged("a parameter is not finite at the end", epoch.number)
        epoch.scores = metrics.scores()
        if self._evaluate:
            evaluated = self._evaluate()
            if self._stop_requested():  # while test data were read
                self._report(epoch.number, epoch.batches, metrics, stopped=True)
                return False
            epoch.test_scores = evaluated.scores()
            self._early_stopping.update(epoch.number, epoch.test_scores[evaluated.loss], parameters)
        self._scores = epoch.scores
        epoch.last = epoch.number + 1 == self._config.epochs
        epoch.last |= self._early_stopping.should_stop(epoch.number)
        for callback in self._callbacks:
            callback.on_epoch_end(epoch)
        self._report(epoch.number + 1, 0, None, stopped=False)
        return True

    def _report(self, epoch: int, batch: int, metrics: Metrics | None, stopped: bool) -> None:
        """Give callbacks the state that training can be resumed from."""
        rows, sums = (metrics.rows, tuple(metrics.sums.tolist())) if metrics else (0, ())
        best = self._early_stopping.best
        state = TrainingState(epoch, batch, rows, sums, self._scores, best)
        for callback in self._callbacks:
            callback.on_progress(state, stopped)

    def _parts(self, plan: Bounds, planned: int, done: int) -> Iterator[Bounds]:
        """Yield the batches of each call of the engine: up to the next batch to publish.

        `planned` batches of the epoch were in earlier plans. `done` batches are done; some of them
        may be in this plan, if training was resumed.
        """
        interval = self._config.publish_interval
        first = max(0, done - planned)
        while first < len(plan):
            # Batches 0, interval, 2 * interval, ... are published: a part ends after each of them.
            published = -(-(planned + first) // interval) * interval + 1
            last = min(first + self._batches_per_call, published - planned, len(plan))
            yield plan[first:last]
            first = last


def _diverged(problem: str, epoch: int) -> DivergedError:
    return DivergedError(
        f"training diverged: {problem} of epoch {epoch}. Lower bias_lr, linear_lr or factors_lr, "
        "set clip_gradient, or scale the features and labels"
    )
