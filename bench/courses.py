"""Learning curves on the lab's rows, evaluated on its test rows after each epoch."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from bench import libfm, myfm, xlearn
from bench.data import WORK
from bench.engines import numba_engine
from factorization_machines.batching import batch_bounds, shuffled_bounds
from factorization_machines.config import TrainingConfig
from factorization_machines.metrics import ACCURACY, CROSS_ENTROPY, metrics_for
from factorization_machines.recordio.decoder import Rows

# libFM logs the test accuracy, but not the cross-entropy: one run for each number of epochs.
LIBFM_EPOCHS = (1, 2, 4, 8, 12, 16, 24, 32)


@dataclass(frozen=True)
class Course:
    """Training seconds so far, test cross-entropy and accuracy, after each epoch shown."""

    seconds: list[float]
    losses: list[float]
    accuracies: list[float]
    chosen: int | None = None
    """The index that was chosen on other rows."""

    @property
    def best(self) -> int:
        """Return the index of the lowest loss, which early stopping keeps, or the chosen one."""
        return int(np.argmin(self.losses)) if self.chosen is None else self.chosen


def by_numba(
    train: Rows, test: Rows, config: TrainingConfig, threads: int, patience: int = 0
) -> Course:
    """Return the learning curve of numba; with a patience, it ends as early stopping would."""
    engine = numba_engine(train, config, threads)
    plan = batch_bounds(len(train), config.mini_batch_size)
    course, spent = Course([], [], []), 0.0
    for epoch in range(config.epochs):
        began = perf_counter()
        order = shuffled_bounds(plan, config.seed, epoch) if config.shuffle else plan
        engine.run(order, metrics_for(config.classifier))
        spent += perf_counter() - began
        measured = metrics_for(config.classifier)
        measured.add(engine.score(test.x), test.y)
        scores = measured.scores()
        course.seconds.append(spent)
        course.losses.append(scores[CROSS_ENTROPY])
        course.accuracies.append(scores[ACCURACY])
        if patience and len(course.losses) - 1 - course.best >= patience:
            break
    return course


def by_xlearn(
    train: Path, test: Path, num_factors: int, epochs: int, threads: int, rate: float, decay: float
) -> Course:
    """Return xLearn's course; the seconds exclude the scoring of test rows."""
    fit = xlearn.fit(train, num_factors, epochs, threads, test, rate, decay)
    each = xlearn.epoch_seconds(train, num_factors, threads, few=5, many=5 + epochs)
    _, losses, accuracies, _ = (list(column) for column in zip(*fit.epochs, strict=True))
    return Course([each * (n + 1) for n in range(epochs)], losses, accuracies)


def by_libfm(train: Path, test: Path, labels: NDArray[np.float32], num_factors: int) -> Course:
    course, out = Course([], [], []), WORK / "libfm.out"
    for epochs in LIBFM_EPOCHS:
        seconds = libfm.epochs(train, test, num_factors, epochs, out)
        p = np.loadtxt(out)
        right = np.clip(np.where(labels > 0, p, 1 - p), 1e-12, 1)
        course.seconds.append(sum(seconds))
        course.losses.append(float(-np.log(right).mean()))
        course.accuracies.append(float(((p > 0.5) == (labels > 0)).mean()))
    return course


def by_myfm(arrays: Path, rank: int, count: int) -> Course:
    lines = myfm.iterations(arrays, rank, count)
    seconds = np.cumsum([line["seconds"] for line in lines]).tolist()
    return Course(seconds, [line["loss"] for line in lines], [line["accuracy"] for line in lines])
