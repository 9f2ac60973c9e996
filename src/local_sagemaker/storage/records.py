"""The records of jobs, models and endpoints: in memory, and as JSON files for a restart."""

import datetime
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

Record = dict[str, Any]
_TIME = "@time"


class Store:
    """Records by kind and name. Each change is written at once, and wakes the waiting threads."""

    def __init__(self, folder: Path):
        """Read the files of the folder."""
        self._folder = folder
        self._changed = threading.Condition(threading.RLock())
        self._records: dict[str, dict[str, Record]] = {}
        for file in sorted(folder.glob("*/*.json")):
            record = json.loads(file.read_text(), object_hook=_from_json)
            self._records.setdefault(file.parent.name, {})[unquote(file.stem)] = record

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
            records[name] = {**record, "LastModifiedTime": now()}
            self._write(kind, name)
            return True

    def update(self, kind: str, name: str, **changes: Any) -> None:
        """Change members of a record; does nothing if it was deleted."""
        with self._changed:
            record = self._records.get(kind, {}).get(name)
            if record is not None:
                self._records[kind][name] = {**record, **changes, "LastModifiedTime": now()}
                self._write(kind, name)

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

    def remove(self, kind: str, name: str) -> None:
        """Delete a record."""
        with self._changed:
            self._records.get(kind, {}).pop(name, None)
            self._file(kind, name).unlink(missing_ok=True)
            self._changed.notify_all()

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

    def _write(self, kind: str, name: str) -> None:
        file = self._file(kind, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(".new")
        new.write_text(json.dumps(self._records[kind][name], default=_to_json))
        os.replace(new, file)
        self._changed.notify_all()

    def _file(self, kind: str, name: str) -> Path:
        return self._folder / kind / f"{quote(name, safe='')}.json"


def now() -> datetime.datetime:
    """Return the time in the API's resolution, which is milliseconds."""
    time_now = datetime.datetime.now(datetime.timezone.utc)
    return time_now.replace(microsecond=time_now.microsecond // 1000 * 1000)


def _to_json(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return {_TIME: value.isoformat()}
    raise TypeError(f"a record cannot contain {type(value)}")


def _from_json(value: dict[str, Any]) -> Any:
    if list(value) == [_TIME]:
        return datetime.datetime.fromisoformat(value[_TIME])
    return value
