"""Checkpoints: the file, the store, the fingerprint of a job, and when they are written."""

import threading
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from factorization_machines.engines.base import OptimizerState
from factorization_machines.errors import CheckpointError
from factorization_machines.parameters import Parameters
from factorization_machines.trainer import BestEpoch, TrainingState
from sagemaker_container.training.checkpoints import file
from sagemaker_container.training.checkpoints.file import Checkpoint
from sagemaker_container.training.checkpoints.fingerprint import JobFingerprint, digest
from sagemaker_container.training.checkpoints.manager import CheckpointManager, Interval
from sagemaker_container.training.checkpoints.store import CheckpointStore
from support.fm import parameters as random_parameters

FINGERPRINT = JobFingerprint(
    {"num_factors": 3, "eps": None, "_engine": "auto"}, {"train": "ab"}, "numba", 1
)


def checkpoint(steps: int = 7, seed: int = 0, best: bool = True) -> Checkpoint:
    values = random_parameters(seed, 5, 3)
    optimizer_state = {"bias.m": values.w0 * 2, "linear.m": values.w * 2, "factors.m": values.v * 2}
    kept = BestEpoch(1, 0.1 + seed, random_parameters(seed + 50, 5, 3)) if best else None
    state = TrainingState(2, 3, 40, (0.1, 1 / 3, 0.0, 2.0, 1e-300), {"rmse": 1 / 3}, kept)
    return Checkpoint(FINGERPRINT, state, values, OptimizerState(steps, optimizer_state))


def same(a: Checkpoint, b: Checkpoint) -> bool:
    def flat(one: Checkpoint) -> list[Any]:
        best = one.state.best
        kept = [best.epoch, best.loss, best.parameters.v.tobytes()] if best else None
        optimizer_state = {name: array.tobytes() for name, array in one.optimizer.arrays.items()}
        arrays = [p.tobytes() for p in (one.parameters.w0, one.parameters.w, one.parameters.v)]
        return [one.fingerprint, replace(one.state, best=None), kept, optimizer_state, arrays]

    return flat(a) == flat(b) and a.optimizer.steps == b.optimizer.steps


@pytest.mark.parametrize("best", [True, False])
def test_a_file_holds_every_bit(tmp_path: Path, best: bool) -> None:
    original = checkpoint(best=best)
    file.write(tmp_path / "c.npz", original)
    assert same(file.read(tmp_path / "c.npz"), original)
    assert [path.name for path in tmp_path.iterdir()] == ["c.npz"]


def test_any_lost_or_changed_byte_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    original = checkpoint()
    file.write(path, original)
    content = path.read_bytes()
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        with pytest.raises(file.DAMAGE):
            file.read(path)
    undetected = 0
    for at in range(0, len(content), 5):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        try:
            damaged = file.read(path)
        except file.DAMAGE:
            continue
        assert same(damaged, original)  # a byte without meaning: a date, or padding
        undetected += 1
    assert undetected < len(content) / 5 / 2


def test_a_damaged_size_allocates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    file.write(path, replace(checkpoint(), parameters=random_parameters(0, 5000, 3)))
    content = path.read_bytes()
    small, large = b"(5000, 3), }", b"(500000000000000, 3), }"
    filled = small.ljust(len(large))
    assert filled in content
    path.write_bytes(content.replace(filled, large))
    with pytest.raises(zipfile.BadZipFile):
        file.read(path)


def test_the_previous_file_remains_until_the_next_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.npz"
    original = checkpoint()
    file.write(path, original)

    def half(stream: Any, **_: Any) -> None:
        stream.write(b"PK")
        stream.flush()
        assert same(file.read(path), original)
        raise OSError("no space left")

    monkeypatch.setattr(file.np, "savez", half)
    with pytest.raises(OSError, match="no space left"):
        file.write(path, checkpoint(seed=1))
    assert same(file.read(path), original)
    assert [one.name for one in tmp_path.iterdir()] == ["c.npz"]


def test_another_format_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "FORMAT", 1)
    file.write(tmp_path / "c.npz", checkpoint())
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="c.npz has the format 1, and this version reads 2"):
        file.read(tmp_path / "c.npz")


def test_a_checkpoint_of_an_earlier_version_is_rejected_and_not_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "FORMAT", 1)
    store = CheckpointStore(tmp_path, print)
    store.write(checkpoint(5))
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="Empty the folder to begin anew"):
        store.latest()


def test_there_is_no_pickle(tmp_path: Path) -> None:
    file.write(tmp_path / "c.npz", checkpoint())
    with zipfile.ZipFile(tmp_path / "c.npz") as archive:
        assert archive.testzip() is None
    with np.load(tmp_path / "c.npz", allow_pickle=False) as archive:
        assert {archive[name].dtype.kind for name in archive.files} == {"f", "u"}


def test_the_newest_undamaged_checkpoint_is_read_and_two_are_kept(tmp_path: Path) -> None:
    warnings: list[str] = []
    store = CheckpointStore(tmp_path, warnings.append)
    assert store.latest() is None
    for steps in (5, 10, 100):
        store.write(checkpoint(steps, seed=steps))
    names = ["checkpoint-000000000010.npz", "checkpoint-000000000100.npz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    newest = tmp_path / names[1]
    newest.write_bytes(newest.read_bytes()[:-30])

    again = CheckpointStore(tmp_path, warnings.append)
    latest = again.latest()
    assert latest is not None and latest[0] == tmp_path / names[0]
    assert same(latest[1], checkpoint(10, seed=10))
    assert warnings == [w for w in warnings if str(newest) in w and "torn or damaged" in w] != []
    # A damaged file does not count as one of the two.
    again.write(checkpoint(20, seed=20))
    left = ["checkpoint-000000000010.npz", "checkpoint-000000000020.npz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == left


def test_the_error_of_another_job_names_all_differences() -> None:
    other = JobFingerprint(
        {"num_factors": 4, "eps": 1e-6, "_engine": "numba"}, {"train": "cd"}, "torch", 2
    )
    with pytest.raises(CheckpointError) as caught:
        FINGERPRINT.check(other, "F")
    assert str(caught.value) == (
        "F is of another job: eps must be None; got 1e-06; num_factors must be 3; got 4; "
        "the engine must be 'numba'; got 'torch'; the number of hosts must be 1; got 2; "
        "the data of the channel 'train' must be the same; it is not. "
        "Run it as it was, or empty the folder to begin anew"
    )
    free = {"num_factors": 3, "eps": None, "epochs": 5, "_num_threads": 2}
    FINGERPRINT.check(JobFingerprint(free, {"train": "ab"}, "numba", 1), "F")


def test_a_digest_depends_on_values_order_and_shape() -> None:
    a = np.arange(6, dtype=np.int32)
    assert digest(a) == digest(a.astype(np.int64)) != digest(a[::-1])
    assert digest(a.reshape(2, 3)) != digest(a.reshape(3, 2))
    assert digest(a[:3], a[3:]) != digest(a[:2], a[2:])
    assert digest(np.empty(0, np.float32)) != digest(np.zeros(1, np.float32))


class Engine:
    """Has a model and an optimizer state, and nothing to train."""

    def __init__(self, parameters: Parameters) -> None:
        self.steps, self.model = 0, SimpleNamespace(arrays=lambda: parameters)

    def state_dict(self) -> OptimizerState:
        self.steps += 1
        return OptimizerState(self.steps, {})


class Slow(CheckpointStore):
    """Writes after `go` is set."""

    def __init__(self, problem: OSError | None = None) -> None:
        super().__init__(Path("/nowhere"), print)
        self.go, self.written, self.problem = threading.Event(), [], problem  # type: ignore[var-annotated]

    def write(self, checkpoint: Checkpoint) -> Path:
        assert self.go.wait(60)
        if self.problem:
            raise self.problem
        self.written.append(checkpoint.state)
        return self.path


def manager(
    store: CheckpointStore, interval: Interval, messages: list[str], epochs: int = 9
) -> tuple[CheckpointManager, Parameters]:
    values = random_parameters(0, 5, 3)
    engine: Any = Engine(values)
    log: Any = SimpleNamespace(message=messages.append, warning=messages.append)
    return CheckpointManager(store, FINGERPRINT, interval, epochs, engine, log), values


def test_an_interval_in_epochs_and_the_last_epoch() -> None:
    store, messages = Slow(), []  # type: ignore[var-annotated]
    store.go.set()
    made, _ = manager(store, Interval(epochs=2), messages)
    made.resume_from(TrainingState(1))
    for epoch in range(1, 10):
        made.on_progress(TrainingState(epoch, 3), stopped=False)
        if epoch > 1:
            made._wait()
    made.__exit__(None, None, None)
    assert [state.epoch for state in store.written] == [3, 5, 7, 9]


def test_training_continues_during_a_write() -> None:
    store, messages = Slow(), []  # type: ignore[var-annotated]
    made, values = manager(store, Interval(seconds=1e-9), messages)
    made.on_progress(TrainingState(0, 1), stopped=False)  # its write waits
    made.on_progress(TrainingState(0, 2), stopped=False)
    made.on_progress(TrainingState(0, 3), stopped=False)
    assert store.written == []
    store.go.set()
    made.on_progress(TrainingState(0, 4), stopped=True)
    made.__exit__(None, None, None)
    assert [state.batch for state in store.written] == [1, 4]
    assert messages == ["Checkpoint written: /nowhere"] * 2


def test_a_copy_of_the_parameters_is_written(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, print)
    made, values = manager(store, Interval(seconds=1e-9), [])
    before = values.v.tobytes()
    made.on_progress(TrainingState(0, 1), stopped=False)
    values.v[:] = 0
    made.__exit__(None, None, None)
    latest = store.latest()
    assert latest is not None and latest[1].parameters.v.tobytes() == before


def test_a_problem_is_logged_once_and_training_continues() -> None:
    messages: list[str] = []
    store = Slow(OSError(28, "No space left on device"))
    store.go.set()
    made, _ = manager(store, Interval(seconds=1e-9), messages)
    for batch in range(3):
        made.on_progress(TrainingState(0, batch), stopped=False)
        made._wait()
    store.problem = None
    made.on_progress(TrainingState(0, 4), stopped=False)
    made._wait()
    store.problem = OSError(28, "No space left on device")
    made.on_progress(TrainingState(0, 5), stopped=False)
    made.__exit__(None, None, None)
    problem = "no checkpoint can be written to /nowhere: No space left on device; training goes on"
    assert messages == [problem, "Checkpoint written: /nowhere", problem]


@pytest.mark.parametrize(
    ("was", "now", "message"),
    [
        (
            "streamed ab",
            "streamed cd",
            "the data of the channel 'train' must be the same; it is not",
        ),
        (
            "streamed ab",
            "ab",
            "the channel 'train' must be streamed from its files; it is in memory",
        ),
        ("ab", "Pipe", "the channel 'train' must be in memory; it is in Pipe mode"),
    ],
)
def test_data_of_another_kind_is_a_difference(was: str, now: str, message: str) -> None:
    then = JobFingerprint({}, {"train": was}, "numba", 1)
    then.check(JobFingerprint({}, {"train": was}, "numba", 1), "F")
    with pytest.raises(CheckpointError, match=message):
        then.check(JobFingerprint({}, {"train": now}, "numba", 1), "F")
