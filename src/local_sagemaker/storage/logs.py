"""Logs of containers: a file, which a restart reads, and a stream of CloudWatch Logs."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local_sagemaker.errors import LocalError
from sagemaker_container.contract.untrusted import printable

_BATCH = 1000
_INTERVAL = 0.2  # seconds between two deliveries
MAX_LENGTH = 250_000  # characters; an event holds 256 KB


class Stream:
    """One container's log."""

    def __init__(self, logs: "Logs", group: str, name: str, file: Path):
        """Create the file and open it."""
        self.group, self.name, self.file = group, name, file
        self._logs = logs
        self._lock = threading.Lock()
        self._pending: list[dict[str, Any]] = []
        self.open = True
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file.open("ab", buffering=0)
        self._unwritten = bytearray()

    def write(self, line: str) -> None:
        """Append a line."""
        at = int(time.time() * 1000)
        with self._lock:
            if not self.open:
                return
            self._unwritten += f"{at}\t{line}\n".encode(errors="replace")
            self._write_out()
            self._pending.append({"timestamp": at, "message": line[:MAX_LENGTH] or " "})

    def close(self) -> None:
        """Deliver the pending lines; later lines are dropped."""
        with self._lock:
            self.open = False
            self._write_out()
            self._file.close()
            if self._unwritten:
                text = "The disk is full: the last lines are not kept, and have no metrics."
                self._pending.append({"timestamp": int(time.time() * 1000), "message": text})
        self.deliver()
        self._logs.forget(self)

    def _write_out(self) -> None:
        """Write to the file; what a full disk does not take is written with a later line."""
        with contextlib.suppress(OSError):  # an error would end the container that prints
            while self._unwritten:
                del self._unwritten[: self._file.write(self._unwritten)]

    def deliver(self) -> None:
        """Send the lines since the last delivery."""
        with self._lock:
            events, self._pending = self._pending, []
        if events:
            self._logs.put(self.group, self.name, events)


class Logs:
    """All streams, which one thread delivers to CloudWatch Logs."""

    def __init__(self, client: Any):
        """Take a boto3 client for CloudWatch Logs, and start the thread."""
        self._client = client
        self._streams: list[Stream] = []
        self._arrived = threading.Condition()
        self._stopped = threading.Event()
        threading.Thread(target=self._deliver_all, daemon=True).start()

    def stream(self, group: str, name: str, file: Path) -> Stream:
        """Open a stream and its file.

        Raises: LocalError after `stop`.
        """
        with contextlib.suppress(ClientError):  # `put` creates what was deleted meanwhile
            self._create(group, name)
        with self._arrived:
            if self._stopped.is_set():
                raise LocalError("The local service was reset or stopped.")
            stream = Stream(self, group, name, file)
            self._streams.append(stream)
        return stream

    def is_open(self, group: str, name: str) -> bool:
        """Return whether a stream may receive more lines."""
        with self._arrived:
            return any((s.group, s.name) == (group, name) for s in self._streams)

    def wait(self, timeout: float) -> None:
        """Return when events were delivered or a stream was closed, or after `timeout` seconds."""
        with self._arrived:
            self._arrived.wait(timeout)

    def put(self, group: str, name: str, events: Sequence[Mapping[str, Any]]) -> None:
        """Send events, in batches of the size that CloudWatch accepts.

        A group or stream that was deleted is created again. Events that cannot be sent are dropped
        with a message on standard error: they stay in the stream's file.
        """
        for start in range(0, len(events), _BATCH):
            batch = list(events[start : start + _BATCH])
            target = {"logGroupName": group, "logStreamName": name}
            try:
                try:
                    self._client.put_log_events(**target, logEvents=batch)
                except self._client.exceptions.ResourceNotFoundException:
                    self._create(group, name)
                    self._client.put_log_events(**target, logEvents=batch)
            except (BotoCoreError, ClientError) as error:
                if not self._stopped.is_set():
                    what = printable(f"{len(batch)} lines of {group} {name} are not in CloudWatch")
                    sys.stderr.write(f"{what}: {error}\n")
        with self._arrived:
            self._arrived.notify_all()

    def forget(self, stream: Stream) -> None:
        """Remove a closed stream."""
        with self._arrived:
            if stream in self._streams:
                self._streams.remove(stream)
            self._arrived.notify_all()

    def stop(self) -> None:
        """Stop the thread, and open no more streams."""
        with self._arrived:
            self._stopped.set()

    def _create(self, group: str, name: str) -> None:
        exists = self._client.exceptions.ResourceAlreadyExistsException
        with contextlib.suppress(exists):
            self._client.create_log_group(logGroupName=group)
        with contextlib.suppress(exists):
            self._client.create_log_stream(logGroupName=group, logStreamName=name)

    def _deliver_all(self) -> None:
        while not self._stopped.wait(_INTERVAL):
            with self._arrived:
                streams = list(self._streams)
            for stream in streams:
                stream.deliver()


def read_on(file: Path, start: int) -> tuple[int, list[tuple[int, str]]]:
    """Return the complete lines of a file from byte `start` on, and in front their end in bytes."""
    if not file.is_file():
        return start, []
    with file.open("rb") as stream:
        stream.seek(start)
        content = stream.read()
    end = content.rfind(b"\n") + 1
    split = (line.partition("\t") for line in content[:end].decode(errors="replace").split("\n"))
    return start + end, [(int(at), text) for at, _, text in split if at.isdigit()]


def read(file: Path) -> Iterator[tuple[int, str]]:
    """Yield milliseconds since 1970 and the text of each line of a stream's file."""
    if not file.is_file():
        return
    with file.open(encoding="utf-8", errors="replace", newline="\n") as lines:
        for line in lines:
            at, _, text = line.rstrip("\n").partition("\t")
            if at.isdigit():
                yield int(at), text
