"""The lab command with a stand-in for the SDK's Python, on a real service."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.service import PATIENCE

ROW = "1\t1\t5\t874965758\n"
# Replaces the SDK's Python: prints what a run prints, and records how it was started.
SDK = """#!{python}
import json, os, pathlib, sys, time
import boto3
script, folder = sys.argv[1:]
here = pathlib.Path(script).parent
names = ("AWS_", "SAGEMAKER_", "TMPDIR", "PYTHONHOME")
seen = {{key: value for key, value in os.environ.items() if key.startswith(names)}}
seen["folder"] = folder
seen["buckets"] = boto3.client("s3").list_buckets()["Buckets"]
seen["jobs"] = boto3.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]
seen["settings"] = pathlib.Path(os.environ["SAGEMAKER_USER_CONFIG_OVERRIDE"]).read_text()
pathlib.Path(os.environ["TMPDIR"], "left over").write_text("x")
(here / "seen.json").write_text(json.dumps(seen))
if {mode!r} == "fail":
    sys.exit("ValueError: as told")
if {mode!r} == "wait":
    print("waiting", flush=True)
    time.sleep(60)
for name in ("binary_classification_accuracy", "binary_classification_cross_entropy"):
    print(f"#test_score (algo-1) : ('{{name}}', 0.5)")
    print(f"#quality_metric: host=algo-1, epoch=0, train {{name}} <score>=0.5")
print("#test_score (algo-1) : ('binary_f_1.000', 0.5)")
for name in ("fit", "deploy", "first predict"):
    print(f"{{name}} took 1.000 s")
print("score 0.25 label 0.0 truth 1.0")
"""


# The command with a checkout of the test's own.
MAIN = """
import pathlib, sys
from local_sagemaker import cli
from local_sagemaker.build import project
project.root = lambda: pathlib.Path({root!r})
sys.exit(cli.main())
"""


@pytest.fixture
def checkout(tmp_path) -> Path:
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "lab2.py").touch()
    (tmp_path / "data").mkdir()
    for name in ("ua.base", "ua.test"):
        (tmp_path / "data" / name).write_text(ROW)
    return tmp_path


def command(checkout: Path, mode: str = "", **changes: object) -> list[str]:
    python = checkout / "python"
    python.write_text(SDK.format(python=sys.executable, mode=mode))
    python.chmod(0o755)
    options = {
        "sdk-python": python,
        "backend": "process",
        "data": checkout / "data",
        "out": checkout / "out",
        "scores-json": checkout / "new" / "scores.json",
        **changes,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-c", MAIN.format(root=str(checkout)), "lab", *words]


def environment() -> dict[str, str]:
    mine = {"AWS_PROFILE": "mine", "AWS_ENDPOINT_URL": "http://mine", "SAGEMAKER_BASE_DIR": "/mine"}
    return {**os.environ, **mine}


def run(*arguments, **options):
    return subprocess.run(
        command(*arguments, **options),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def assert_nothing_left(checkout: Path) -> None:
    assert list((checkout / "build").iterdir()) == []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = process.read_bytes()
        except OSError:
            continue
        assert str(checkout).encode() not in text, text


def test_a_run_reports_and_leaves_nothing_else_behind(checkout):
    done = run(checkout)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Backend: process, as asked\nlab: ratings from ")
    assert "the local SageMaker service answers at http://127.0.0.1:" in done.stdout
    assert "Not comparable" in done.stdout and "learning-curve-process.png" in done.stdout
    assert (checkout / "out" / "learning-curve-process.png").is_file()
    scores = json.loads((checkout / "new" / "scores.json").read_text())
    assert scores["seconds"] == {"fit": 1.0, "deploy": 1.0, "first predict": 1.0}
    assert (scores["backend"], scores["movielens"]) == ("process", False)
    assert_nothing_left(checkout)

    # The script saw a new service, and nothing of the user's settings.
    seen = json.loads((checkout / "examples" / "seen.json").read_text())
    assert seen["folder"] == str(checkout / "data")
    assert (seen["buckets"], seen["jobs"]) == ([], [])
    assert "TelemetryOptOut: true" in seen["settings"]
    assert not {"AWS_PROFILE", "AWS_ENDPOINT_URL", "SAGEMAKER_BASE_DIR"} & set(seen)
    assert seen["TMPDIR"].startswith(str(checkout / "build" / "lab-"))


def test_a_failing_script_is_one_line_and_leaves_nothing(checkout):
    done = run(checkout, mode="fail")
    assert done.returncode == 1
    assert done.stderr.endswith("exit code 1: ValueError: as told\n")
    assert done.stderr.count("\n") == 1
    assert_nothing_left(checkout)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_lab_leaves_nothing(checkout, number):
    with subprocess.Popen(
        command(checkout, mode="wait"), env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert any("waiting" in line for line in process.stdout)
        process.send_signal(number)
        time.sleep(0.1)
        if process.poll() is None:
            process.send_signal(number)  # impatience does not interrupt the cleanup
        assert "lab: ending" in process.stdout.read()
        assert process.wait(PATIENCE) == 130
    assert_nothing_left(checkout)


def test_a_lab_interrupted_while_its_service_starts_leaves_nothing(checkout):
    with subprocess.Popen(
        command(checkout), env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert any("ratings from" in line for line in process.stdout)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        assert process.wait(PATIENCE) == 130
    assert_nothing_left(checkout)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "none"}, "none is not a folder"),
        ({"sdk-python": "/dev"}, "There is no Python at /dev: --sdk-python takes one that has"),
    ],
)
def test_what_is_missing_is_named_in_one_line(checkout, changes, message):
    done = run(checkout, **changes)
    assert done.returncode == 1
    assert done.stderr.startswith("lab: ") and done.stderr.count("\n") == 1
    assert message in done.stderr
