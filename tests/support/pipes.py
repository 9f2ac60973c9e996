"""What the service does for a channel in Pipe mode: a FIFO for each pass, fed while it is read."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from support.job import Job

Feed = Callable[[int], None]  # writes one pass to a descriptor


def whole(content: bytes) -> Feed:
    """Write it all and close."""
    return lambda out: _write(out, content)


def slow(content: bytes, at_once: int = 999, pause: float = 0.002) -> Feed:
    """Write a little at a time, at sizes that fit no record, with pauses."""

    def feed(out: int) -> None:
        for start in range(0, len(content), at_once):
            _write(out, content[start : start + at_once])
            time.sleep(pause)

    return feed


def _write(out: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(out, view) :]


@contextlib.contextmanager
def fed(job: Job, **channels: list[Feed]) -> Iterator[None]:
    """Make the FIFOs `train_0` … of a job, and feed each as it is opened, channels side by side."""
    ended = threading.Event()
    threads = []
    for name, passes in channels.items():
        paths = [job.data / f"{name}_{number}" for number in range(len(passes))]
        for path in paths:
            path.unlink(missing_ok=True)
            os.mkfifo(path)
        pairs = list(zip(paths, passes, strict=True))
        threads.append(threading.Thread(target=_feed, args=(pairs, ended), daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _feed(pairs: list[tuple[Path, Feed]], ended: threading.Event) -> None:
    for path, feed in pairs:
        out = None
        while out is None and not ended.is_set():
            try:
                out = os.open(path, os.O_WRONLY | os.O_NONBLOCK)  # fails until somebody reads
            except OSError:
                time.sleep(0.01)
        if out is None:
            return
        os.set_blocking(out, True)
        try:
            feed(out)
        except BrokenPipeError:
            pass  # the job ended first
        finally:
            os.close(out)
