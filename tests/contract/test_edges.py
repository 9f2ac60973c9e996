"""What a process meets that a function does not: permissions, and streams that are not there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from contract.conftest import GIVEN, ratings
from support.job import PATIENCE, UNPRIVILEGED, Job, command
from support.recordio import sparse_file


def test_a_sub_folder_that_cannot_be_read_is_no_smaller_channel(good: Job) -> None:
    good.channel("train", {"more/part-1": sparse_file(*ratings(50, 3))})
    (good.data / "train" / "more").chmod(0)
    done = good.train(before=UNPRIVILEGED)
    (good.data / "train" / "more").chmod(0o755)
    assert done.code == 3
    folder = good.data / "train" / "more"
    assert good.failure == f"PlatformError: channel 'train': {folder}: Permission denied"


def test_a_file_that_cannot_be_read(good: Job) -> None:
    path = good.data / "train" / "part-0"
    path.chmod(0)
    done = good.train(before=UNPRIVILEGED)
    assert done.code == 3
    assert good.failure == f"PlatformError: {path} cannot be read: Permission denied"


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", ">/dev/full", "| head -n 1"])
def test_streams_that_take_nothing_change_nothing(good: Job, closed: str) -> None:
    good.hyperparameters(**{**GIVEN, "epochs": 0})
    line = '"$@" ' + (closed if "|" not in closed else "2>&1 " + closed)
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}", "bash", *command("train")],
        env=good.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=PATIENCE,
    )
    assert done.returncode == 2
    assert good.failure == "HyperparameterError: epochs must be an integer >= 1; got '0'"


def test_a_job_without_standard_output_trains(good: Job) -> None:
    done = subprocess.run(
        ["bash", "-c", '"$@" >&-', "bash", *command("train")],
        env=good.environment(),
        stderr=subprocess.PIPE,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert good.left == ["model_algo-1"]


@pytest.mark.parametrize(("name", "code"), [("serve", 0), ("train", 143)])
def test_a_signal_before_there_is_a_handler(job: Job, name: str, code: int) -> None:
    """The first process of a container would lose it. It comes before Python starts."""
    python = job.base / "python3"
    python.write_text(
        f"#!{sys.executable}\nimport os, signal, sys\nos.kill(os.getpid(), signal.SIGTERM)\n"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])\n"
    )
    python.chmod(0o755)
    done = subprocess.run(
        [Path(__file__).parents[2] / "container" / name],
        env=job.environment({"PATH": f"{job.base}{os.pathsep}{os.environ['PATH']}"}),
        capture_output=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (code, b"")
