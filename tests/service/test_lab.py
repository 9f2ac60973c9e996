"""Code for AWS by the real SDKs, in the environment that `up --env` prints."""

import re
import subprocess

import pytest

from local_sagemaker.lab.printed import parse
from local_sagemaker.up import running
from support import sdk
from support.ratings import write_ratings
from support.service import BUCKET, PATIENCE, ROOT, command, down, run_sdk, up

pytestmark = pytest.mark.sdk
NOTEBOOK = ROOT / ".sdk" / "notebook" / "bin" / "jupyter"


@pytest.fixture(scope="module")
def ratings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ratings")
    write_ratings(folder)
    return folder


@pytest.mark.parametrize("version", [1, 2])
def test_the_lab_as_it_is_written(service, version, ratings):
    if reason := sdk.missing(version, containers=False):
        pytest.skip(reason)
    output = run_sdk(service, version, ROOT / "tests/service/lab2.py", ratings)
    log = parse(output.splitlines())
    assert log.test["binary_classification_accuracy"] > 0.65
    assert len(log.epochs["binary_classification_accuracy"]) == 100
    assert len(re.findall(r"'predicted_label': [01]\.0", output)) == 10
    print(re.findall("seconds: fit.*", output))


def test_the_lab_by_the_sdk_v3(service, ratings):
    if reason := sdk.missing(3, containers=False):
        pytest.skip(reason)
    output = run_sdk(service, 3, ROOT / "tests/service/lab_v3.py", ratings)
    metrics = dict(re.findall(r"^metric (\S+) (\S+)$", output, re.MULTILINE))
    assert float(metrics["test:binary_classification_accuracy"]) > 0.65
    assert len(re.findall(r"'predicted_label': [01]\.0", output)) == 10


@pytest.mark.skipif(not NOTEBOOK.is_file(), reason="no .sdk/notebook (./build.sh sdk notebook)")
def test_the_notebook_runs_whole_and_leaves_no_service(ratings, tmp_path):
    state = tmp_path / "state"
    options = ("--data", ratings, "--out", tmp_path, "--port", 0)
    done = subprocess.run(
        [*command("notebook", state, "--execute", "--backend", "process"), *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE * 2,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    page = (tmp_path / "lab2.html").read_text()
    assert len(re.findall(r'<img [^>]*src="data:image/png;base64,', page)) == 4
    assert (state / "service.log").is_file()
    assert running(state) is None


def test_other_code_for_the_sdk_v2(service):
    if reason := sdk.missing(2, containers=False):
        pytest.skip(reason)
    output = run_sdk(service, 2, ROOT / "tests/service/others_v2.py")
    printed = dict(re.findall(r"^(ANALYTICS|LABELS|BEST|REASON) (.*)$", output, re.MULTILINE))
    assert "train:binary_classification_accuracy" in printed["ANALYTICS"]
    assert printed["LABELS"].count(".0") == 10
    assert printed["BEST"].startswith("True 3 others-")
    assert printed["REASON"].startswith("HyperparameterError: ")
    assert "num_factors must be an integer >= 1; got '0'" in printed["REASON"]
    assert "mini_batch_sise" in printed["REASON"] and "mini_batch_size" in printed["REASON"]


def test_the_tuners_of_the_sdk_v2(service):
    if reason := sdk.missing(2, containers=False):
        pytest.skip(reason)
    output = run_sdk(
        service, 2, ROOT / "tests/service/tuner_v2.py", BUCKET, "sdk", timeout=4 * PATIENCE
    )
    jobs = dict(re.findall(r"^(\w+) (\d) \[", output, re.MULTILINE))
    two = ("parent", "identical", "transfer", "warm", "grid", "autotune")
    assert jobs == {**dict.fromkeys(two, "2"), "hyperband": "3", "several": "4"}
    assert "attach Bayesian IdenticalDataAndAlgorithm" in output
    assert "deploy True" in output


@pytest.mark.docker
def test_the_lab_in_a_container(tmp_path, ratings):
    if reason := sdk.missing(2):
        pytest.skip(reason)
    started = up(tmp_path / "state", "--backend", "docker")
    try:
        client = started.client("s3")
        assert client.list_buckets()["Buckets"] == []
        output = run_sdk(started, 2, ROOT / "tests/service/lab2.py", ratings)
    finally:
        down(started)
    assert parse(output.splitlines()).test["binary_classification_accuracy"] > 0.65
    assert len(re.findall(r"'predicted_label': [01]\.0", output)) == 10
    print(re.findall("seconds: fit.*", output))
