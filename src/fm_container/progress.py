"""What a job says while it trains: the built-in's lines, and a progress bar on a terminal."""

import os
import sys

from tqdm import tqdm

from fm_container.algorithm.fit import Epoch
from fm_container.algorithm.metrics import Metrics
from fm_container.algorithm.settings import Settings
from fm_container.contract.log import JobLog, statistics


class JobProgress:
    """Observes `fit`: writes its lines, and keeps the last epoch as `last`."""

    def __init__(self, log: JobLog, settings: Settings):
        self.last: Epoch | None = None
        self._log = log
        self._settings = settings
        self._bar = tqdm(total=settings.epochs, unit="epoch", disable=not on_terminal())

    def __enter__(self) -> "JobProgress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

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
        epochs = epoch.number + 1  # each has the same batches, also those of an earlier run
        log.quality("train", epoch.scores, epoch.number)
        numbers = {"update.time": statistics(1000 * (epoch.ended - epoch.started))}
        if epoch.number == 0:
            numbers = {"epochs": statistics(settings.epochs), **numbers}
        log.metrics(numbers, epoch.started, epoch.ended)
        log.progress(epoch.number, settings.epochs)
        counts = {
            "Total Records Seen": epochs * epoch.records,
            "Total Batches Seen": epochs * epoch.batches,
            "Max Records Seen Between Resets": epoch.records,
            "Max Batches Seen Between Resets": epoch.batches,
            "Reset Count": epochs,
            "Number of Records Since Last Reset": epoch.records,
            "Number of Batches Since Last Reset": epoch.batches,
        }
        log.metrics(
            {name: statistics(count) for name, count in counts.items()},
            epoch.started,
            epoch.ended,
            epoch=epoch.number,
            Meta="training_data_iter",
        )
        if epoch.test_scores is not None:
            log.quality("test", epoch.test_scores, epoch.number)
        log.throughput(epoch.records - epoch.resumed, epoch.ended - epoch.started)


def on_terminal() -> bool:
    """Return whether a person's terminal is there to draw on.

    SDK local mode gives the container a terminal that nobody sits at: it has no size.
    """
    try:
        return sys.stderr.isatty() and os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError):
        return False
