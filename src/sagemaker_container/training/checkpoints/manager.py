"""Writes checkpoints during training: copied between two batches, written by a thread."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from factorization_machines.engines.base import Engine
from factorization_machines.trainer import Callback, TrainingState
from sagemaker_container.contract.log import JobLog
from sagemaker_container.training.checkpoints.file import Checkpoint
from sagemaker_container.training.checkpoints.fingerprint import JobFingerprint
from sagemaker_container.training.checkpoints.store import CheckpointStore


@dataclass(frozen=True)
class Interval:
    """The interval between checkpoints, in epochs or in seconds; the other one is None."""

    epochs: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Interval":
        """Return the interval for a text such as "2", in epochs, or "60s"."""
        if text.endswith("s"):
            return cls(seconds=float(text.removesuffix("s")))
        return cls(epochs=int(text))


class CheckpointManager(Callback):
    """Writes a checkpoint at an interval, after the last epoch, and when training is stopped.

    A failed write is logged once; training continues. At most one checkpoint is being written at a
    time. Cost: memory for a copy of parameters and optimizer state while it is written.
    """

    def __init__(
        self,
        store: CheckpointStore,
        fingerprint: JobFingerprint,
        interval: Interval,
        epochs: int,
        engine: Engine,
        log: JobLog,
    ):
        self._store = store
        self._fingerprint = fingerprint
        self._interval = interval
        self._epochs = epochs
        self._engine = engine
        self._log = log
        self._problem = ""  # that was logged last
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[Path] | None = None
        self._last_epoch = 0
        self._last_time = time.monotonic()

    def resume_from(self, state: TrainingState) -> None:
        """Start the interval at a state that is already on disk."""
        self._last_epoch = state.epoch

    def on_progress(self, state: TrainingState, stopped: bool) -> None:
        """Write a checkpoint if it is due, if training was stopped or if this is the end."""
        last = state.epoch >= self._epochs
        if stopped or last:
            self._wait()
        elif not self._due(state):
            return
        self._last_epoch, self._last_time = state.epoch, time.monotonic()
        try:
            parameters = self._engine.model.arrays()
            if not stopped:  # otherwise the parameters no longer change
                parameters = parameters.copy()
            optimizer = self._engine.state_dict()
        except MemoryError:
            self._warn("no checkpoint: not enough memory for a copy of parameters and moments")
            return
        checkpoint = Checkpoint(self._fingerprint, state, parameters, optimizer)
        self._writing = self._thread.submit(self._store.write, checkpoint)

    def __enter__(self) -> "CheckpointManager":
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for the write in progress, whether training failed or not."""
        self._wait()
        self._thread.shutdown()

    def _due(self, state: TrainingState) -> bool:
        if self._writing is not None:
            if not self._writing.done():
                return False
            self._wait()
        if self._interval.epochs is not None:
            # At the end of an epoch, or later if a checkpoint was being written then.
            return state.epoch - self._last_epoch >= self._interval.epochs
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
            self._warn(f"no checkpoint can be written to {self._store.path}: {why}")
        else:
            self._problem = ""
            self._log.message(f"Checkpoint written: {path}")

    def _warn(self, problem: str) -> None:
        """Log a problem, unless it is the same as last time."""
        if problem != self._problem:
            self._problem = problem
            self._log.warning(f"{problem}; training goes on")
