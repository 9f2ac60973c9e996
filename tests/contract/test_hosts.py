"""Jobs of many hosts: real processes, each with a tree of its own, that meet on this machine.

Their names are addresses of the loopback, so that each is a host that can be reached and lost.
"""

import contextlib
import gzip
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from contract.conftest import GIVEN, ratings
from factorization_machines import artifact
from support.job import PATIENCE, Job, Result, command, free_port
from support.recordio import dense_file, sparse_file

NAMES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
MANY = {**GIVEN, "epochs": 4, "_host_timeout": 40}


class Cluster:
    """A job for each host."""

    def __init__(self, base: Path, count: int):
        self.names = NAMES[:count]
        self.jobs = [Job(base / name) for name in self.names]
        self.port = free_port()
        for name, job in zip(self.names, self.jobs, strict=True):
            job.configure(
                "resourceconfig",
                {
                    "current_host": name,
                    "hosts": list(self.names),
                    "network_interface_name": "ethwe",  # as SDK v3 says, and there is none
                },
            )
        self.hyperparameters(**MANY)
        self.replicated()

    def hyperparameters(self, **values: object) -> None:
        for job in self.jobs:
            job.hyperparameters(**values)

    def replicated(self) -> None:
        for job in self.jobs:
            for name, rows, seed in (("train", 550, 1), ("test", 130, 2)):
                job.channel(name, sparse_file(*ratings(rows, seed)))
            job.configure("inputdataconfig", {name: {} for name in ("train", "test")})

    def sharded(self, *ends: int) -> None:
        """Give each host its rows of both channels, train's up to an end each."""
        options = {"S3DistributionType": "ShardedByS3Key"}
        x, y = ratings(550, 1)
        a, b = ratings(130, 2)
        start = 0
        for number, (job, end) in enumerate(zip(self.jobs, ends, strict=True)):
            job.configure("inputdataconfig", {name: options for name in ("train", "test")})
            shutil.rmtree(job.data)
            job.data.mkdir()
            if end > start:
                job.channel("train", sparse_file(x[start:end], y[start:end]))
            first, last = 130 * number // len(ends), 130 * (number + 1) // len(ends)
            job.channel("test", sparse_file(a[first:last], b[first:last]))
            start = end

    @contextlib.contextmanager
    def started(self, late: int | None = None) -> Iterator[list[subprocess.Popen[str]]]:
        """Start all hosts; the late one when another waits for it."""
        with contextlib.ExitStack() as stack:
            started = {}
            for number in sorted(range(len(self.jobs)), key=lambda number: number == late):
                job = self.jobs[number]
                if number == late:
                    self.wait_for("Waiting for 2 hosts", 1 - number)
                    time.sleep(0.5)
                with open(job.base / "out", "w") as out, open(job.base / "err", "w") as err:
                    process = subprocess.Popen(
                        command("train"),
                        env=job.environment({"MASTER_PORT": str(self.port)}),
                        stdin=subprocess.DEVNULL,
                        stdout=out,
                        stderr=err,
                        text=True,
                    )
                stack.callback(process.wait, PATIENCE)
                stack.callback(process.kill)
                started[number] = process
            yield [started[number] for number in sorted(started)]

    def results(self, processes: list[subprocess.Popen[str]]) -> list[Result]:
        codes = [process.wait(PATIENCE) for process in processes]
        return [
            Result(code, (job.base / "out").read_text(), (job.base / "err").read_text())
            for code, job in zip(codes, self.jobs, strict=True)
        ]

    def train(self) -> list[Result]:
        with self.started() as processes:
            return self.results(processes)

    def wait_for(self, text: str, host: int = 0) -> None:
        """Return when a host has said something."""
        until = time.monotonic() + PATIENCE
        while text not in (self.jobs[host].base / "out").read_text():
            assert time.monotonic() < until
            time.sleep(0.01)


@pytest.fixture(params=[2, 3])
def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> Cluster:
    return Cluster(tmp_path / "hosts", request.param)


@pytest.fixture
def two(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path / "hosts", 2)


def scores(output: str) -> list[float]:
    """Return all scores that are told, in order."""
    pattern = r"(?:#quality_metric: host=\S+ .*>=|#test_score \(\S+\) : \('\S+', )([-\d.e]+)"
    return [float(text) for text in re.findall(pattern, output)]


def alone(base: Path, cluster: Cluster) -> tuple[artifact.Model, list[float]]:
    """Return what one host with all the data makes of the same job."""
    job = Job(base / "alone")
    shutil.copytree(cluster.jobs[0].base, job.base, dirs_exist_ok=True)
    (job.config / "resourceconfig.json").unlink()
    done = job.train()
    assert done.code == 0, done.stderr
    return artifact.read(job.model), scores(done.stdout)


def test_hosts_with_a_share_of_each_batch_equal_one_with_all(
    tmp_path: Path, cluster: Cluster
) -> None:
    model, told = alone(tmp_path, cluster)
    done = cluster.train()
    assert [one.code for one in done] == [0] * len(done), [one.stderr for one in done]
    found = artifact.read(cluster.jobs[0].model)
    np.testing.assert_allclose(found.parameters.v, model.parameters.v, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.parameters.w, model.parameters.w, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.parameters.w0, model.parameters.w0, rtol=1e-5)
    # Metrics are over all hosts, and every host has the same ones to the last bit.
    assert scores(done[0].stdout) == pytest.approx(told, rel=1e-5)
    for one in done[1:]:
        assert scores(one.stdout) == scores(done[0].stdout)
    assert [one.stderr for one in done] == [""] * len(done)
    # The model is written once.
    assert [job.left for job in cluster.jobs] == [["model_algo-1"], *[[]] * (len(done) - 1)]
    assert f"Training with the engine numba ({len(done)} hosts)" in done[0].stdout


def agree_with_one(tmp_path: Path, two: Cluster) -> None:
    """Train on both hosts and on one, and compare."""
    model, told = alone(tmp_path, two)
    done = two.train()
    assert [one.code for one in done] == [0, 0], [one.stderr for one in done]
    found = artifact.read(two.jobs[0].model)
    np.testing.assert_allclose(found.parameters.v, model.parameters.v, rtol=1e-4, atol=1e-7)
    assert scores(done[1].stdout) == pytest.approx(told, rel=1e-5)


def test_hosts_shuffle_alike(tmp_path: Path, two: Cluster) -> None:
    two.hyperparameters(**MANY, _shuffle="true")
    agree_with_one(tmp_path, two)


@pytest.mark.parametrize("optimizer", ["adagrad", "sgd"])
def test_a_regressor_of_another_optimizer(tmp_path: Path, two: Cluster, optimizer: str) -> None:
    two.hyperparameters(
        **{**MANY, "predictor_type": "regressor", "num_factors": 33}, _optimizer=optimizer
    )
    agree_with_one(tmp_path, two)


@pytest.mark.parametrize("ends", [(275, 550), (50, 550), (0, 550), (549, 550)])
def test_sharded_rows_are_all_used_whatever_their_counts(
    two: Cluster, ends: tuple[int, int]
) -> None:
    two.sharded(*ends)
    two.hyperparameters(**{**MANY, "mini_batch_size": 110})  # 5 batches, none overlaps
    done = two.train()
    assert [one.code for one in done] == [0, 0], [one.stderr for one in done]
    assert scores(done[0].stdout) == scores(done[1].stdout)
    assert '"Number of Records Since Last Reset": {"sum": 550.0' in done[0].stdout
    if ends != (275, 550):
        return
    # One host with the rows in the order in which the two take them makes the same model.
    order = np.concatenate(
        [np.r_[55 * n : 55 * n + 55, 275 + 55 * n : 275 + 55 * n + 55] for n in range(5)]
    )
    x, y = ratings(550, 1)
    one = Job(two.jobs[0].base.parent / "one")
    one.hyperparameters(**{**MANY, "mini_batch_size": 110})
    one.channel("train", sparse_file(x[order], y[order]))
    one.channel("test", sparse_file(*ratings(130, 2)))
    expected = one.train()
    assert expected.code == 0
    assert scores(done[0].stdout) == pytest.approx(scores(expected.stdout), rel=1e-5)
    found, model = artifact.read(two.jobs[0].model), artifact.read(one.model)
    np.testing.assert_allclose(found.parameters.v, model.parameters.v, rtol=1e-4, atol=1e-7)


def test_a_host_without_a_test_row(two: Cluster) -> None:
    two.sharded(275, 550)
    shutil.rmtree(two.jobs[0].data / "test")
    done = two.train()
    assert [one.code for one in done] == [0, 0], [one.stderr for one in done]
    assert "#test_score" in done[0].stdout
    assert scores(done[0].stdout) == scores(done[1].stdout)


def test_no_rows_anywhere(two: Cluster) -> None:
    two.sharded(0, 0)
    done = two.train()
    assert [one.code for one in done] == [2, 2]
    for job in two.jobs:
        assert job.failure == "ChannelError: channel 'train' has no records on any host"


def test_replicated_data_that_is_not_the_same(two: Cluster) -> None:
    two.jobs[1].channel("train", sparse_file(*ratings(550, 7)))
    done = two.train()
    assert [one.code for one in done] == [2, 2]
    assert "is FullyReplicated, but what host '127.0.0.2' has is not what '127.0.0.1' has" in str(
        two.jobs[0].failure
    )


def test_hosts_of_different_hyperparameters(two: Cluster) -> None:
    two.jobs[1].hyperparameters(**{**MANY, "epochs": 5})
    done = two.train()
    assert [one.code for one in done] == [2, 2]
    assert two.jobs[0].failure == (
        "ConfigurationError: all hosts must have the same hyperparameters and channels; "
        "host '127.0.0.2' has epochs '5', and '127.0.0.1' has '4'"
    )
    assert two.jobs[1].failure == two.jobs[0].failure


@pytest.mark.parametrize("host", [0, 1])
@pytest.mark.parametrize("channel", ["test", "model"])
def test_a_channel_of_one_host_only(two: Cluster, host: int, channel: str) -> None:
    job, other = two.jobs[host], two.jobs[1 - host]
    if channel == "test":
        other.configure("inputdataconfig", {"train": {}})
    else:
        assert [one.code for one in two.train()] == [0, 0]
        shutil.copytree(two.jobs[0].model, job.data / "model")
        job.configure("inputdataconfig", {"train": {}, "test": {}, "model": {}})
    assert [one.code for one in two.train()] == [2, 2]
    has = ["none", "none"]
    has[host] = "'FullyReplicated'"
    for each in two.jobs:
        assert each.failure == (
            "ConfigurationError: all hosts must have the same hyperparameters and channels; "
            f"host '127.0.0.2' has channel {channel!r} {has[1]}, and '127.0.0.1' has {has[0]}"
        )


@pytest.mark.parametrize("channel", ["train", "test"])
def test_a_channel_that_is_sharded_on_one_host_only(two: Cluster, channel: str) -> None:
    options = {"train": {}, "test": {}, channel: {"S3DistributionType": "ShardedByS3Key"}}
    two.jobs[1].configure("inputdataconfig", options)
    assert [one.code for one in two.train()] == [2, 2]
    for job in two.jobs:
        assert str(job.failure).endswith(
            f"host '127.0.0.2' has channel {channel!r} 'ShardedByS3Key', "
            "and '127.0.0.1' has 'FullyReplicated'"
        )


@pytest.mark.parametrize("change", ["labels", "values", "fewer rows", "more rows"])
def test_test_data_that_are_not_the_same_everywhere(two: Cluster, change: str) -> None:
    x, y = ratings(130, 2)
    if change == "values":
        x.data[5] = 2
    content = {
        "labels": lambda: sparse_file(x, 1 - y),
        "values": lambda: sparse_file(x, y),
        "fewer rows": lambda: sparse_file(x[:100], y[:100]),
        "more rows": lambda: sparse_file(*ratings(140, 2)),
    }[change]()
    two.jobs[-1].channel("test", content)
    assert {one.code for one in two.train()} == {2}
    rows = {"fewer rows": ": 100 and 130 records", "more rows": ": 140 and 130 records"}
    for job in two.jobs:
        assert job.failure == (
            f"ChannelError: channel 'test' is FullyReplicated, but what host {two.names[-1]!r} "
            f"has is not what '127.0.0.1' has{rows.get(change, '')}"
        )


def test_a_model_that_is_not_the_same_everywhere(two: Cluster) -> None:
    for seed, job in enumerate(two.jobs):
        job.configure("inputdataconfig", {"train": {}, "test": {}, "model": {}})
        first = Job(job.base / "first")
        first.hyperparameters(**GIVEN, _seed=seed)
        first.channel("train", sparse_file(*ratings(550, 1)))
        assert first.train().code == 0
        shutil.copytree(first.model, job.data / "model")
    assert [one.code for one in two.train()] == [2, 2]
    for job in two.jobs:
        assert job.failure == (
            "ChannelError: channel 'model' is FullyReplicated, but what host '127.0.0.2' has is "
            "not what '127.0.0.1' has"
        )


def test_hosts_that_were_started_with_other_hosts(two: Cluster) -> None:
    two.jobs[1].configure("resourceconfig", {"current_host": "127.0.0.2", "hosts": list(NAMES)})
    two.hyperparameters(**{**MANY, "_host_timeout": 5})
    done = two.train()
    assert done[0].code == 2
    assert done[1].code in (2, 3)  # the first may have left before it is asked
    assert two.jobs[0].failure == (
        "UserError: host '127.0.0.2' has the hosts 127.0.0.1, 127.0.0.2, 127.0.0.3; "
        "'127.0.0.1' has 127.0.0.1, 127.0.0.2"
    )


def test_what_only_one_host_can_do(two: Cluster) -> None:
    two.hyperparameters(**MANY, _engine="torch")
    assert [one.code for one in two.train()] == [2, 2]
    assert two.jobs[1].failure == (
        "HyperparameterError: _engine must be 'auto' or 'numba' on 2 hosts; got 'torch'"
    )


def test_pipe_mode_is_for_one_host(two: Cluster) -> None:
    for job in two.jobs:
        job.configure("inputdataconfig", {"train": {"TrainingInputMode": "Pipe"}})
    assert [one.code for one in two.train()] == [2, 2]
    for job in two.jobs:
        assert job.failure == (
            "ChannelError: channel 'train': TrainingInputMode 'Pipe' is for one host; on many it "
            "must be 'File' or 'FastFile'"
        )


def test_a_channel_that_would_be_streamed_is_for_one_host(two: Cluster) -> None:
    for job in two.jobs:
        job.channel("train", sparse_file(*ratings(90_000, 1)))
    two.hyperparameters(**MANY, _memory_budget_mb=1)
    assert {one.code for one in two.train()} <= {2, 3}
    assert any(
        str(job.failure).startswith(
            "ChannelError: channel 'train' does not fit the memory for data on host '127.0.0."
        )
        for job in two.jobs
    )


def test_gzip_on_many_hosts(two: Cluster) -> None:
    plain = two.train()
    for job in two.jobs:
        job.channel("train", gzip.compress(sparse_file(*ratings(550, 1))))
        job.configure("inputdataconfig", {"train": {"CompressionType": "Gzip"}, "test": {}})
    done = two.train()
    assert [one.code for one in done] == [0, 0], [one.stderr for one in done]
    assert scores(done[1].stdout) == scores(plain[1].stdout)


@pytest.mark.parametrize("late", [0, 1])
def test_one_that_starts_late_is_waited_for(two: Cluster, late: int) -> None:
    with two.started(late) as processes:
        done = two.results(processes)
    assert [one.code for one in done] == [0, 0], [one.stderr for one in done]


@pytest.mark.parametrize("absent", [0, 1])
def test_one_that_never_comes_is_named(two: Cluster, absent: int) -> None:
    two.hyperparameters(**{**MANY, "_host_timeout": 2})
    (two.jobs[absent].config / "hyperparameters.json").unlink()
    done = two.train()
    assert done[1 - absent].code == 3
    assert f"{NAMES[absent]}" in str(two.jobs[1 - absent].failure)
    assert "within 2 s" in str(two.jobs[1 - absent].failure)


@pytest.mark.parametrize("dead", [0, 1])
def test_one_that_dies_ends_the_others_and_is_named(cluster: Cluster, dead: int) -> None:
    cluster.hyperparameters(**{**MANY, "epochs": 10**8})
    with cluster.started() as processes:
        cluster.wait_for("epoch=1, ", dead)
        processes[dead].kill()
        done = cluster.results(processes)
    for number, (job, one) in enumerate(zip(cluster.jobs, done, strict=True)):
        if number != dead:
            assert one.code == 3
            assert f"host {NAMES[dead]!r} is gone" in str(job.failure), job.failure
            assert str(job.failure).endswith("; training has ended on all hosts")


# The host "b" ends when "c" has its part of an exchange and "a" does not: "c" is then one exchange
# ahead, and waits for "a", which ends because of "b".
AHEAD = """
import os, sys
import torch
from torch import distributed
from factorization_machines.engines.process_group import HostLost, ProcessGroup

try:
    with ProcessGroup(sys.argv[1], ["a", "b", "c"], "127.0.0.1", int(sys.argv[2]), 60) as group:
        if group.rank == 1:
            parts = torch.zeros(2, dtype=torch.uint8)
            for work in (distributed.irecv(parts[:1], 2), distributed.isend(parts[1:], 2)):
                work.wait()
            os._exit(9)
        for _ in range(2):
            group.any_reduce(False)
except HostLost as error:
    print(error, flush=True)
    os._exit(3)
"""


def test_one_that_dies_is_named_by_one_that_waits_for_another() -> None:
    port = str(free_port())
    quiet = {**os.environ, "TORCH_CPP_LOG_LEVEL": "FATAL", "GLOO_SOCKET_IFNAME": "lo"}
    processes = [
        subprocess.Popen([sys.executable, "-c", AHEAD, name, port], env=quiet, stdout=-1, text=True)
        for name in "abc"
    ]
    try:
        printed = [process.communicate(timeout=PATIENCE)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [3, 9, 3]
    assert printed[0].startswith("host 'b' is gone") and printed[2].startswith("host 'b' is gone")


@pytest.mark.parametrize("hung", [0, 1])
def test_one_that_hangs_is_given_up(two: Cluster, hung: int) -> None:
    two.hyperparameters(**{**MANY, "epochs": 10**8, "_host_timeout": 3})
    with two.started() as processes:
        two.wait_for("epoch=1, ")
        processes[hung].send_signal(signal.SIGSTOP)
        assert processes[1 - hung].wait(PATIENCE) == 3
    assert f"host {NAMES[hung]!r} did not answer" in str(two.jobs[1 - hung].failure)


def test_hosts_of_rows_as_different_as_can_be_stay_in_step(two: Cluster) -> None:
    two.sharded(275, 550)
    dense = np.ones((275, 100), np.float32)
    two.jobs[1].channel("train", dense_file(dense, np.zeros(275, np.float32), "float32"))
    two.hyperparameters(**{**MANY, "num_factors": 5000, "epochs": 3, "mini_batch_size": 5})
    done = two.train()
    assert [one.code for one in done] == [0, 0], [one.stderr for one in done]
    assert scores(done[0].stdout) == scores(done[1].stdout)


def test_one_that_fails_tells_the_others_why(cluster: Cluster) -> None:
    cluster.sharded(*[100 * n + 100 for n in range(len(cluster.jobs))])
    cluster.jobs[1].channel("train", b"no recordio")
    done = cluster.train()
    assert done[1].code == 2
    assert "DataError" in str(cluster.jobs[1].failure)
    for number in {*range(len(done))} - {1}:
        assert done[number].code == 3
        assert str(cluster.jobs[number].failure).startswith(
            "HostLost: host '127.0.0.2' ended: DataError: train/part-0: record 1 at byte 0: "
        )


@pytest.mark.parametrize("first", [0, 1])
def test_a_stop_of_any_ends_all_and_the_job_goes_on(
    tmp_path: Path, two: Cluster, first: int
) -> None:
    two.hyperparameters(**{**MANY, "epochs": 600})
    whole = two.train()
    assert [one.code for one in whole] == [0, 0], [one.stderr for one in whole]
    content = (two.jobs[0].model / "model_algo-1").read_bytes()
    (two.jobs[0].model / "model_algo-1").unlink()
    for job in two.jobs:
        (job.base / "checkpoints").mkdir()
    with two.started() as processes:
        two.wait_for("epoch=3, ", first)
        processes[first].send_signal(signal.SIGTERM)
        done = two.results(processes)
    assert [one.code for one in done] == [143, 143], [one.stderr for one in done]
    assert [job.left for job in two.jobs] == [["model_algo-1"], []]
    assert (two.jobs[0].model / "model_algo-1").read_bytes() != content
    names = [list((job.base / "checkpoints").iterdir()) for job in two.jobs]
    assert [len(each) for each in names] == [1, 0]
    # The next run's master gives it to all.
    again = two.train()
    assert [one.code for one in again] == [0, 0], [one.stderr for one in again]
    assert all("Resuming from" in one.stdout for one in again)
    assert (two.jobs[0].model / "model_algo-1").read_bytes() == content
    assert scores(again[1].stdout)[-9:] == scores(whole[1].stdout)[-9:]
