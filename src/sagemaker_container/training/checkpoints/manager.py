"""Checkpoints as training goes: a copy between two batches, written by a thread of its own."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from factorization_machines.parameters import Parameters
from factorization_machines.trainer import Engine
from factorization_machines.training_state import Position
from sagemaker_container.training.checkpoints.file import Checkpoint
from sagemaker_container.training.checkpoints.fingerprint import Identity
from sagemaker_container.training.checkpoints.store import Folder


@dataclass(frozen=True)
class Interval:
    """How often: every so many epochs, or seconds; the other one is None."""

    epochs: int | None = None
    seconds: float | None = None


class CheckpointKeeper:
    """Writes a checkpoint at an interval, after the last epoch, and when training is stopped.

    What cannot be written is told once, and training goes on. Until a checkpoint is written, no
    other one is begun. Cost: memory for a copy of parameters and moments while it is written.
    """

    def __init__(
        self,
        folder: Folder,
        identity: Identity,
        interval: Interval,
        epochs: int,
        engine: Engine,
        parameters: Parameters,
        say: Callable[[str], object],
        warn: Callable[[str], object],
    ):
        self._folder = folder
        self._identity = identity
        self._interval = interval
        self._epochs = epochs
        self._engine = engine
        self._parameters = parameters
        self._say, self._warn = say, warn
        self._said = ""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[Path] | None = None
        self._last_epoch = 0
        self._last_time = time.monotonic()

    def begin(self, position: Position) -> None:
        """Count the interval from a position that is kept already."""
        self._last_epoch = position.epoch

    def reached(self, position: Position, stopped: bool = False) -> None:
        """See `fit.Keeper`."""
        last = position.epoch >= self._epochs
        if stopped or last:
            self._wait()
        elif not self._due(position):
            return
        self._last_epoch, self._last_time = position.epoch, time.monotonic()
        try:
            # Where training is stopped nothing changes any more, and no copy is needed.
            parameters = self._parameters if stopped else self._parameters.copy()
            moments = self._engine.moments()
        except MemoryError:
            self._tell("no checkpoint: not enough memory for a copy of parameters and moments")
            return
        checkpoint = Checkpoint(self._identity, position, parameters, moments)
        self._writing = self._thread.submit(self._folder.write, checkpoint)

    def __enter__(self) -> "CheckpointKeeper":
        return self

    def __exit__(self, *_: object) -> None:
        """Return when what is being written is written, however training ended."""
        self._wait()
        self._thread.shutdown()

    def _due(self, position: Position) -> bool:
        if self._writing is not None:
            if not self._writing.done():
                return False
            self._wait()
        if self._interval.epochs is not None:
            # At an epoch's end, or where that was missed because one was being written.
            return position.epoch - self._last_epoch >= self._interval.epochs
        seconds = self._interval.seconds or 0.0
        return time.monotonic() - self._last_time >= seconds

    def _wait(self) -> None:
        if self._writing is None:
            return
        writing, self._writing = self._writing, None
        try:
            path = writing.result()
        except Exception as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            self._tell(f"no checkpoint can be written to {self._folder.path}: {why}")
        else:
            self._said = ""
            self._say(f"Checkpoint written: {path}")

    def _tell(self, problem: str) -> None:
        """Say a problem, but not again as long as it lasts."""
        if problem != self._said:
            self._said = problem
            self._warn(f"{problem}; training goes on")
