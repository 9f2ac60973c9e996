"""Logs of containers: a file that stays, and CloudWatch Logs for whoever asks AWS's way."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_BATCH = 1000
_EVERY = 0.2  # seconds between two deliveries
_OLDEST = 13 * 24 * 3600 * 1000  # milliseconds; CloudWatch refuses what is older than 14 days
_LONGEST = 250_000  # characters; an event holds 256 KB


class Stream:
    """One container's log."""

    def __init__(self, logs: "Logs", group: str, name: str, file: Path):
        """Begin it; the file is made."""
        self.group, self.name, self.file = group, name, file
        self._logs = logs
        self._lock = threading.Lock()
        self._waiting: list[dict[str, Any]] = []
        self.open = True
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file.open("a", encoding="utf-8", errors="replace")

    def write(self, line: str) -> None:
        """Take one line of output."""
        at = int(time.time() * 1000)
        with self._lock:
            if not self.open:
                return
            self._file.write(f"{at}\t{line}\n")
            self._file.flush()
            self._waiting.append({"timestamp": at, "message": line[:_LONGEST] or " "})

    def close(self) -> None:
        """Deliver what is left; later lines are dropped."""
        with self._lock:
            self.open = False
            self._file.close()
        self.deliver()
        self._logs.forget(self)

    def deliver(self) -> None:
        """Send what came since the last time."""
        with self._lock:
            events, self._waiting = self._waiting, []
        if events:
            self._logs.put(self.group, self.name, events)


class Logs:
    """All streams, delivered by one thread."""

    def __init__(self, client: Any):
        """Take a boto3 client of CloudWatch Logs."""
        self._client = client
        self._streams: list[Stream] = []
        self._arrived = threading.Condition()
        self._groups: set[str] = set()
        self._ended = threading.Event()
        threading.Thread(target=self._deliver_all, daemon=True).start()

    def stream(self, group: str, name: str, file: Path) -> Stream:
        """Open a stream."""
        self._create(group, name)
        stream = Stream(self, group, name, file)
        with self._arrived:
            self._streams.append(stream)
        return stream

    def restore(self, group: str, name: str, file: Path) -> None:
        """Give CloudWatch what a file holds of an earlier run, as far as it takes it."""
        oldest = time.time() * 1000 - _OLDEST
        events = [
            {"timestamp": at, "message": line[:_LONGEST] or " "}
            for at, line in read(file)
            if at > oldest
        ]
        self._create(group, name)
        self.put(group, name, events)

    def is_open(self, group: str, name: str) -> bool:
        """Return whether more may come to a stream."""
        with self._arrived:
            return any(one.group == group and one.name == name for one in self._streams)

    def wait(self, timeout: float) -> None:
        """Return when something arrived or a stream closed, or after the time."""
        with self._arrived:
            self._arrived.wait(timeout)

    def put(self, group: str, name: str, events: Sequence[Mapping[str, Any]]) -> None:
        """Send events, in batches that CloudWatch takes."""
        for start in range(0, len(events), _BATCH):
            self._client.put_log_events(
                logGroupName=group,
                logStreamName=name,
                logEvents=list(events[start : start + _BATCH]),
            )
        with self._arrived:
            self._arrived.notify_all()

    def forget(self, stream: Stream) -> None:
        """Note that a stream is closed."""
        with self._arrived:
            if stream in self._streams:
                self._streams.remove(stream)
            self._arrived.notify_all()

    def stop(self) -> None:
        """Deliver nothing more."""
        self._ended.set()

    def _create(self, group: str, name: str) -> None:
        exists = self._client.exceptions.ResourceAlreadyExistsException
        if group not in self._groups:
            try:
                self._client.create_log_group(logGroupName=group)
            except exists:
                pass
            self._groups.add(group)
        try:
            self._client.create_log_stream(logGroupName=group, logStreamName=name)
        except exists:
            pass

    def _deliver_all(self) -> None:
        while not self._ended.wait(_EVERY):
            with self._arrived:
                streams = list(self._streams)
            for stream in streams:
                try:
                    stream.deliver()
                except Exception:
                    if not self._ended.is_set():
                        raise


def read_on(file: Path, start: int) -> tuple[int, list[tuple[int, str]]]:
    """Return where the whole lines of a stream's file end, and those from `start` (bytes) on."""
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
