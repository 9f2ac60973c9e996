"""Faults of the world around a job, each a real process and a real fault."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from contract.conftest import GIVEN, ratings
from support.job import PATIENCE, Job
from support.pipes import fed, whole
from support.recordio import sparse_file


def truncated(path: Path) -> str:
    size = path.stat().st_size
    os.truncate(path, size // 2)
    return f"{size} bytes before, {size // 2} now"


def emptied(path: Path) -> str:
    size = path.stat().st_size
    os.truncate(path, 0)
    return f"{size} bytes before, 0 now"


def grown(path: Path) -> str:
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"x" * 12)
    return f"{size} bytes before, {size + 12} now"


def overwritten(path: Path) -> str:
    """By bytes that are no records: what they are is not what is wrong."""
    with path.open("r+b") as file:
        file.write(b"no record" * 1000)
    return "it was written to"


def replaced(path: Path) -> str:
    size = path.stat().st_size
    other = path.with_name(".new")
    other.write_bytes(path.read_bytes()[: size // 3 & ~3])
    other.rename(path)
    return f"{size} bytes before, {size // 3 & ~3} now"


@pytest.mark.parametrize("change", [truncated, emptied, grown, overwritten, replaced])
def test_a_file_that_changes_while_training_reads_it(
    good: Job, change: Callable[[Path], str]
) -> None:
    path = good.data / "train" / "part-0"
    path.write_bytes(sparse_file(*ratings(55_000, 1)))
    good.hyperparameters(**{**GIVEN, "epochs": 1_000_000}, _memory_budget_mb=1)
    with good.started() as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "#throughput_metric" in line:
                break
        how = change(path)
        threading.Thread(target=process.stdout.read, daemon=True).start()
        assert process.wait(PATIENCE) == 2
    assert good.failure == f"ChannelError: train/part-0 changed while the job ran: {how}"
    assert good.left == []


def test_a_file_that_goes_while_training_reads_it(good: Job) -> None:
    path = good.data / "train" / "part-0"
    path.write_bytes(sparse_file(*ratings(55_000, 1)))
    good.hyperparameters(**{**GIVEN, "epochs": 1_000_000}, _memory_budget_mb=1)
    with good.started() as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "#throughput_metric" in line:
                break
        path.unlink()
        threading.Thread(target=process.stdout.read, daemon=True).start()
        assert process.wait(PATIENCE) == 3
    assert good.failure == f"PlatformError: {path} cannot be read: No such file or directory"


def test_a_file_that_changes_after_it_was_decoded_does_not_matter(good: Job) -> None:
    good.hyperparameters(**{**GIVEN, "epochs": 2000})
    with good.started() as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "#throughput_metric" in line:
                break
        truncated(good.data / "train" / "part-0")
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said


def test_a_read_error_of_a_file(good: Job) -> None:
    """The speed of the loopback interface: a file of 4096 bytes that the kernel cannot read."""
    unreadable = Path("/sys/class/net/lo/speed")
    with contextlib.suppress(OSError):
        unreadable.read_bytes()
        pytest.skip(f"{unreadable} can be read here")
    path = good.data / "train" / "part-1"
    path.symlink_to(unreadable)
    done = good.train()
    assert done.code == 3
    assert good.failure == f"PlatformError: {path} cannot be read: Invalid argument"
    assert good.left == []


def test_a_read_error_of_a_pipe(good: Job) -> None:
    """The process's own memory, which begins with a page that nobody can read (EIO)."""
    path = good.data / "train_0"
    path.symlink_to("/proc/self/mem")
    good.configure("inputdataconfig", {"train": {"TrainingInputMode": "Pipe"}})
    assert good.train().code == 3
    assert good.failure == f"PlatformError: {path} cannot be read: Input/output error"


def test_standard_output_that_is_closed_while_it_streams(good: Job) -> None:
    content = sparse_file(*ratings(550, 1))
    good.hyperparameters(**{**GIVEN, "epochs": 3})
    good.configure("inputdataconfig", {"train": {"TrainingInputMode": "Pipe"}})
    with fed(good, train=[whole(content)] * 3), good.started() as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(PATIENCE) == 0
        assert process.stderr is not None and process.stderr.read() == ""
    assert good.left == ["model_algo-1"]


JUMPS = {
    "back an hour each time": "lambda: now() - 3600 * next(count)",
    "to and fro": "lambda: now() + (-1) ** next(count) * 1e7",
    "before 1970": "lambda: -1e6 * next(count)",
    "far ahead": "lambda: now() + 1e9 * next(count)",
}


@pytest.mark.parametrize("jump", JUMPS)
def test_a_clock_that_jumps(good: Job, jump: str) -> None:
    good.hyperparameters(**{**GIVEN, "epochs": 3})
    script = (
        "import itertools, time; now, count = time.time, itertools.count(1); "
        f"time.time = {JUMPS[jump]}; "
        "from sagemaker_container.cli import train; train()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=good.environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    rates = [float(rate) for rate in re.findall(r"train throughput=(\S+) records", done.stdout)]
    assert len(rates) == 3 and all(1 < rate < 1e8 for rate in rates)
    for line in re.findall(r"^#metrics (.*)$", done.stdout, re.M):
        content = json.loads(line)
        assert 0 <= content["EndTime"] - content["StartTime"] < PATIENCE
        for name in ("update.time", "setuptime", "totaltime"):
            if name in content["Metrics"]:
                assert 0 < content["Metrics"][name]["sum"] < 1000 * PATIENCE
    assert good.left == ["model_algo-1"]


def test_a_stop_in_the_middle_of_a_stream_saves_the_model(good: Job) -> None:
    (good.data / "train" / "part-0").write_bytes(sparse_file(*ratings(55_000, 1)))
    good.hyperparameters(**{**GIVEN, "epochs": 1_000_000}, _memory_budget_mb=1)
    with good.started() as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "#throughput_metric" in line:
                break
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 143
    assert good.left == ["model_algo-1"]


def special(path: Path, kind: str) -> None:
    """Make an entry of a channel that is neither a file nor a folder."""
    if kind == "a link to a folder":
        path.symlink_to("..")
    elif kind == "a dangling link":
        path.symlink_to("nothing")
    elif kind == "a FIFO":
        os.mkfifo(path)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as made, contextlib.chdir(path.parent):
            made.bind(path.name)
    else:
        path.symlink_to("/dev/zero")


@pytest.mark.parametrize("channel", ["train", "test"])
@pytest.mark.parametrize(
    "kind", ["a link to a folder", "a dangling link", "a FIFO", "a socket", "a device"]
)
def test_what_is_no_file_is_refused_and_not_skipped(good: Job, channel: str, kind: str) -> None:
    (good.data / channel / "sub").mkdir()
    special(good.data / channel / "sub" / "part-1", kind)
    assert good.train().code == 2
    assert good.failure == (
        f"ChannelError: channel {channel!r}: {channel}/sub/part-1 is {kind}; "
        "a channel may have files and folders only"
    )


def test_hidden_files_are_told_once_and_markers_are_not(good: Job) -> None:
    content = sparse_file(*ratings(10, 1))
    names = ("_SUCCESS", ".part-0.crc", "_committed_1", ".hidden", "sub/_b", "_folder/part-0")
    good.channel("train", dict.fromkeys(names, content))
    done = good.train()
    assert done.code == 0, done.stderr
    told = [line.split("] ", 1)[1] for line in done.stdout.splitlines() if " hidden " in line]
    assert told == [
        "Channel 'train': 3 hidden files or folders are skipped: '.hidden', '_folder', 'sub/_b'"
    ]
    assert ": 550 train, 130 test records" in done.stdout


@pytest.mark.parametrize("kind", ["a FIFO", "a device", "a dangling link"])
@pytest.mark.parametrize("name", ["hyperparameters", "inputdataconfig", "resourceconfig"])
def test_a_configuration_that_is_no_file(good: Job, name: str, kind: str) -> None:
    path = good.config / f"{name}.json"
    path.unlink()
    special(path, kind)
    done = good.train()
    if kind == "a dangling link" and name != "hyperparameters":
        assert done.code == 0  # as if there were none
        return
    assert done.code == 2
    how = "does not exist" if kind == "a dangling link" else "cannot be read: Not a regular file"
    assert good.failure == f"ConfigurationError: {path} {how}"


def test_what_is_in_the_place_of_the_model_is_told_before_training(good: Job) -> None:
    (good.model / "model_algo-1").mkdir()
    done = good.train()
    assert done.code == 3
    assert good.failure == (
        f"PlatformError: the model cannot be written to {good.model}: model_algo-1 is a folder"
    )
    assert "Training with the engine" not in done.stdout


def test_a_failure_file_that_is_a_fifo_does_not_hang(good: Job) -> None:
    os.mkfifo(good.output / "failure")
    good.hyperparameters(**{**GIVEN, "epochs": 0})
    done = good.train()
    assert done.code == 2
    assert "failure could not be written: No such device or address" in done.stderr
