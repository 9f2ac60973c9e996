"""`docker run IMAGE train` as platforms and people do it: what is left, which exit code."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

import pytest

from factorization_machines import artifact
from support.docker import (
    DOCKER,
    IMAGE,
    OFFLINE,
    OTHER_USER,
    READ_ONLY,
    docker,
    opt_ml,
    run,
    started,
)
from support.job import PATIENCE

pytestmark = pytest.mark.docker

BAR = re.compile(r"\d+%\|")
MODEL = ["model_algo-1"]


def scores(output):
    found = re.findall(r"#test_score \(algo-1\) : (\(.*\))", output)
    assert len(found) == 3, output
    return found


def test_anybody_with_a_read_only_root_and_no_network(job, fill):
    """Trains as this machine's own `train` does: the same scores from the same files."""
    fill(job)
    here = job.train()
    assert here.code == 0, here.stderr
    (job.model / MODEL[0]).unlink()

    there = run(*OTHER_USER, *READ_ONLY, *OFFLINE, *opt_ml(job), command=("train",))
    assert there.code == 0, there.stderr
    assert job.left == MODEL
    assert (job.model / MODEL[0]).stat().st_uid == 12345
    assert scores(there.stdout) == scores(here.stdout)
    assert job.failure is None


def test_plainly(job, fill):
    """No option at all, and no command, as the SDK v3 runs it."""
    fill(job)
    done = run("-v", f"{job.base}:/opt/ml")
    assert done.code == 0, done.stderr
    assert job.left == MODEL
    assert artifact.read(job.model).parameters.feature_dim == 300
    assert "Reading default configuration from" in done.stdout.splitlines()[0]
    scores(done.stdout)


def test_a_bad_hyperparameter(job, fill):
    fill(job, num_factors=0)
    done = run(*OTHER_USER, *READ_ONLY, *OFFLINE, *opt_ml(job))
    assert done.code == 2
    assert job.failure == "HyperparameterError: num_factors must be an integer >= 1; got '0'"
    assert job.failure in done.stderr
    assert "Traceback" not in done.stderr
    assert job.left == []


def test_a_full_disk(job, fill):
    fill(job, num_factors=64, epochs=1)
    mounts = opt_ml(job)
    model = mounts.index(f"{job.model}:/opt/ml/model:rw")
    mounts[model - 1 : model + 1] = ["--tmpfs", "/opt/ml/model:size=64k,mode=1777"]
    done = run(*OTHER_USER, *READ_ONLY, *OFFLINE, *mounts)
    assert done.code == 3
    assert re.fullmatch(
        "PlatformError: the model cannot be written to /opt/ml/model: it takes [0-9]+ bytes,"
        " and the disk has less space",
        job.failure,
    )
    assert job.failure in done.stderr


def test_a_model_folder_that_cannot_be_written(job, fill):
    """Found before the training, not after hours of it."""
    fill(job)
    done = run(*READ_ONLY, *OFFLINE, *opt_ml(job, model="ro"))
    assert done.code == 3
    assert job.failure == (
        "PlatformError: the model cannot be written to /opt/ml/model: Read-only file system"
    )
    assert "#quality_metric" not in done.stdout


def test_more_features_than_memory(job, fill):
    """The kernel may grant memory that is not there, and end the process where it is used."""
    fill(job, feature_dim=10**9, num_factors=64)
    done = run(*READ_ONLY, *OFFLINE, *opt_ml(job), "--memory", "900m", "--memory-swap", "900m")
    assert done.code in (3, 137)
    assert job.left == []
    if done.code == 3:
        assert job.failure is not None
        assert job.failure.startswith(
            "PlatformError: not enough memory for feature_dim 1000000000 x num_factors 64"
        )


@pytest.mark.parametrize(("processes", "code"), [(1, 3), (2, 0)])
def test_a_limit_of_processes(job, fill, processes, code):
    fill(job)
    done = run(*OFFLINE, *opt_ml(job), "--pids-limit", str(processes))
    assert done.code == code, done.stderr
    assert job.left == ([] if code else MODEL)
    assert job.failure == (
        "PlatformError: no thread can be started: the limit of processes is too low"
        if code
        else None
    )


def test_docker_stop_saves_the_model(job, fill):
    fill(job, epochs=1_000_000)
    with started(*OTHER_USER, *READ_ONLY, *OFFLINE, *opt_ml(job), command=("train",)) as container:
        container.wait_until(lambda: "epoch=1, train" in container.logs())
        docker("stop", "-t", "50", container.name)
        assert container.code == 143
        assert (
            "stopped by a signal; the model as far as it was trained is saved" in container.logs()
        )
    assert job.left == MODEL
    assert artifact.read(job.model).parameters.finite()
    assert job.failure is None


def test_a_terminal_without_a_size(job, fill):
    """As docker compose gives it where the service says tty: nobody sits there."""
    fill(job)
    done = run("-t", *OFFLINE, *opt_ml(job))
    assert done.code == 0
    scores(done.stdout)
    assert not BAR.search(done.stdout)
    assert "\x1b" not in done.stdout
    log = done.stdout.replace("\r\n", "\n")
    assert "\r" not in log
    assert "\n\n" not in log


def test_a_terminal_of_a_person(job, fill):
    fill(job)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [DOCKER, "run", "--rm", "-it", *OFFLINE, *opt_ml(job), IMAGE],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        output = _read_all(ours)
        assert process.wait(PATIENCE) == 0, output
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    scores(output)
    bars = BAR.findall(output)
    assert "100%|" in bars, output
    lines = [line.rstrip() for line in re.split(r"[\r\n]", output)]
    drawn = [line for line in lines if BAR.search(line)]
    assert max(map(len, drawn)) <= 80
    # What is logged has a line of its own, and does not go on where the bar ends.
    logged = [line for line in lines if "#quality_metric" in line]
    assert logged
    assert all(line.startswith("[") for line in logged), output


def _read_all(descriptor):
    output = b""
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:  # Linux: the other side is closed
            chunk = b""
        if not chunk:
            return output.decode(errors="replace")
        output += chunk
