"""Streams of CloudWatch Logs that moto reads from the files of ended jobs when they are needed."""

import functools
from pathlib import Path
from typing import Any

from moto.core.utils import unix_time_millis, utcnow
from moto.logs.models import LogEvent, LogGroup, LogStream, logs_backends

from local_sagemaker.account import ACCOUNT, REGION
from local_sagemaker.storage.logs import MAX_LENGTH, read, read_on

_BLOCK = 1 << 20  # bytes at the end of a file, in which its last line is


class StoredStream(LogStream):
    """A stream of moto whose events are read at the first request for them."""

    def __init__(self, group: LogGroup, name: str, file: Path):
        """Take the file, which is not read here."""
        super().__init__(group, name)
        del self.events
        self._file = file
        self.last_ingestion_time = utcnow()
        self.stored_bytes = file.stat().st_size

    @functools.cached_property
    def events(self) -> list[LogEvent]:  # type: ignore[override]
        """The lines of the file."""
        at = int(unix_time_millis(utcnow()))
        return [
            LogEvent(at, {"timestamp": time, "message": line[:MAX_LENGTH] or " "})
            for time, line in read(self._file)
        ]

    def to_describe_dict(self) -> dict[str, Any]:
        """Describe the stream by its first and its last line, unless all are read."""
        if "events" not in vars(self):
            first = next(read(self._file), None)
            last = read_on(self._file, max(0, self.stored_bytes - _BLOCK))[1]
            if first and last:
                ends = [{"timestamp": time, "message": line} for time, line in (first, last[-1])]
                self.events = [LogEvent(0, end) for end in ends]
                description: dict[str, Any] = super().to_describe_dict()
                del self.events
                return description
        return dict(super().to_describe_dict())


def add_stream(group: str, name: str, file: Path) -> None:
    """Add the log of an ended job to CloudWatch Logs."""
    backend = logs_backends[ACCOUNT][REGION]
    backend.ensure_log_group(group)
    streams = backend.groups[group].streams
    streams[name] = StoredStream(backend.groups[group], name, file)
