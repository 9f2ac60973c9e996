"""What a job logs while it trains: the built-in's lines, and a progress bar on a terminal."""

import os
import sys
import time

from tqdm import tqdm

from factorization_machines.config import Settings
from factorization_machines.metrics import Metrics
from factorization_machines.trainer import Epoch
from sagemaker_container.contract.channels import Channel
from sagemaker_container.contract.log import JobLog, Read, counters, statistics
from sagemaker_container.training.dataset import Source


class JobProgress:
    """Observes `fit`: writes its lines, and keeps the last epoch as `last`.

    The service's reader counts two passes an epoch, and one before training, of a single batch.
    """

    def __init__(self, log: JobLog, settings: Settings, channel: Channel, source: Source):
        self.last: Epoch | None = None
        self._log = log
        self._settings = settings
        self._channel, self._source = channel, source
        self._first = 0  # records of the first batch
        self._bar = tqdm(total=settings.epochs, unit="epoch", disable=not on_terminal())

    def __enter__(self) -> "JobProgress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def loaded(self) -> None:
        """Write that the first batch was read, where that is known before training."""
        self._end_of_pass(0, self._source.seconds_to_load, 1, self._source.bytes_of_first_batch)

    def first_batch(self, rows: int) -> None:
        """Write what was read before training: one batch."""
        self._first = rows
        if self._source.rows is None:
            self.loaded()
        now = time.time()
        self._log.data_iter("init_train", counters(0, 0, 0, first=rows), now, now)

    def batch(self, epoch: int, batch: int, metrics: Metrics) -> None:
        """Write the metrics of the epoch so far."""
        with tqdm.external_write_mode():  # the bar makes room, and comes back
            self._log.quality("train", metrics.scores(), epoch, batch)

    def epoch(self, epoch: Epoch) -> None:
        """Write the lines of an epoch's end, in the order of the built-in."""
        self.last = epoch
        with tqdm.external_write_mode():
            self._end_of_epoch(epoch)
        self._bar.update()

    def _end_of_epoch(self, epoch: Epoch) -> None:
        log, settings = self._log, self._settings
        seconds = epoch.ended - epoch.started
        self._end_of_pass(
            2 * (epoch.number + 1), seconds, epoch.batches, self._source.bytes_of_pass
        )
        log.quality("train", epoch.scores, epoch.number)
        if epoch.last:
            log.quality("train", epoch.scores)
        numbers = {"update.time": statistics(1000 * seconds)}
        if epoch.number == 0:
            numbers = {"epochs": statistics(settings.epochs), **numbers}
        log.metrics(numbers, epoch.started, epoch.ended)
        log.progress(epoch.number, settings.epochs)
        # Each epoch reads the same batches, also those of an earlier run.
        read = counters(epoch.records, epoch.batches, epoch.number + 1, first=self._first)
        log.data_iter("training", read, epoch.started, epoch.ended, epoch=epoch.number)
        if epoch.test_scores is not None:
            log.quality("test", epoch.test_scores, epoch.number)
        log.throughput(epoch.records - epoch.resumed, seconds)

    def _end_of_pass(self, number: int, seconds: float, batches: int, nbytes: int) -> None:
        self._log.epoch_stats(self._channel.folder, number, Read(seconds, batches, nbytes))


def on_terminal() -> bool:
    """Return whether a person's terminal is there to draw on.

    SDK local mode gives the container a terminal that nobody sits at: it has no size.
    """
    try:
        return sys.stderr.isatty() and os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError):
        return False
