"""The lab's command around a stand-in for the SDK's Python, and the choice of the backend."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local_sagemaker.backends import docker_engine
from local_sagemaker.errors import LocalError
from local_sagemaker.lab import lab

ROW = "1\t1\t5\t874965758\n"
# In place of the SDK's Python: says what a run would say, and where it was sent.
SDK = """#!{python}
import json, os, pathlib, sys, urllib.request
script, folder, backend = sys.argv[1:]
names = ("AWS_", "SAGEMAKER_", "LOCAL_", "TMPDIR", "no_proxy")
seen = {{key: value for key, value in os.environ.items() if key.startswith(names)}}
seen["answer"] = urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL_S3"]).status
seen["settings"] = pathlib.Path(os.environ["SAGEMAKER_USER_CONFIG_OVERRIDE"]).read_text()
pathlib.Path(script).with_name("seen.json").write_text(json.dumps(seen))
pathlib.Path(os.environ["TMPDIR"], "left over").write_text("x")
assert os.path.isfile(folder + "/ua.base") and backend == "process"
if {fail}:
    sys.exit("ValueError: as told")
for name in ("binary_classification_accuracy", "binary_classification_cross_entropy"):
    print(f"#test_score (algo-1) : ('{{name}}', 0.5)")
    print(f"#quality_metric: host=algo-1, epoch=0, train {{name}} <score>=0.5")
print("#test_score (algo-1) : ('binary_f_1.000', 0.5)")
for name in ("fit", "deploy", "first predict"):
    print(f"{{name}} took 1.000 s")
print("score 0.25 label 0.0 truth 1.0")
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "lab2.py").touch()
    data = tmp_path / "data"
    data.mkdir()
    for name in ("ua.base", "ua.test"):
        (data / name).write_text(ROW)
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", "/mine")
    return tmp_path


def options(checkout, fail=False, **changes):
    python = checkout / "python"
    python.write_text(SDK.format(python=sys.executable, fail=fail))
    python.chmod(0o755)
    settings = {
        "root": checkout,
        "sdk_python": python,
        "backend": "process",
        "data": checkout / "data",
        "out": checkout / "out",
        "scores_json": checkout / "new" / "scores.json",
    }
    return lab.Options(**settings | changes)


def test_a_run_reports_and_leaves_nothing_else_behind(checkout, capsys):
    lab.run(options(checkout))
    shown = capsys.readouterr().out
    assert "Not comparable" in shown and "learning-curve-process.png" in shown
    assert (checkout / "out" / "learning-curve-process.png").is_file()
    scores = json.loads((checkout / "new" / "scores.json").read_text())
    assert scores["seconds"] == {"fit": 1.0, "deploy": 1.0, "first predict": 1.0}
    assert (scores["backend"], scores["movielens"]) == ("process", False)
    assert list((checkout / "build").iterdir()) == []


def test_the_script_is_sent_to_this_machine_only(checkout):
    lab.run(options(checkout))
    seen = json.loads((checkout / "examples" / "seen.json").read_text())
    assert seen["answer"] == 200
    assert seen["AWS_ENDPOINT_URL"] == seen["AWS_ENDPOINT_URL_S3"]
    assert seen["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    assert "127.0.0.1" in seen["no_proxy"]
    assert "TelemetryOptOut: true" in seen["settings"]
    assert "AWS_PROFILE" not in seen and "SAGEMAKER_BASE_DIR" not in seen
    assert seen["LOCAL_SAGEMAKER_TRAIN"].endswith("/train")


def test_a_failing_script_is_one_line_and_leaves_nothing(checkout):
    with pytest.raises(LocalError, match="exit code 1: ValueError: as told$"):
        lab.run(options(checkout, fail=True))
    assert list((checkout / "build").iterdir()) == []


def test_what_is_missing_is_named(checkout):
    with pytest.raises(LocalError, match=r"looked for at .*nowhere, and is not there"):
        lab.run(options(checkout, sdk_python=checkout / "nowhere"))
    with pytest.raises(LocalError, match=r"no .*lab2\.py"):
        lab.run(options(checkout, root=checkout / "data"))


def test_the_command_fails_with_one_line(checkout):
    command = [sys.executable, "-m", "local_sagemaker", "lab", "--backend", "process"]
    command += ["--root", str(checkout), "--sdk-python", str(options(checkout).sdk_python)]
    done = subprocess.run(
        [*command, "--data", str(checkout / "none")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.startswith("lab: ") and done.stderr.count("\n") == 1
    assert "none is not a folder" in done.stderr


ENGINE = {
    ("info",): "Server",
    ("compose", "version"): "Docker Compose version v2.30",
    ("image", "inspect", "--format", "{{.Id}}", docker_engine.IMAGE): "sha256:1",
}


@pytest.mark.parametrize(
    ("lacks", "message"),
    [
        ((), None),
        (("info",), "engine does not answer"),
        (("compose", "version"), "Compose v2 or docker-compose"),
        (
            ("image", "inspect", "--format", "{{.Id}}", docker_engine.IMAGE),
            r"run \./build\.sh image",
        ),
    ],
)
def test_docker_is_taken_only_if_all_is_there(monkeypatch, capsys, lacks, message):
    monkeypatch.setattr(
        docker_engine, "docker", lambda *args: None if args == lacks else ENGINE[args]
    )
    monkeypatch.setattr(
        docker_engine.shutil, "which", lambda name: name if name == "docker" else None
    )
    assert lab.choose_backend("auto") == ("process" if message else "docker")
    if message:
        with pytest.raises(LocalError, match=message):
            lab.choose_backend("docker")
    assert lab.choose_backend("process") == "process"
    assert "lab: backend" in capsys.readouterr().out


def test_without_a_docker_command_it_says_so(monkeypatch):
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(LocalError, match="no docker command"):
        lab.choose_backend("docker")


def test_only_containers_below_the_folder_are_removed(monkeypatch, tmp_path):
    root = tmp_path / "local"
    root.mkdir()
    calls = []

    def fake(*arguments):
        calls.append(arguments)
        return f"mine {root}/tmp1\nother {tmp_path}/local-2/tmp1\nplain \n"

    monkeypatch.setattr(docker_engine, "docker", fake)
    docker_engine.clean_up(root, keep_network=False)
    assert [call for call in calls if call[0] == "rm"] == [("rm", "-f", "-v", "mine")]
    assert ("network", "rm", docker_engine.NETWORK) in calls
    assert not root.exists()
