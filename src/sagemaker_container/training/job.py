"""A training job: configuration, data, training, test scores, model artifact."""

import contextlib
import gc
import importlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from factorization_machines import __version__, artifact
from factorization_machines.batching import BatchedChunk
from factorization_machines.errors import AlgorithmError
from factorization_machines.metrics import Metrics, metrics_for
from factorization_machines.trainer import ROWS_PER_CALL, Outcome, Trainer
from sagemaker_container.contract import channels, hyperparameters
from sagemaker_container.contract.errors import ChannelError
from sagemaker_container.contract.hyperparameters import Hyperparameters
from sagemaker_container.contract.log import JobLog, Read, counters, statistics
from sagemaker_container.contract.paths import OptMl
from sagemaker_container.training import engine_choice, host_group, memory_budget
from sagemaker_container.training.config import training_config
from sagemaker_container.training.dataset import ChannelDataset
from sagemaker_container.training.progress import JobProgress
from sagemaker_container.training.resume import JobCheckpoints
from sagemaker_container.training.warm_start import starting_parameters

if TYPE_CHECKING:
    from sagemaker_container.training.host_group import HostGroup

_TEST_ROWS = 8192  # rows scored in one call; constant, because sums depend on it


def train(paths: OptMl, stopped: Callable[[], bool]) -> bool:
    """Run one training job; return False if `stopped` ended it early, with its model saved.

    Raises: UserError, PlatformError or AlgorithmError; see `errors` for who can fix it.
    """
    clock = Clock()
    raw = hyperparameters.read(paths.hyperparameters)
    hosts = channels.hosts(paths)
    checked = hyperparameters.check(raw, lambda: channels.problems(paths))
    log = JobLog(hosts.current, checked.text("_log_level"))
    table = Path(*Path(hyperparameters.__file__).parts[-3:])  # below the folder of the packages
    # In the built-in's own file, epochs is a number and everything else is a string.
    defaults = {**hyperparameters.builtin_defaults(), "epochs": 1}
    log.message(f"Reading default configuration from {table}: {defaults}")
    log.message(f"Merging with provided configuration from {paths.hyperparameters}: {raw}")
    log.message(f"Final configuration: {hyperparameters.builtin_defaults() | raw}")
    log.plain(f"Process {os.getpid()} is a worker.")
    log.message("Using default worker.")

    with host_group.join(hosts, checked, log) as group:
        job = TrainingJob(paths, checked, group, log, lambda: group.any_reduce(stopped()))
        job.load()
        job.prepare()
        gc.enable()  # disabled by the command train, for the imports up to here
        setup = clock.seconds
        outcome = job.fit()
        job.save(outcome)
        finished = outcome.finished and job.test()
        job.verify()
        total = clock.seconds
        times = _milliseconds({"setuptime": setup, "totaltime": total})
        log.metrics(times, clock.started, clock.started + total)
    return finished


class Clock:
    """A start in seconds since 1970, and the seconds since then by the monotonic clock."""

    def __init__(self) -> None:
        self.started, self._began = time.time(), time.perf_counter()

    @property
    def seconds(self) -> float:
        """Return the seconds since the start."""
        return time.perf_counter() - self._began


class TrainingJob:
    """One job on this host. Its methods are called once each, in the order of their definition."""

    def __init__(
        self,
        paths: OptMl,
        hyperparameters: Hyperparameters,
        group: "HostGroup",
        log: JobLog,
        stopped: Callable[[], bool],
    ):
        self.paths, self.hyperparameters = paths, hyperparameters
        self.group, self.log, self.stopped = group, log, stopped
        self._clock = Clock()
        self.config = training_config(hyperparameters)
        self.channels = channels.channels(paths)
        self._model_folder = channels.model_folder(paths)
        for channel in self.channels.values():
            if channel.hidden:
                log.message(
                    f"Channel {channel.name!r}: {len(channel.hidden)} hidden files or folders are "
                    f"skipped: {', '.join(map(repr, channel.hidden[:5]))}"
                )
        host_group.check_same_job(
            group, hyperparameters, self.channels, self._model_folder is not None
        )
        if self.config.patience and "test" not in self.channels:
            raise ChannelError(
                "_early_stopping_patience needs the channel 'test'; the job has none"
            )
        self.master = group.rank == 0
        self._writes_checkpoints = self.master and paths.checkpoints.is_dir()
        if not self._writes_checkpoints:
            log.message("Checkpoint loading and saving are disabled.")
        self._test_passes = 0

    def load(self) -> None:
        """Make the starting parameters, and read the channels into memory if they fit.

        Raises: PlatformError if the model does not fit or cannot be written; ChannelError and
            DataError of the channels.
        """
        config, log = self.config, self.log
        available = memory_budget.for_data(
            config, self.hyperparameters, checkpoints=self._writes_checkpoints
        )
        if self.master:
            values = 1 + config.feature_dim * (1 + config.num_factors)
            artifact.check_writable(self.paths.model, 4 * values)
        grow = self.hyperparameters.flag("_grow")
        self._parameters = starting_parameters(self.paths, config, log, grow=grow)
        # The import takes a second or more, while decoding needs no interpreter lock. The thread is
        # no daemon: the interpreter must not exit while it runs.
        self._torch = threading.Thread(target=importlib.import_module, args=["torch"])
        self._torch.start()
        self.datasets = {}
        for name, channel in self.channels.items():
            dataset = ChannelDataset(channel, config, available, log.message, self.stopped)
            dataset.load()
            available -= dataset.nbytes
            self.datasets[name] = dataset
        self.training = self.datasets["train"]
        if config.shuffle and self.training.rows is None:
            raise ChannelError(
                "_shuffle needs the channel 'train' in memory, and it is streamed: raise "
                "_memory_budget_mb or the memory, use File mode, or leave _shuffle out"
            )
        initial = self._parameters if self._model_folder else None
        self.shares = host_group.check_same_data(self.group, self.datasets, initial)
        self.progress = JobProgress(log, config, self.training)
        if self.training.rows is not None:
            self.progress.log_first_read()

    def prepare(self) -> None:
        """Make the model and choose the engine; resume from the last checkpoint, if any."""
        log = self.log
        self._torch.join()
        from factorization_machines.module import FactorizationMachine

        self.model = FactorizationMachine(self._parameters)
        device = self.hyperparameters.text("_device")
        log.message(f"Number of GPUs being used: {int(device != 'cpu')}")
        log.message("[Sparse network] Building a sparse network.")
        self.choice = engine_choice.choose(
            self.model,
            self.config,
            self.hyperparameters,
            self.group,
            self.training.rows,
            self.shares["train"],
        )
        sizes = ", ".join(f"{dataset} {name}" for name, dataset in self.datasets.items())
        log.message(f"Training with the engine {self.choice.name}: {sizes} records")
        checkpoints = JobCheckpoints(self.paths, self.hyperparameters, self.group, log)
        self.state, self.checkpoints = checkpoints.resume(self.datasets, self.choice)
        self._log_time("initialize.time", self._clock)

    def fit(self) -> Outcome:
        """Train; the last checkpoint is on disk when this returns."""
        group, shares = self.group, self.shares["train"]
        self.stopped()  # from now on a signal only sets a flag, which the trainer reads
        sent = group.sent
        trainer = Trainer(
            self.choice.engine,
            self.config,
            [self.progress, *([self.checkpoints] if self.checkpoints else [])],
            self._evaluate if "test" in self.datasets else None,
            self.stopped,
            self._rows_per_call(),
        )
        with self.checkpoints or contextlib.nullcontext(), self.progress:
            outcome = trainer.fit(shares.rows if shares else self._batches, self.state)
        if group.size > 1:
            self.log.message(f"Sent to the other hosts: {group.sent - sent} bytes")
        return outcome

    def save(self, outcome: Outcome) -> None:
        """Write the model artifact.

        Raises: AlgorithmError if a parameter is not finite; PlatformError if it cannot be written.
        """
        log, last = self.log, self.progress.last_epoch
        scores = last.scores if last else self.state.scores
        if scores and not (last and last.last):  # otherwise the last epoch logged them
            log.quality("train", scores)
        parameters = self.model.arrays()
        if not parameters.finite():
            raise AlgorithmError("a parameter is not finite; nothing was saved")
        if outcome.best_epoch is not None:
            log.message(f"Early stopping: the model is that of epoch {outcome.best_epoch}")
        if not self.master:
            return
        clock = Clock()
        texts = {name: text for name, text in self.hyperparameters.texts.items() if text}
        notes = {
            "trained_by": f"local-factorization-machines {__version__}",
            "engine": self.choice.name,
        }
        path = artifact.write(self.paths.model, artifact.Model(parameters, texts, notes))
        self._log_time("finalize.time", clock)
        log.message(f'Saved checkpoint to "{path}"')

    def test(self) -> bool:
        """Log the scores of the channel `test`, if there is one; return False if stopped."""
        if "test" not in self.datasets:
            return True
        clock, dataset, log = Clock(), self.datasets["test"], self.log
        metrics = self._evaluate()
        if self.stopped():  # then the metrics may lack rows
            return False
        folder = self.channels["test"].folder
        batches = -(-metrics.rows // self.config.mini_batch_size)
        first = Read(dataset.seconds_to_load, 1, dataset.bytes_of_first_batch)
        log.epoch_stats(folder, 0, first)
        whole = Read(clock.seconds, batches, dataset.bytes_of_pass)
        log.epoch_stats(folder, self._test_passes, whole)
        read = counters(metrics.rows, batches, self._test_passes)
        log.data_iter("test", read, clock.started, clock.started + clock.seconds)
        log.test_scores(metrics.scores())
        return True

    def verify(self) -> None:
        """Read the artifact: a job succeeds only with a model that can be read."""
        if self.master:
            artifact.read(self.paths.model)
        # SDK local mode stops all hosts when one exits: wait until the model is there.
        self.group.any_reduce(False)

    def _log_time(self, name: str, clock: Clock) -> None:
        seconds = clock.seconds
        self.log.metrics(_milliseconds({name: seconds}), clock.started, clock.started + seconds)

    def _batches(self) -> Iterator[BatchedChunk]:
        return self.training.batches(self.config.mini_batch_size)

    def _evaluate(self) -> Metrics:
        """Return the metrics of the channel `test` on all hosts."""
        engine, dataset, shares = self.choice.engine, self.datasets["test"], self.shares["test"]
        metrics, rows = metrics_for(self.config.classifier), dataset.rows
        self._test_passes += 1
        if shares is not None and rows is not None:  # one of several hosts may have no rows
            start, stop = shares.of(self.group.rank, np.array([[0, shares.rows]]))[0].tolist()
            for first in range(start, stop, _TEST_ROWS):
                last = min(first + _TEST_ROWS, stop)
                metrics.add(engine.score(rows.x[first:last]), rows.y[first:last])
            return host_group.total(self.group, metrics)
        dataset.keep_next_pass()
        for chunk in dataset.batches(_TEST_ROWS, bounded=False):
            for first, last in chunk.bounds:
                metrics.add(engine.score(chunk.x[first:last]), chunk.y[first:last])
        return metrics

    def _rows_per_call(self) -> int:
        """Return the rows between two checks for a stop: about a second of work.

        The check is a collective operation of the hosts, so all must use the same number.
        """
        rows = self.training.rows
        if rows is None:  # the decoder's buffer has fewer rows
            return ROWS_PER_CALL
        work = self.config.num_factors * max(1, int(rows.x.nnz) // max(1, len(rows)))
        own = min(ROWS_PER_CALL, max(1, (1 << 27) // work))
        return int(self.group.all_gather(np.array([own], np.int64)).min())


def _milliseconds(seconds: dict[str, float]) -> dict[str, dict[str, float]]:
    return {name: statistics(1000 * value) for name, value in seconds.items()}
