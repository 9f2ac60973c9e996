"""The log lines of training, in the built-in's form, and a progress bar on a terminal."""

import os
import sys
import time

from tqdm import tqdm

from factorization_machines.config import TrainingConfig
from factorization_machines.metrics import Metrics
from factorization_machines.trainer import Callback, Epoch
from sagemaker_container.contract.log import JobLog, Read, counters, statistics
from sagemaker_container.training.dataset import ChannelDataset


class JobProgress(Callback):
    """Writes the log lines of training, and keeps the last epoch as `last_epoch`.

    The service's reader counts two passes an epoch, and one before training, of a single batch.
    """

    def __init__(self, log: JobLog, config: TrainingConfig, dataset: ChannelDataset):
        self.last_epoch: Epoch | None = None
        self._log = log
        self._config = config
        self._dataset = dataset
        self._first = 0  # records of the first batch
        self._bar = tqdm(disable=True)

    def __enter__(self) -> "JobProgress":
        # Created here, because the lines before training do not make room for it.
        epochs = self._config.epochs
        self._bar = tqdm(total=epochs, unit="epoch", disable=not on_terminal())
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def log_first_read(self) -> None:
        """Log that the first batch was read."""
        dataset = self._dataset
        self._log_pass(0, dataset.seconds_to_load, 1, dataset.bytes_of_first_batch)

    def on_first_batch(self, rows: int) -> None:
        """Log what was read before training: one batch."""
        self._first = rows
        now = time.time()
        with tqdm.external_write_mode():  # hides the bar meanwhile
            if self._dataset.rows is None:
                self.log_first_read()
            self._log.data_iter("init_train", counters(0, 0, 0, first=rows), now, now)

    def on_batch_end(self, epoch: int, batch: int, metrics: Metrics) -> None:
        """Log the metrics of the epoch so far."""
        with tqdm.external_write_mode():
            self._log.quality("train", metrics.scores(), epoch, batch)

    def on_epoch_end(self, epoch: Epoch) -> None:
        """Log the results of an epoch, in the order of the built-in."""
        self.last_epoch = epoch
        with tqdm.external_write_mode():
            self._log_epoch(epoch)
        self._bar.update()

    def _log_epoch(self, epoch: Epoch) -> None:
        log, config = self._log, self._config
        seconds = epoch.ended - epoch.started
        self._log_pass(2 * (epoch.number + 1), seconds, epoch.batches, self._dataset.bytes_of_pass)
        log.quality("train", epoch.scores, epoch.number)
        if epoch.last:
            log.quality("train", epoch.scores)
        numbers = {"update.time": statistics(1000 * seconds)}
        if epoch.number == 0:
            numbers = {"epochs": statistics(config.epochs), **numbers}
        log.metrics(numbers, epoch.started, epoch.ended)
        log.progress(epoch.number, config.epochs)
        # The counters include the batches of an earlier run.
        read = counters(epoch.records, epoch.batches, epoch.number + 1, first=self._first)
        log.data_iter("training", read, epoch.started, epoch.ended, epoch=epoch.number)
        if epoch.test_scores is not None:
            log.quality("test", epoch.test_scores, epoch.number)
        log.throughput(epoch.records - epoch.resumed, seconds)

    def _log_pass(self, number: int, seconds: float, batches: int, nbytes: int) -> None:
        read = Read(seconds, batches, nbytes)
        self._log.epoch_stats(self._dataset.channel.folder, number, read)


def on_terminal() -> bool:
    """Return whether stderr is a terminal with a width.

    SDK local mode gives the container a terminal without a size, which nobody reads.
    """
    try:
        return sys.stderr.isatty() and os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError):
        return False
