"""The records of jobs, models and endpoints: in memory, and in the database for a restart."""

import contextlib
import datetime
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from local_sagemaker.errors import ServiceError, write_log
from local_sagemaker.storage.database import Database, Transaction
from local_sagemaker.storage.encoding import Encoder

Record = dict[str, Any]
_PREFIX = "record/"
_DISK_SECONDS = 1.0  # between two attempts to write to a full disk


class Store:
    """Records by kind and name. A change is on disk before it is visible and wakes the waiting."""

    def __init__(self, database: Database):
        """Read the records of the database."""
        self._database, self._encoder = database, Encoder()
        self._changed = threading.Condition(threading.RLock())
        self._records: dict[str, dict[str, Record]] = {}
        self._transaction: Transaction | None = None  # of `together`
        self._cleared = False
        for collection in database.collections(_PREFIX):
            records = self._records.setdefault(collection.removeprefix(_PREFIX), {})
            for name, value in database.entries(collection):
                try:
                    record = self._encoder.loads(value)
                    record["CreationTime"].timestamp()  # what `all` sorts by
                    records[name] = record
                except (ValueError, TypeError, LookupError, AttributeError) as error:
                    database.set_aside(collection, name, repr(error))

    def get(self, kind: str, name: str) -> Record | None:
        """Return a copy of a record, or None."""
        with self._changed:
            record = self._records.get(kind, {}).get(name)
            return None if record is None else dict(record)

    def all(self, kind: str) -> list[Record]:
        """Return copies of a kind's records, by creation time."""
        with self._changed:
            records = [dict(record) for record in self._records.get(kind, {}).values()]
        return sorted(records, key=lambda record: record["CreationTime"])

    def add(self, kind: str, name: str, record: Record) -> bool:
        """Add a record; return False if the name exists."""
        with self._changed:
            records = self._records.setdefault(kind, {})
            if name in records:
                return False
            self._write(kind, name, {**record, "LastModifiedTime": now()})
            return True

    def update(self, kind: str, name: str, **changes: Any) -> None:
        """Change members of a record; does nothing if it was deleted."""
        with self._changed:
            record = self._records.get(kind, {}).get(name)
            if record is not None:
                self._write(kind, name, {**record, **changes, "LastModifiedTime": now()})

    def modify(self, kind: str, name: str, change: Callable[[Record], Record]) -> None:
        """Update a record with what `change` returns for it; other changes wait meanwhile."""
        with self._changed:
            record = self.get(kind, name)
            if record is not None:
                self.update(kind, name, **change(record))

    def move(self, kind: str, name: str, member: str, before: str, after: str) -> None:
        """Change a status if it is still `before`: the job may just have ended."""
        with self._changed:
            record = self._records.get(kind, {}).get(name)
            if record is not None and record[member] == before:
                self.update(kind, name, **{member: after})

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Make the changes of the block at once, or none of them if it raises an error.

        The block must not wait for anything: all other changes wait for it.
        """
        with self._changed:
            before = {kind: dict(records) for kind, records in self._records.items()}
            try:
                with self._change() as self._transaction:
                    yield
            except BaseException:
                self._records = before
                raise
            finally:
                self._transaction = None

    def remove(self, kind: str, name: str) -> None:
        """Delete a record."""
        with self._changed:
            with self._change() as transaction:
                transaction.remove(_PREFIX + kind, name)
            self._records.get(kind, {}).pop(name, None)
            self._changed.notify_all()

    def clear(self) -> dict[str, int]:
        """Remove all that the database has, and refuse later changes: another store follows.

        Returns: the number of entries that each collection of the database had.
        """
        with self._changed:
            removed = self._database.clear()
            self._records, self._cleared = {}, True
            self._changed.notify_all()
            return removed

    def wait(
        self, kind: str, name: str, until: Callable[[Record | None], bool], timeout: float
    ) -> None:
        """Return when `until` is true for a record, or after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not until(self._records.get(kind, {}).get(name)):
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return
                self._changed.wait(remaining)

    def _change(self) -> contextlib.AbstractContextManager[Transaction]:
        if self._transaction is not None:
            return contextlib.nullcontext(self._transaction)
        if self._cleared:
            raise ServiceError("ServiceUnavailable", "The local service was just reset.", 503)
        return self._database.change()

    def _write(self, kind: str, name: str, record: Record) -> None:
        with self._change() as transaction:
            transaction.put(_PREFIX + kind, name, self._encoder.dumps(record))
        self._records[kind][name] = record
        self._changed.notify_all()


def now() -> datetime.datetime:
    """Return the time in the API's resolution, which is milliseconds."""
    time_now = datetime.datetime.now(datetime.timezone.utc)
    return time_now.replace(microsecond=time_now.microsecond // 1000 * 1000)


def keep_trying(change: Callable[[], Any], ended: Callable[[], object]) -> None:
    """Make a change that no request waits for; repeat it while the disk is full.

    Args:
        change: writes to a store.
        ended: returns whether the service stops, so that the error is raised instead.
    """
    while True:
        try:
            change()
            return
        except sqlite3.OperationalError as error:
            if ended():
                raise
            write_log(f"a change cannot be stored, and is tried again: {error}")
            time.sleep(_DISK_SECONDS)
