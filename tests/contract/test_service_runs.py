"""Jobs that ran on SageMaker print the same metrics here, whichever way they run.

The data may not be handed out with the project: FM_TEST_DATA names a folder that has it, as
bench/evidence.py says.
"""

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from bench.evidence import DATA, EXACT, RUNS, Printed, hyperparameters, largest_differences, rows_of
from bench.records import write_records

from factorization_machines import artifact
from factorization_machines.parameters import score, sigmoid
from factorization_machines.recordio.decoder import Rows
from support.data import WITHOUT_DATA
from support.job import PATIENCE, Job, command, free_port
from support.pipes import fed, whole

MOVIELENS, RETAIL = RUNS
CROSS_ENTROPY = "binary_classification_cross_entropy"


@dataclass(frozen=True)
class Case:
    """A run's rows, and its channels as files."""

    name: str
    test: Rows
    files: Mapping[str, bytes]

    def prepare(self, job: Job, **more: object) -> Job:
        """Lay the job out."""
        for channel, content in self.files.items():
            job.channel(channel, content)
        job.hyperparameters(**hyperparameters(self.name), **more)
        return job

    def train(self, job: Job, **more: object) -> Printed:
        """Run the job, and return what it printed."""
        done = self.prepare(job, **more).train()
        assert done.code == 0, done.stderr
        return Printed.of(done.stdout)


def _case(name: str, folder: Path) -> Case:
    given = os.environ.get(DATA)
    if not given:
        pytest.skip(f"{WITHOUT_DATA}: the service's runs need MovieLens-100k and Online Retail")
    train, test = rows_of(name, Path(given))
    files = {
        channel: write_records(rows, folder / channel).read_bytes()
        for channel, rows in (("train", train), ("test", test))
    }
    return Case(name, test, files)


@pytest.fixture(scope="module")
def movielens(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return _case(MOVIELENS, tmp_path_factory.mktemp("movielens"))


@pytest.fixture(scope="module")
def retail(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return _case(RETAIL, tmp_path_factory.mktemp("retail"))


@pytest.fixture(scope="module")
def one_thread(movielens: Case, tmp_path_factory: pytest.TempPathFactory) -> tuple[Printed, bytes]:
    """Return what the plain job prints, and its artifact."""
    job = Job(tmp_path_factory.mktemp("one-thread") / "ml")
    return movielens.train(job), (job.model / "model_algo-1").read_bytes()


def same_as_the_service(printed: Printed) -> None:
    """Accuracy and F1 to the last digit, in each epoch, in its batch 0 and in the test."""
    expected = RUNS[MOVIELENS]
    for name in EXACT:
        assert printed.epochs[name] == expected[name]["epochs"]
        assert printed.batch0[name] == expected[name]["batch0"]
        assert printed.test[name] == expected["test"][name]
    losses = expected[CROSS_ENTROPY]
    assert len(losses["epochs"]) == 30
    np.testing.assert_allclose(printed.epochs[CROSS_ENTROPY], losses["epochs"], rtol=0, atol=1e-7)
    np.testing.assert_allclose(printed.batch0[CROSS_ENTROPY], losses["batch0"], rtol=0, atol=1e-7)
    assert printed.test[CROSS_ENTROPY] == pytest.approx(
        expected["test"][CROSS_ENTROPY], rel=0, abs=1e-7
    )


def same_parameters(job: Job, content: bytes, tmp_path: Path) -> None:
    """The model is that of the plain job, to the bit."""
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "model_algo-1").write_bytes(content)
    ours, plain = (artifact.read(path).parameters for path in (job.model, tmp_path / "plain"))
    assert ours.w0.tobytes() == plain.w0.tobytes()
    assert ours.w.tobytes() == plain.w.tobytes()
    assert ours.v.tobytes() == plain.v.tobytes()


def test_movielens(one_thread: tuple[Printed, bytes], movielens: Case, tmp_path: Path) -> None:
    printed, content = one_thread
    same_as_the_service(printed)
    (tmp_path / "model_algo-1").write_bytes(content)
    expected = RUNS[MOVIELENS]["first20_scores"]
    z = score(movielens.test.x[: len(expected)], artifact.read(tmp_path).parameters)
    np.testing.assert_allclose(sigmoid(z), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("more", [{"_num_threads": 2}, {"_memory_budget_mb": 1}])
def test_movielens_by_two_threads_and_streamed(
    movielens: Case,
    one_thread: tuple[Printed, bytes],
    job: Job,
    tmp_path: Path,
    more: dict[str, object],
) -> None:
    assert movielens.train(job, **more) == one_thread[0]
    same_parameters(job, one_thread[1], tmp_path)


def test_movielens_in_pipe_mode(
    movielens: Case, one_thread: tuple[Printed, bytes], job: Job, tmp_path: Path
) -> None:
    options = {"TrainingInputMode": "Pipe"}
    job.configure("inputdataconfig", {name: options for name in ("train", "test")})
    job.hyperparameters(**hyperparameters(MOVIELENS))
    passes = {name: [whole(content)] for name, content in movielens.files.items()}
    passes["train"] *= 30
    with fed(job, **passes):
        done = job.train()
    assert done.code == 0, done.stderr
    assert Printed.of(done.stdout) == one_thread[0]
    same_parameters(job, one_thread[1], tmp_path)


def test_movielens_by_the_torch_engine_stopped_within_an_epoch_and_resumed(
    movielens: Case, job: Job
) -> None:
    # By torch a batch takes a millisecond, so that a stop comes within an epoch. Its bits are its
    # own; the fused engine's resumed runs have their bits in tests/numerics/test_resume.py.
    (job.base / "checkpoints").mkdir()
    movielens.prepare(job, batch_metrics_publish_interval=50, _engine="torch")
    with job.started() as process:
        assert process.stdout is not None
        printed = []
        for line in process.stdout:
            printed.append(line)
            if "epoch=3, batch=200 " in line:
                process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM
    again = job.train()
    assert again.code == 0, again.stderr
    began = re.search(r"Resuming from .*: epoch (\d+), batch (\d+)", again.stdout)
    assert began and int(began[1]) >= 3 and int(began[2]) > 0
    before, after = Printed.of("".join(printed)), Printed.of(again.stdout)
    joined = Printed(
        {name: before.epochs[name] + after.epochs[name] for name in after.epochs},
        {name: before.batch0[name] + after.batch0[name] for name in after.batch0},
        after.test,
    )
    same_as_the_service(joined)


def test_movielens_on_three_hosts(movielens: Case, tmp_path: Path) -> None:
    """The service's rule for several hosts is not known: ours gives one host's metrics to 1e-6."""
    names = [f"127.0.0.{number + 1}" for number in range(3)]
    environment = {"MASTER_PORT": str(free_port())}
    jobs, processes = [movielens.prepare(Job(tmp_path / name)) for name in names], []
    for name, job in zip(names, jobs, strict=True):
        job.configure("resourceconfig", {"current_host": name, "hosts": names})
        with open(job.base / "out", "w") as out:
            run = {"env": job.environment(environment), "stdout": out, "stderr": out}
            processes.append(subprocess.Popen(command("train"), **run))  # type: ignore[call-overload]
    try:
        for process, job in zip(processes, jobs, strict=True):
            code = process.wait(PATIENCE)
            assert code == 0, (job.base / "out").read_text()[-2000:]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for job in jobs:
        printed, expected = Printed.of((job.base / "out").read_text()), RUNS[MOVIELENS]
        for name in (*EXACT, CROSS_ENTROPY):
            for kind, seen in (("epochs", printed.epochs), ("batch0", printed.batch0)):
                np.testing.assert_allclose(seen[name], expected[name][kind], rtol=0, atol=1e-6)
            assert printed.test[name] == pytest.approx(expected["test"][name], rel=0, abs=1e-6)


def test_online_retail(retail: Case, job: Job) -> None:
    printed = retail.train(job)
    differences = largest_differences(RETAIL, printed)
    mse, absolute = (RUNS[RETAIL][name]["epochs"] for name in ("mse", "absolute_loss"))
    assert printed.epochs["mse"][0] == pytest.approx(mse[0], rel=1e-7)
    assert len(printed.epochs["mse"]) == len(mse) == len(absolute) == 20
    assert differences["mse, epochs"][1] < 1e-5
    assert differences["absolute_loss, epochs"][1] < 1e-4
    assert printed.test["mse"] == pytest.approx(RUNS[RETAIL]["test"]["mse"], rel=2e-4)
