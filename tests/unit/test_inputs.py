"""Streams of a channel's bytes, and prefetching."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from factorization_machines.errors import PlatformError
from sagemaker_container.contract import streams
from sagemaker_container.contract.errors import ChannelError
from sagemaker_container.contract.streams import FileStream, PipeStream
from sagemaker_container.training.prefetch import prefetch


def never() -> bool:
    return False


def reads(stream: FileStream | PipeStream, size: int = 1 << 16) -> bytes:
    buffer, parts = bytearray(size), []
    while got := stream.readinto(buffer):
        parts.append(bytes(buffer[:got]))
    return b"".join(parts)


def opened(path: Path) -> FileStream:
    return FileStream(path, "train/part-0", path.stat())


def test_a_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100_000)
    with opened(path) as stream:
        assert reads(stream) == b"x" * 100_000


@pytest.mark.parametrize(
    ("change", "how"),
    [
        (lambda path: os.truncate(path, 5), "100000 bytes before, 5 now"),
        (lambda path: os.truncate(path, 200_000), "100000 bytes before, 200000 now"),
        (lambda path: os.utime(path, (1, 1)), "it was written to"),
    ],
)
def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, change: Callable[[Path], None], how: str
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100_000)
    with opened(path) as stream:
        assert stream.readinto(bytearray(1000)) == 1000
        change(path)
        with pytest.raises(ChannelError) as caught:
            reads(stream)
    assert str(caught.value) == f"train/part-0 changed while the job ran: {how}"


def test_a_fifo_waits_for_its_writer_and_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "train_0"
    got: list[bytes] = []

    def read() -> None:
        with PipeStream(path, never, print, timeout=60) as stream:
            got.append(reads(stream))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    time.sleep(0.1)  # there is no FIFO, then no writer, then no data
    os.mkfifo(path)
    time.sleep(0.3)
    with open(path, "wb", buffering=0) as out:
        time.sleep(0.3)
        out.write(b"abc")
        time.sleep(0.3)
        assert not got
        out.write(b"def")
    reader.join()
    assert got == [b"abcdef"]


def test_a_fifo_that_never_is_there(tmp_path: Path) -> None:
    path = tmp_path / "train_3"
    with PipeStream(path, never, print, timeout=0.1) as stream:
        with pytest.raises(PlatformError) as caught:
            stream.readinto(bytearray(9))
    assert str(caught.value) == (
        f"there is no {path}: in Pipe mode each pass over a channel has a FIFO of its own; "
        "waited 0 s"
    )


def test_a_long_wait_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_LOG_INTERVAL", 0.0)
    path, said = tmp_path / "train_0", list[str]()
    os.mkfifo(path)
    with PipeStream(path, lambda: len(said) > 1, said.append) as stream:
        assert stream.readinto(bytearray(9)) == 0
    assert said == [f"Waiting for data from {path} for 0 s"] * 2


def test_prefetch_yields_what_is_made_and_raises_what_is_raised() -> None:
    def make(ended: Callable[[], bool]) -> Iterator[int]:
        yield from range(5)
        raise KeyError("six")

    got = []
    with pytest.raises(KeyError, match="six"):
        for item in prefetch(make, never):
            got.append(item)  # noqa: PERF402
    assert got == [0, 1, 2, 3, 4]


def test_prefetch_ends_its_thread_when_nobody_wants_more() -> None:
    made: list[int] = []

    def make(ended: Callable[[], bool]) -> Iterator[int]:
        for number in range(10**9):
            made.append(number)
            yield number

    items = prefetch(make, never)
    assert next(items) == 0
    items.close()  # type: ignore[attr-defined]
    assert len(made) <= 4
    assert not [thread for thread in threading.enumerate() if thread.name == "prefetch"]


def test_prefetch_ends_when_it_is_stopped() -> None:
    def make(ended: Callable[[], bool]) -> Iterator[int]:
        while not ended():
            time.sleep(0.01)
        yield from ()

    assert list(prefetch(make, lambda: True)) == []
