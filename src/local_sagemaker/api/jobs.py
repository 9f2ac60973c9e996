"""What the operations on training, processing and transform jobs have in common."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass

from local_sagemaker.api import job_components
from local_sagemaker.api.long_poll import first_describe
from local_sagemaker.api.pagination import listing
from local_sagemaker.context import Caller, Context
from local_sagemaker.errors import ServiceError, in_use, invalid
from local_sagemaker.jobs.base import ENDED
from local_sagemaker.storage.records import Record


@dataclass(frozen=True)
class JobKind:
    """The jobs of one kind."""

    kind: str  # of the records
    title: str  # what the members of a record begin with, such as TrainingJob
    words: str  # in messages
    missing: Callable[[str], ServiceError]  # the error for the name of a job that does not exist

    def find(self, context: Context, request: Record) -> Record:
        """Return the record of the job that a request names. Raises: ServiceError."""
        name = request[f"{self.title}Name"]
        record = context.store.get(self.kind, name)
        if record is None:
            raise self.missing(name)
        return record

    def describe(self, context: Context, request: Record, caller: Caller) -> Record:
        """Return a job. The first call waits until it has ended: see `first_describe`."""
        self.find(context, request)
        name = request[f"{self.title}Name"]
        first_describe(context, self.kind, name, caller, self._has_ended)
        return self.find(context, request)

    def list_all(self, context: Context, request: Record) -> Record:
        """Return the response of List."""
        name, status = f"{self.title}Name", f"{self.title}Status"
        records = context.store.all(self.kind)
        return listing(f"List{self.title}s", records, request, name, status)

    def stop(self, context: Context, request: Record) -> None:
        """Ask a job to stop. Raises: ServiceError if it has ended."""
        name, status = request[f"{self.title}Name"], f"{self.title}Status"
        record = self.find(context, request)
        if self._has_ended(record):
            raise invalid(
                f"The request was rejected because the {self.words} is in status {record[status]}."
            )
        if job := context.running.get((self.kind, name)):
            context.store.move(self.kind, name, status, "InProgress", "Stopping")
            job.stop()

    def delete(self, context: Context, request: Record) -> None:
        """Delete a job with its log and its trial component. Raises: ServiceError if it runs."""
        name = request[f"{self.title}Name"]
        record = self.find(context, request)
        if not self._has_ended(record):
            raise in_use(f"The {self.words} {name} runs; stop it first.")
        context.store.remove(self.kind, name)
        job_components.remove(context, self.kind, record)
        shutil.rmtree(context.folder(self.kind, name), ignore_errors=True)

    def _has_ended(self, record: Record | None) -> bool:
        return record is None or record[f"{self.title}Status"] in ENDED
