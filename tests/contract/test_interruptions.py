"""Kills, stops, full disks and folders that take nothing: real processes, real faults.

FM_KILLS says how many times the job of the kills is killed; 100 were tried.
"""

import functools
import json
import os
import random
import re
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from contract.conftest import DIM, GIVEN, ratings
from factorization_machines import artifact
from support.job import PATIENCE, UNPRIVILEGED, Job, limited
from support.pipes import fed, whole
from support.recordio import sparse_file

KILLS = int(os.environ.get("FM_KILLS", "6"))
LONG = {**GIVEN, "epochs": 40, "num_factors": 64, "mini_batch_size": 10}
STREAMED = {
    **{**GIVEN, "epochs": 3, "num_factors": 400},
    **{"mini_batch_size": 100, "batch_metrics_publish_interval": 100},
}


@pytest.fixture
def kept(good: Job) -> Job:
    """Return a job that is given a folder for checkpoints."""
    (good.base / "checkpoints").mkdir()
    return good


def checkpoints(job: Job) -> list[Path]:
    return sorted((job.base / "checkpoints").glob("*.npz"))


def content(job: Job) -> bytes:
    return (job.model / "model_algo-1").read_bytes()


def quality(output: str) -> list[str]:
    """Return the lines of scores, without their times, in order."""
    return [line.split("] ", 1)[1] for line in output.splitlines() if "#quality_metric" in line]


def uninterrupted(job: Job) -> tuple[bytes, list[str]]:
    """Run the job whole, and leave no trace of it."""
    folder, aside = job.base / "checkpoints", job.base / "aside"
    folder.rename(aside)
    done = job.train()
    assert done.code == 0, done.stderr
    whole = content(job)
    (job.model / "model_algo-1").unlink()
    aside.rename(folder)
    return whole, quality(done.stdout)


def stop_in(job: Job, line_with: str, number: signal.Signals) -> tuple[int, str, str]:
    """Start the job, and send it a signal at a line of its log; return code and streams."""
    # SIGHUP is ignored under nohup, and a process inherits that.
    default = functools.partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)
    with job.started(preexec_fn=default) as process:
        assert process.stdout is not None
        seen = []
        for line in process.stdout:
            seen.append(line)
            if line_with in line:
                break
        process.send_signal(number)
        # Not `communicate`, which loses what the stream has read ahead.
        hung = threading.Timer(PATIENCE, process.kill)
        hung.start()
        assert process.stderr is not None
        rest, said = process.stdout.read(), process.stderr.read()
        hung.cancel()
        return process.wait(PATIENCE), "".join(seen) + rest, said


@pytest.mark.parametrize("engine", ["numba", "torch"])
def test_a_stopped_job_goes_on_to_the_same_bytes(kept: Job, engine: str) -> None:
    kept.hyperparameters(**{**LONG, "epochs": 3000 if engine == "numba" else 20}, _engine=engine)
    whole, lines = uninterrupted(kept)
    code, first, said = stop_in(kept, "epoch=3, ", signal.SIGTERM)
    assert code == 143, said
    assert kept.left == ["model_algo-1"]
    assert content(kept) != whole
    done = kept.train()
    assert done.code == 0, done.stderr
    assert content(kept) == whole
    assert "Resuming from " in done.stdout
    # Each epoch is told of once, as if there had been no stop; the last lines are those of its end.
    told = [line for line in quality(first) if "epoch=" in line] + quality(done.stdout)
    assert told == lines


def test_a_stopped_job_draws_the_order_of_its_epoch_again(kept: Job) -> None:
    kept.hyperparameters(**{**LONG, "epochs": 300}, _shuffle="true", _seed=5)
    whole, lines = uninterrupted(kept)
    code, first, said = stop_in(kept, "epoch=3, ", signal.SIGTERM)
    assert code == 143, said
    done = kept.train()
    assert done.code == 0, done.stderr
    assert content(kept) == whole
    told = [line for line in quality(first) if "epoch=" in line] + quality(done.stdout)
    assert told == lines


@pytest.mark.parametrize("mode", ["File", "Pipe"])
def test_a_stopped_job_of_a_streamed_channel_goes_on_to_the_same_bytes(
    kept: Job, mode: str
) -> None:
    """It is stopped within an epoch, whose batches that were done are passed over."""
    train = sparse_file(*ratings(90_000, 1))
    test = sparse_file(*ratings(130, 2))
    kept.channel("train", train)
    given = {**STREAMED, "_memory_budget_mb": 1}
    kept.hyperparameters(**given)
    expected = uninterrupted(kept)
    if mode == "Pipe":
        kept.configure(
            "inputdataconfig",
            {name: {"TrainingInputMode": "Pipe"} for name in ("train", "test")},
        )
    with fed(kept, train=[whole(train)] * 3, test=[whole(test)]):
        code, first, said = stop_in(kept, "epoch=1, batch=100 ", signal.SIGTERM)
    assert code == 143, said
    with fed(kept, train=[whole(train)] * 3, test=[whole(test)]):
        done = kept.train()
    assert done.code == 0, done.stderr
    assert re.search(r"Resuming from .*: epoch \d, batch [1-9]", done.stdout)
    told = [line for line in quality(first) if "epoch=" in line] + quality(done.stdout)
    assert (content(kept), told) == expected


def test_a_pipe_with_less_data_than_the_checkpoint_saw(kept: Job) -> None:
    train, test = sparse_file(*ratings(90_000, 1)), sparse_file(*ratings(130, 2))
    kept.configure(
        "inputdataconfig", {name: {"TrainingInputMode": "Pipe"} for name in ("train", "test")}
    )
    kept.hyperparameters(**STREAMED)
    with fed(kept, train=[whole(train)] * 3, test=[whole(test)]):
        assert stop_in(kept, "epoch=1, batch=100 ", signal.SIGTERM)[0] == 143
    with fed(kept, train=[whole(sparse_file(*ratings(550, 1)))], test=[]):
        done = kept.train()
    assert done.code == 2
    assert kept.failure is not None
    assert kept.failure.startswith("CheckpointError: the checkpoint is of other data: ")
    assert kept.failure.endswith("and the channel 'train' has 6")


def test_a_channel_in_memory_is_not_taken_for_one_by_pipe(kept: Job) -> None:
    assert kept.train().code == 0
    kept.configure("inputdataconfig", {"train": {"TrainingInputMode": "Pipe"}, "test": {}})
    with fed(kept, train=[]):
        done = kept.train()
    assert done.code == 2
    assert kept.failure is not None
    assert "the channel 'train' must be in memory; it is in Pipe mode" in kept.failure


def test_a_finished_job_has_nothing_left_to_do_and_more_epochs_go_on(kept: Job) -> None:
    kept.hyperparameters(**{**GIVEN, "epochs": 5})
    whole, lines = uninterrupted(kept)
    kept.hyperparameters(**{**GIVEN, "epochs": 2})
    assert kept.train().code == 0
    two = content(kept)
    again = kept.train()
    assert again.code == 0 and content(kept) == two
    assert "epoch=" not in "".join(quality(again.stdout))
    assert re.search(r"#quality_metric: host=algo-1, train binary_f_1.000 <score>=", again.stdout)
    kept.hyperparameters(**{**GIVEN, "epochs": 5}, _num_threads=2)
    done = kept.train()
    assert quality(done.stdout) == lines[6 * 2 :]
    assert artifact.read(kept.model).parameters.v.tobytes() in whole


def test_no_folder_no_checkpoint(good: Job) -> None:
    assert good.train().code == 0
    assert not (good.base / "checkpoints").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"num_factors": 5}, "num_factors must be 4; got 5"),
        ({"factors_lr": 0.5}, "factors_lr must be 0.0001; got 0.5"),
        ({"_engine": "torch"}, "the engine must be 'numba'; got 'torch'"),
        ({}, "the data of the channel 'train' must be the same; it is not"),
    ],
)
def test_a_checkpoint_of_another_job_is_refused_by_name(
    kept: Job, change: dict[str, object], told: str
) -> None:
    assert kept.train().code == 0
    before = {path: path.read_bytes() for path in checkpoints(kept)}
    kept.hyperparameters(**{**GIVEN, **change})
    if not change:
        kept.channel("train", sparse_file(*ratings(550, 9)))
    done = kept.train()
    assert done.code == 2
    assert kept.failure == (
        f"CheckpointError: {checkpoints(kept)[-1]} is of another job: {told}. "
        "Run it as it was, or empty the folder to begin anew"
    )
    assert {path: path.read_bytes() for path in checkpoints(kept)} == before


def test_a_torn_checkpoint_falls_back_to_the_one_before(kept: Job) -> None:
    kept.hyperparameters(**LONG, _checkpoint_interval=1)
    whole, _ = uninterrupted(kept)
    assert kept.train().code == 0
    older, newest = checkpoints(kept)
    newest.write_bytes(newest.read_bytes()[:-100])
    done = kept.train()
    assert done.code == 0, done.stderr
    assert f"WARNING {re.search('WARNING ([0-9]+)', done.stdout)[1]}] {newest} is torn" in (  # type: ignore[index]
        done.stdout
    )
    assert f"Resuming from {older}: " in done.stdout
    assert content(kept) == whole
    for path in checkpoints(kept):
        path.write_bytes(b"\0" * 1000)
    done = kept.train()
    assert done.code == 0 and "Resuming" not in done.stdout
    assert content(kept) == whole


def rewritten(path: Path, change: str) -> None:
    """Write a whole checkpoint with other members, shapes, types or numbers."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    meta = json.loads(arrays["meta"].tobytes())
    if change == "shape":
        arrays["v"] = arrays["v"][:, :-1]
    elif change == "type":
        arrays["factors.m" if "factors.m" in arrays else "w"] = arrays["w"].astype(np.float64)
    elif change == "moment":
        del arrays[next(name for name in arrays if name.startswith("moments."))]
    elif change == "other moment":
        arrays["moments.linear.z"] = arrays["w"]
    elif change == "scalar":
        arrays["w0"] = np.float32(1)
    else:
        meta[change] = {
            "epoch": -1, "batch": 1 << 70, "sums": [1.0], "scores": ["rmse"], "steps": -5,
            "best": {"epoch": 1}, "identity": {"hyperparameters": [], "data": {}, "engine": 1,
            "hosts": 1},
        }[change]  # fmt: skip
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    np.savez(path, **arrays)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        *("shape", "type", "moment", "other moment", "scalar", "epoch", "batch", "sums"),
        *("scores", "steps", "best", "identity", "a FIFO", "a folder"),
    ],
)
def test_a_whole_checkpoint_that_cannot_be_used_falls_back_to_the_one_before(
    kept: Job, change: str
) -> None:
    kept.hyperparameters(**GIVEN, _checkpoint_interval=1)
    assert kept.train().code == 0
    whole = content(kept)
    older, newest = checkpoints(kept)
    if change.startswith("a "):
        newest.unlink()
        newest.mkdir() if change == "a folder" else os.mkfifo(newest)
    else:
        rewritten(newest, change)
    done = kept.train()
    assert done.code == 0, done.stderr
    assert f"{newest} is torn or damaged" in done.stdout
    assert f"Resuming from {older}: " in done.stdout
    assert content(kept) == whole


def test_a_hangup_saves_the_model(kept: Job) -> None:
    kept.hyperparameters(**{**LONG, "epochs": 10**6})
    code, _, said = stop_in(kept, "epoch=3, ", signal.SIGHUP)
    assert code == 143, said
    assert kept.left == ["model_algo-1"] and checkpoints(kept)


def test_early_stopping_goes_on_as_well(kept: Job) -> None:
    given = {**GIVEN, "epochs": 500, "factors_lr": 0.05, "linear_lr": 0.05, "num_factors": 8}
    kept.hyperparameters(**given, _early_stopping_patience=4, _checkpoint_interval=1)
    whole, _ = uninterrupted(kept)
    stop_in(kept, "epoch=2, ", signal.SIGKILL)
    done = kept.train()
    assert done.code == 0 and content(kept) == whole
    # It had ended already: nothing is trained, and the model is that of the best epoch again.
    done = kept.train()
    assert done.code == 0 and content(kept) == whole


def test_killed_at_any_moment_the_next_run_starts(kept: Job) -> None:
    """Of training, of a checkpoint, of saving the model, and of starting."""
    kept.hyperparameters(**LONG, _checkpoint_interval=1)
    whole, _ = uninterrupted(kept)
    began = time.monotonic()
    with kept.started() as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "Training with the engine" in line:
                break
        ready = time.monotonic()
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
    took, trained = time.monotonic() - began, time.monotonic() - ready
    dice = random.Random(KILLS)
    seen = {"killed": 0, "went on": 0, "torn": 0, "finished": 0}
    while seen["killed"] < KILLS:
        (kept.model / "model_algo-1").unlink(missing_ok=True)
        if seen["finished"]:
            for path in checkpoints(kept):
                path.unlink()
            seen["finished"] = 0
        with kept.started() as process:
            assert process.stdout is not None
            if dice.random() < 0.7:  # else: any moment from the start on
                for line in process.stdout:
                    if "Training with the engine" in line:
                        break
                time.sleep(dice.random() * trained)
            else:
                time.sleep(dice.random() * took)
            process.kill()
            output, said = process.communicate(timeout=PATIENCE)
        seen["killed"] += process.returncode == -signal.SIGKILL
        seen["torn"] += "is torn" in output
        seen["finished"] += process.returncode == 0
        assert process.returncode in (0, -signal.SIGKILL), said
        if kept.left == ["model_algo-1"] or "model_algo-1" in kept.left:
            assert content(kept) == whole  # never a torn one
        if dice.random() < 0.3:
            done = kept.train()
            assert done.code == 0, done.stderr
            assert content(kept) == whole
            assert "is torn" not in done.stdout
            seen["went on"] += "Resuming" in done.stdout
            seen["finished"] = 1
    (kept.model / "model_algo-1").unlink(missing_ok=True)
    done = kept.train()
    assert done.code == 0 and content(kept) == whole
    print(json.dumps(seen))
    assert seen["torn"] == 0


@pytest.mark.parametrize("size", [0, 1, 5000, 60_000, 10_000_000])
def test_a_disk_that_is_full_at_a_checkpoint(kept: Job, size: int) -> None:
    """No byte more than `size` fits into a file; the model, which is smaller, does from 60,000."""
    kept.hyperparameters(**LONG)
    whole, _ = uninterrupted(kept)
    # A write beyond the limit fails with EFBIG where the signal is ignored.
    done = kept.train(
        before=limited(
            "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"
        )
    )
    problem = f"no checkpoint can be written to {kept.base / 'checkpoints'}: File too large"
    fits = size > 1_000_000
    assert (problem in done.stdout) is not fits
    assert len(checkpoints(kept)) == fits
    assert not list((kept.base / "checkpoints").glob(".*"))
    if size < 60_000:
        assert done.code == 3
        assert "the model cannot be written to" in done.stderr
        assert kept.left == []
    else:
        assert done.code == 0, done.stderr
        assert content(kept) == whole


def test_a_folder_that_cannot_be_written_to(kept: Job) -> None:
    kept.hyperparameters(**LONG, _checkpoint_interval=1)
    (kept.base / "checkpoints").chmod(0o555)
    done = kept.train(before=UNPRIVILEGED)
    (kept.base / "checkpoints").chmod(0o755)
    assert done.code == 0, done.stderr
    lines = [line.split("] ", 1)[1] for line in done.stdout.splitlines() if "WARNING" in line]
    folder = kept.base / "checkpoints"
    assert lines == [
        f"no checkpoint can be written to {folder}: Permission denied; training goes on"
    ]
    assert kept.left == ["model_algo-1"]


def test_a_folder_that_cannot_be_read(kept: Job) -> None:
    (kept.base / "checkpoints").chmod(0)
    done = kept.train(before=UNPRIVILEGED)
    (kept.base / "checkpoints").chmod(0o755)
    assert done.code == 0, done.stderr
    assert kept.left == ["model_algo-1"]


def test_a_stop_within_an_epoch_leaves_model_and_checkpoint(kept: Job) -> None:
    kept.channel("train", {f"part-{n}": sparse_file(*ratings(3000, n)) for n in range(40)})
    kept.hyperparameters(**{**LONG, "epochs": 10**6, "batch_metrics_publish_interval": 10**6})
    code, output, said = stop_in(kept, "epoch=0, ", signal.SIGTERM)
    assert code == 143, said
    assert artifact.read(kept.model).parameters.feature_dim == DIM
    assert len(checkpoints(kept)) == 1
