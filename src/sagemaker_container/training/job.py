"""The training recipe: configuration, data, fit, test scores, model artifact."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from factorization_machines import __version__, artifact
from factorization_machines.errors import AlgorithmError
from factorization_machines.metrics import Metrics, metrics_for
from factorization_machines.trainer import ROWS_AT_ONCE, Outcome, fit, streamed
from factorization_machines.training_state import Position
from sagemaker_container.contract import channels, hyperparameters
from sagemaker_container.contract.hyperparameters import Hyperparameters
from sagemaker_container.contract.log import JobLog, Read, counters, statistics
from sagemaker_container.contract.paths import OptMl
from sagemaker_container.errors import ChannelError
from sagemaker_container.training import engine_choice, host_group, memory_budget
from sagemaker_container.training.checkpoints import CheckpointKeeper
from sagemaker_container.training.dataset import Source
from sagemaker_container.training.progress import JobProgress
from sagemaker_container.training.resume import resume
from sagemaker_container.training.settings import settings_of
from sagemaker_container.training.warm_start import starting_point

if TYPE_CHECKING:
    from sagemaker_container.training.host_group import HostGroup

_TESTED_AT_ONCE = 8192  # rows: the sums of a channel are the same however it comes


def train(paths: OptMl, stopped: Callable[[], bool]) -> bool:
    """Run one training job; return False if `stopped` ended it early, with its model saved.

    Raises: UserError, PlatformError or AlgorithmError; see `errors` for who can fix it.
    """
    began = Clock()
    given = hyperparameters.read(paths.hyperparameters)
    hosts = channels.hosts(paths)
    params = hyperparameters.check(given)
    log = JobLog(hosts.current, params.text("_log_level"))
    table = Path(hyperparameters.__file__)
    # The built-in's own file has the epochs as a number, and everything else as a string.
    defaults = {**hyperparameters.builtin_defaults(), "epochs": 1}
    log.message(f"Reading default configuration from {table}: {defaults}")
    log.message(f"Merging with provided configuration from {paths.hyperparameters}: {given}")
    log.message(f"Final configuration: {hyperparameters.builtin_defaults() | given}")
    log.plain(f"Process {os.getpid()} is a worker.")
    log.message("Using default worker.")

    with host_group.join(hosts, params, log) as group:
        job = TrainingJob(paths, params, group, log, lambda: group.any_reduce(stopped()))
        job.load()
        job.prepare()
        setup = began.seconds
        outcome = job.fit()
        job.save(outcome)
        finished = outcome.finished and job.test()
        job.verify()
        total = began.seconds
        times = _milliseconds({"setuptime": setup, "totaltime": total})
        log.metrics(times, began.started, began.started + total)
    return finished


class Clock:
    """When something began, in seconds since 1970, and how long ago by the monotonic clock."""

    def __init__(self) -> None:
        self.started, self._began = time.time(), time.perf_counter()

    @property
    def seconds(self) -> float:
        """Return the seconds since then."""
        return time.perf_counter() - self._began


class TrainingJob:
    """One job on this host: its methods are called once, in the order in which they stand here."""

    def __init__(
        self,
        paths: OptMl,
        params: Hyperparameters,
        group: "HostGroup",
        log: JobLog,
        stopped: Callable[[], bool],
    ):
        self.paths, self.params, self.group, self.log = paths, params, group, log
        self.stopped = stopped
        self._clock = Clock()
        self.settings = settings_of(params)
        self.channels = channels.channels(paths)
        if self.settings.patience and "test" not in self.channels:
            raise ChannelError(
                "_early_stopping_patience needs the channel 'test'; the job has none"
            )
        self.master = group.rank == 0
        if self.master:
            artifact.check_writable(paths.model)
        self._keeps = self.master and paths.checkpoints.is_dir()
        if not self._keeps:
            log.message("Checkpoint loading and saving are disabled.")
        self._tests = 0  # passes over the test channel

    def load(self) -> None:
        """Make the starting point, and read the channels into memory where they fit.

        Raises: PlatformError if the model does not fit; ChannelError, DataError of the channels.
        """
        settings, log = self.settings, self.log
        room = memory_budget.for_data(settings, self.params, checkpoints=self._keeps)
        self.parameters = starting_point(self.paths, settings, log, grow=self.params.flag("_grow"))
        self.sources = {}
        for name, channel in self.channels.items():
            source = Source(channel, settings, room, log.message, self.stopped)
            source.load()
            room -= source.nbytes
            self.sources[name] = source
        self.training = self.sources["train"]
        if settings.shuffle and self.training.rows is None:
            raise ChannelError(
                "_shuffle needs the channel 'train' in memory, and it is streamed: raise "
                "_memory_budget_mb or the memory, use File mode, or leave _shuffle out"
            )
        self.shares = {
            name: host_group.shares(self.group, self.channels[name], source.rows)
            for name, source in self.sources.items()
        }
        self.progress = JobProgress(log, settings, self.channels["train"], self.training)
        if self.training.rows is not None:
            self.progress.loaded()

    def prepare(self) -> None:
        """Choose the engine, and go on from the last checkpoint, if there is one."""
        params, log = self.params, self.log
        device = params.text("_device")
        log.message(f"Number of GPUs being used: {int(device != 'cpu')}")
        log.message("[Sparse network] Building a sparse network.")
        self.chosen = engine_choice.choose(
            params.text("_engine"),
            device,
            params.integer("_num_threads"),
            self.parameters,
            self.settings,
            self.training.rows,
            self.shares["train"],
            self.group,
        )
        sizes = ", ".join(f"{source} {name}" for name, source in self.sources.items())
        log.message(f"Training with the engine {self.chosen.name}: {sizes} records")
        self.begin, self.keeper = self._resume()
        self._timed("initialize.time", self._clock)

    def _resume(self) -> tuple[Position, CheckpointKeeper | None]:
        return resume(
            self.paths,
            self.params,
            self.parameters,
            self.sources,
            self.chosen.engine,
            self.chosen.kind,
            self.group,
            self.channels,
            self.log,
        )

    def fit(self) -> Outcome:
        """Train; the last checkpoint is on disk when this returns."""
        engine, group = self.chosen.engine, self.group
        blocks = streamed(engine, lambda: self.training.blocks(self.settings.mini_batch_size))
        shares = self.shares["train"]
        self.stopped()  # from here on a signal is for `fit` to answer
        sent = group.sent
        with self.keeper or contextlib.nullcontext(), self.progress:
            outcome = fit(
                engine,
                self.parameters,
                shares.rows if shares else blocks,
                self.settings,
                self.progress,
                self.stopped,
                self._measure if "test" in self.sources else None,
                self.begin,
                self.keeper,
                self._rows_at_once(),
            )
        if group.size > 1:
            self.log.message(f"Sent to the other hosts: {group.sent - sent} bytes")
        return outcome

    def save(self, outcome: Outcome) -> None:
        """Write the model artifact.

        Raises: AlgorithmError if a parameter is not finite; PlatformError if it cannot be written.
        """
        log, last = self.log, self.progress.last
        scores = last.scores if last else self.begin.scores
        if scores and not (last and last.last):  # else they stand with the last epoch's lines
            log.quality("train", scores)
        if not self.parameters.finite():
            raise AlgorithmError("a parameter is not finite; nothing was saved")
        if outcome.kept is not None:
            log.message(f"Early stopping: the model is that of epoch {outcome.kept}")
        if not self.master:
            return
        clock = Clock()
        texts = {name: text for name, text in self.params.texts.items() if text}
        notes = {
            "trained_by": f"local-factorization-machines {__version__}",
            "engine": self.chosen.name,
        }
        path = artifact.write(self.paths.model, artifact.Model(self.parameters, texts, notes))
        self._timed("finalize.time", clock)
        log.message(f'Saved checkpoint to "{path}"')

    def test(self) -> bool:
        """Log the scores of the channel `test`, if there is one; return False if stopped."""
        if "test" not in self.sources:
            return True
        clock, source, log = Clock(), self.sources["test"], self.log
        metrics = self._measure()
        if self.stopped():  # or it is not all rows
            return False
        folder = self.channels["test"].folder
        batches = -(-metrics.rows // self.settings.mini_batch_size)
        log.epoch_stats(folder, 0, Read(source.seconds_to_load, 1, source.bytes_of_first_batch))
        log.epoch_stats(folder, self._tests, Read(clock.seconds, batches, source.bytes_of_pass))
        read = counters(metrics.rows, batches, self._tests)
        log.data_iter("test", read, clock.started, clock.started + clock.seconds)
        log.test_scores(metrics.scores())
        return True

    def verify(self) -> None:
        """Read the artifact again: a job succeeds only with a model that can be read."""
        if self.master:
            artifact.read(self.paths.model)
        # Where one host leaves, local mode ends the others: none does before the model is there.
        self.group.any_reduce(False)

    def _timed(self, name: str, clock: Clock) -> None:
        seconds = clock.seconds
        self.log.metrics(_milliseconds({name: seconds}), clock.started, clock.started + seconds)

    def _measure(self) -> Metrics:
        """Return the metrics of the channel `test`, of all hosts, by the parameters as they are."""
        engine, source, shares = self.chosen.engine, self.sources["test"], self.shares["test"]
        metrics, rows = metrics_for(self.settings.classifier), source.rows
        self._tests += 1
        if shares is not None and rows is not None:  # a host of many may have no rows
            start, stop = shares.of(self.group.rank, np.array([[0, shares.rows]]))[0].tolist()
            for first in range(start, stop, _TESTED_AT_ONCE):
                last = min(first + _TESTED_AT_ONCE, stop)
                metrics.add(engine.score(rows.x[first:last]), rows.y[first:last])
            return host_group.total(self.group, metrics)
        source.keep()
        for block in source.blocks(_TESTED_AT_ONCE, bounded=False):
            for first, last in block.batches:
                metrics.add(engine.score(block.x[first:last]), block.y[first:last])
        return metrics

    def _rows_at_once(self) -> int:
        """Return how many rows are trained on before a stop is answered: a second or so of work.

        The hosts ask one another about it, so that all have to do it after the same batches.
        """
        rows = self.training.rows
        if rows is None:  # streamed, and the decoder's buffer is the smaller part
            return ROWS_AT_ONCE
        work = self.settings.num_factors * max(1, int(rows.x.nnz) // max(1, len(rows)))
        mine = min(ROWS_AT_ONCE, max(1, (1 << 27) // work))
        return int(self.group.all_gather(np.array([mine], np.int64)).min())


def _milliseconds(seconds: dict[str, float]) -> dict[str, dict[str, float]]:
    return {name: statistics(1000 * value) for name, value in seconds.items()}
