"""The base class of jobs: queued, stoppable, and with a final status in every case."""

import threading
import traceback
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from local_sagemaker.context import Context
from local_sagemaker.errors import LocalError, write_log
from local_sagemaker.storage import lineage
from local_sagemaker.storage.records import Record, keep_trying

ENDED = ("Completed", "Failed", "Stopped")


class Job(ABC):
    """A job that runs in a thread of the pool. `kind` is the kind of its record."""

    kind: str

    def __init__(self, context: Context, name: str):
        """Take the name of a job whose record exists."""
        self.context, self.name = context, name
        # Unique, because a new job may have the name while the folder is being removed.
        self.work_folder = context.work(f"{name}-{uuid.uuid4().hex[:8]}")
        self.stopping = threading.Event()
        self.abandoned: str | None = None
        self._future: Future[None] | None = None

    def submit(self) -> None:
        """Queue the job."""
        self.context.running[self.kind, self.name] = self
        self._future = self.context.jobs.submit(self)

    def stop(self) -> None:
        """Ask the job to stop; its results so far are kept."""
        self.stopping.set()
        if self._future is not None and self._future.cancel():  # it was still queued
            self._forget()
            self.end("Stopped")

    def abandon(self, reason: str) -> None:
        """Fail the job soon, because the service stops."""
        self.abandoned = reason
        self.stopping.set()
        if self._future is not None and self._future.cancel():
            self.fail(reason)

    def __call__(self) -> None:
        """Run the job and record its final status."""
        try:
            if self.stopping.is_set():
                self.end("Stopped")
            else:
                self.work()
        except LocalError as error:
            self.fail(str(error))
        except Exception as error:
            write_log(traceback.format_exc())
            text = str(error).replace(f"{self.context.settings.state}/", "")
            self.fail(f"InternalServerError: {type(error).__name__}: {text}")
        finally:
            self._forget()
            self.context.runner.remove(self.work_folder)

    def _forget(self) -> None:
        """Remove this job from the running ones; a new job of the name stays there."""
        if self.context.running.get((self.kind, self.name)) is self:
            del self.context.running[self.kind, self.name]

    def record(self) -> Record:
        """Return the job's record.

        Raises: LocalError if it was deleted.
        """
        record = self.context.store.get(self.kind, self.name)
        if record is None:
            raise LocalError(f"The record of {self.name} was deleted.")
        return record

    def update(self, **changes: Any) -> None:
        """Change the job's record; wait for space on a full disk, unless the service stops."""
        self.keep_trying(lambda: self.context.store.update(self.kind, self.name, **changes))

    def close(self, **changes: Any) -> None:
        """Change the job's record for the last time, and record its outputs in the lineage."""

        def change() -> None:
            store = self.context.store
            with store.together():
                store.update(self.kind, self.name, **changes)
                if record := store.get(self.kind, self.name):
                    lineage.record_job(store, self.kind, record)

        self.keep_trying(change)

    def keep_trying(self, change: Callable[[], Any]) -> None:
        """Make a change of the store; wait for space on a full disk, unless the service stops."""
        keep_trying(change, lambda: self.abandoned)

    def fail(self, reason: str) -> None:
        """Record that the job failed."""
        self.end("Failed", FailureReason=reason[:1024])

    @abstractmethod
    def work(self) -> None:
        """Run the job and record its end."""

    @abstractmethod
    def end(self, status: str, **changes: Any) -> None:
        """Record the job's final status."""
