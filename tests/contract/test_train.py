"""Good runs of `train` as a real process: log, scores, artifact, signals."""

import json
import re
import signal
import subprocess

import numpy as np
import pytest

from contract.conftest import DIM, GIVEN, ratings
from factorization_machines import artifact
from factorization_machines.metrics import metrics_for
from factorization_machines.parameters import score
from support.job import PATIENCE, Job, command
from support.recordio import dense_file, sparse_file

CLASSIFIER = (
    "binary_classification_accuracy <score>",
    "binary_classification_cross_entropy <loss>",
    "binary_f_1.000 <score>",
)
COUNTERS = [
    *("Total Records Seen", "Total Batches Seen"),
    *("Max Records Seen Between Resets", "Max Batches Seen Between Resets", "Reset Count"),
    *("Number of Records Since Last Reset", "Number of Batches Since Last Reset"),
]
REGRESSOR = ("rmse <loss>", "mse <loss>", "absolute_loss <loss>")


def shape(line: str) -> str:
    """Return a line of the log with its numbers as N, and of `#metrics` what it is about."""
    if line.startswith("#metrics "):
        content = json.loads(line.removeprefix("#metrics "))
        meta = content["Dimensions"].get("Meta")
        if meta is None:
            return " ".join(["#metrics", *content["Metrics"]])
        assert list(content["Metrics"]) == COUNTERS
        return " ".join(
            [f"#metrics {meta}", *(str(one["max"]) for one in content["Metrics"].values())]
        )
    line = re.sub(r"^\[[\d/]+ [\d:]+ \w+ \d+\]|^\[[\d-]+ [\d:.]+\](?= \[tensorio\])", "[…]", line)
    line = re.sub(
        r"(score>=|loss>=|put=|', |Process |completed )-?\d+(\.\d+)?(e-\d+)?(?=$|\)| )",
        r"\1N",
        line,
    )
    line = re.sub(r'("duration": |"num_bytes": )\d+', r"\1N", line)
    return re.sub(r": ?\{'.*", " {…}", line)


@pytest.mark.parametrize("predictor_type", ["binary_classifier", "regressor"])
def test_the_lines_of_a_run_in_their_order(good: Job, predictor_type: str) -> None:
    good.hyperparameters(**{**GIVEN, "predictor_type": predictor_type})
    done = good.train()
    assert done.code == 0, done.stderr
    names = CLASSIFIER if predictor_type == "binary_classifier" else REGRESSOR

    def quality(where: str) -> list[str]:
        return [f"[…] #quality_metric: host=algo-1, {where} {name}=N" for name in names]

    def stats(channel: str, epoch: int, batches: int) -> str:
        return (
            f'[…] [tensorio] [info] epoch_stats={{"data_pipeline": "{good.data}/{channel}", '
            f'"epoch": {epoch}, "duration": N, "num_examples": {batches}, "num_bytes": N}}'
        )

    epochs = []
    for epoch in range(2):
        epochs += [
            *quality(f"epoch={epoch}, batch=0 train"),
            stats("train", 2 * (epoch + 1), 6),
            *quality(f"epoch={epoch}, train"),
            *(quality("train") if epoch == 1 else ()),
            "#metrics epochs update.time" if epoch == 0 else "#metrics update.time",
            "[…] #progress_metric: host=algo-1, completed N % of epochs",
            f"#metrics training_data_iter {100 + 550 * (epoch + 1)} {1 + 6 * (epoch + 1)} 550 6 "
            f"{epoch + 2} 550 6",
            "[…] #throughput_metric: host=algo-1, train throughput=N records/second",
        ]
    scores = [f"[…] #test_score (algo-1) : ('{name.split()[0]}', N)" for name in names]
    assert [shape(line) for line in done.stdout.splitlines()] == [
        "[…] Reading default configuration from sagemaker_container/contract/hyperparameters.py"
        " {…}",
        f"[…] Merging with provided configuration from {good.config}/hyperparameters.json {{…}}",
        "[…] Final configuration {…}",
        "Process N is a worker.",
        "[…] Using default worker.",
        "[…] Checkpoint loading and saving are disabled.",
        stats("train", 0, 1),
        "[…] Number of GPUs being used: 0",
        "[…] [Sparse network] Building a sparse network.",
        "[…] Training with the engine numba (1 thread): 550 train, 130 test records",
        "#metrics initialize.time",
        "#metrics init_train_data_iter 100 1 100 1 1 0 0",
        *epochs,
        "#metrics finalize.time",
        f'[…] Saved checkpoint to "{good.model}/model_algo-1"',
        stats("test", 0, 1),
        stats("test", 1, 2),
        "#metrics test_data_iter 130 2 130 2 1 130 2",
        *scores,
        *quality("test"),
        "#metrics setuptime totaltime",
    ]
    assert done.stderr == ""


def test_the_configuration_is_logged_as_the_built_in_logs_it(good: Job) -> None:
    good.hyperparameters(**GIVEN, _seed=3)
    lines = good.train().stdout.splitlines()
    default, merged, final = (line.partition(": {")[2] for line in lines[:3])
    assert default.startswith(
        "'epochs': 1, 'mini_batch_size': '1000', 'use_bias': 'true', 'use_linear': 'true', "
        "'bias_lr': '0.1', "
    )
    assert "'_seed': '3'" in merged and "'_seed': '3'" in final
    assert "'epochs': '2'" in final and "_seed" not in default
    for ours in ("_engine", "_device", "_num_threads", "_draw_order", "_memory_budget_mb"):
        assert not any(ours in line for line in lines[:3])


def test_the_bytes_of_the_data_are_counted(good: Job) -> None:
    found = re.findall(r'epoch_stats=(\{.*"data_pipeline": "\S+/(\w+)".*\})', good.train().stdout)
    counted = {(channel, (stats := json.loads(text))["epoch"]): stats for text, channel in found}
    x, y = ratings(550, 1)
    assert counted["train", 0]["num_bytes"] == len(sparse_file(x[:100], y[:100]))
    assert counted["train", 2]["num_bytes"] == len(sparse_file(x, y))
    assert counted["train", 4]["num_bytes"] == len(sparse_file(x, y))
    assert counted["test", 1]["num_bytes"] == (good.data / "test" / "part-0").stat().st_size


@pytest.mark.parametrize("predictor_type", ["binary_classifier", "regressor"])
def test_the_test_scores_are_those_of_the_artifact(good: Job, predictor_type: str) -> None:
    good.hyperparameters(**{**GIVEN, "predictor_type": predictor_type})
    done = good.train()
    model = artifact.read(good.model)
    x, y = ratings(130, 2)
    metrics = metrics_for(model.classifier)
    metrics.add(score(x, model.parameters), y)
    found = re.findall(r"#test_score \(algo-1\) : \('(\S+)', (\S+)\)", done.stdout)
    assert {name: float(value) for name, value in found} == pytest.approx(
        metrics.scores(), rel=1e-6
    )
    assert model.training_parameters["feature_dim"] == str(DIM)
    assert model.training_parameters["predictor_type"] == predictor_type
    assert good.left == ["model_algo-1"]
    assert good.failure is None


def test_files_in_sub_folders_are_one_channel_in_sorted_order(good: Job) -> None:
    x, y = ratings(550, 1)

    def part(start: int, stop: int) -> bytes:
        return sparse_file(x[start:stop], y[start:stop])

    good.train()
    whole = (good.model / "model_algo-1").read_bytes()
    (good.data / "train" / "part-0").unlink()
    good.channel(
        "train",
        {"b": part(400, 550), "a/2": part(200, 400), "a/1": part(0, 200), ".hidden": b"no"},
    )
    done = good.train()
    assert done.code == 0, done.stderr
    assert (good.model / "model_algo-1").read_bytes() == whole


def test_dense_float64_rows_without_configuration_files(good: Job) -> None:
    """`docker run` with mounted folders and no SDK: hyperparameters.json alone is enough."""
    for name, rows, seed in (("train", 550, 1), ("test", 130, 2)):
        x, y = ratings(rows, seed)
        good.channel(name, dense_file(x.toarray(), y, "float64"))
    for name in ("inputdataconfig", "resourceconfig"):
        (good.config / f"{name}.json").unlink()
    dense = good.train()
    assert dense.code == 0, dense.stderr
    content = (good.model / "model_algo-1").read_bytes()
    for name, rows, seed in (("train", 550, 1), ("test", 130, 2)):
        good.channel(name, sparse_file(*ratings(rows, seed)))
    good.train()
    assert (good.model / "model_algo-1").read_bytes() == content


def test_no_test_channel_no_test_score(good: Job) -> None:
    good.configure("inputdataconfig", {"train": {"TrainingInputMode": "FastFile"}})
    good.configure("resourceconfig", {"current_host": "algo-1-z7lsm", "hosts": ["algo-1-z7lsm"]})
    done = good.train()
    assert done.code == 0, done.stderr
    assert "#test_score" not in done.stdout
    assert "#quality_metric: host=algo-1-z7lsm, train" in done.stdout


def test_a_seed_decides(good: Job) -> None:
    contents = []
    for seed in (0, 0, 1):
        good.hyperparameters(**GIVEN, _seed=seed)
        good.train()
        contents.append(artifact.read(good.model).parameters.v.tobytes())
    assert contents[0] == contents[1] != contents[2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_training_saves_the_model(good: Job, number: signal.Signals) -> None:
    good.hyperparameters(**{**GIVEN, "epochs": 100_000_000})
    with good.started() as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "epoch=1, train" in line:
                break
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 143
        assert said == "stopped by a signal; the model as far as it was trained is saved\n"
    model = artifact.read(good.model)
    assert np.abs(model.parameters.w).max() > 0.01
    assert good.failure is None


def test_a_signal_before_training(good: Job) -> None:
    """While it waits for another host: nothing is there to save."""
    hosts = ["127.0.0.1", "127.0.0.2"]
    good.configure("resourceconfig", {"current_host": hosts[1], "hosts": hosts})
    with good.started() as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "Waiting for 2 hosts" in line:
                break
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 143
        assert process.stderr is not None
        assert process.stderr.read() == (
            "stopped by a signal before training began; there is no model\n"
        )
    assert good.left == []
    assert good.failure is None


def test_a_reader_that_leaves_does_not_end_the_job(good: Job) -> None:
    with good.started() as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(PATIENCE) == 0
    assert good.left == ["model_algo-1"]


def test_bad_input_is_told_before_torch_is_loaded(good: Job) -> None:
    good.hyperparameters(**{**GIVEN, "num_factors": 0})
    done = good.train(environment={"PYTHONPROFILEIMPORTTIME": "1"})
    assert done.code == 2
    assert "sagemaker_container.training.job" in done.stderr
    assert not re.search(r"\| +torch$", done.stderr, re.M)


def test_serving_never_loads_torch() -> None:
    script = "import sys, sagemaker_container.serving.server; sys.exit('torch' in sys.modules)"
    python = command("train")[0]
    interpreter = python if python.endswith("python") else python.replace("bin/train", "bin/python")
    done = subprocess.run([interpreter, "-c", script], check=False, timeout=PATIENCE)
    assert done.returncode == 0
