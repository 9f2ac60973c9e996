"""Scripts as processes that find the job's folder at /opt/ml, and what stands in for an image."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from local_sagemaker.backends import scripts
from local_sagemaker.backends.base import Task
from local_sagemaker.backends.process import ProcessRunner
from local_sagemaker.errors import LocalError

OURS, SKLEARN = "factorization-machines:1", "1.dkr.ecr.r.amazonaws.com/sagemaker-scikit-learn:1.2-1"
own_opt_ml = pytest.mark.skipif(
    scripts.namespace_problem() is not None, reason="no mount namespaces on this machine"
)


def run(tmp_path, *command, network=None, python=Path(sys.executable), image=SKLEARN):
    """Run a command as a job does; return the exit code and the lines of its log."""
    (tmp_path / "base").mkdir(exist_ok=True)
    task = Task(image, "", tmp_path / "base", {}, network=network, entrypoint=command)
    lines = []
    running = ProcessRunner(tmp_path, python).start(task, lines.append)
    code = running.wait(60)
    running.stop()
    return code, lines


@own_opt_ml
def test_a_script_has_its_own_opt_ml_and_all_else_is_there(tmp_path):
    here = sorted(os.listdir("/opt"))
    script = f"ls /opt; cat /opt/ml/file; pwd; test -d {tmp_path} && echo written > out"
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "file").write_text("content\n")
    code, lines = run(tmp_path, "sh", "-c", script)
    assert (code, lines[1:]) == (0, [*sorted({*here, "ml"}), "content", "/opt/ml"])
    assert (tmp_path / "base" / "out").read_text() == "written\n"
    assert sorted(os.listdir("/opt")) == here


@own_opt_ml
def test_python3_is_the_one_that_stands_in(tmp_path):
    code, lines = run(tmp_path, "python3", "-c", "import sys; print(sys.prefix)")
    assert (code, lines[1]) == (0, sys.prefix)


@own_opt_ml
def test_a_command_that_is_not_there_ends_with_127(tmp_path):
    code, lines = run(tmp_path, "no-such-command")
    assert code == 127 and "no-such-command: not found" in lines[-1]


@own_opt_ml
def test_an_isolated_script_has_no_network(tmp_path):
    assert run(tmp_path, "ls", "/sys/class/net")[1][1:] != []
    show = "import socket; print([name for _, name in socket.if_nameindex()])"
    assert run(tmp_path, "python3", "-c", show, network="none")[1][1:] == ["['lo']"]


def test_without_namespaces_the_command_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(scripts, "namespace_problem", lambda: "unshare: not permitted")
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "file").write_text("content")
    script = "import os, sys; print(open(sys.argv[1]).read(), os.environ['SAGEMAKER_BASE_DIR'])"
    code, lines = run(tmp_path, "python3", "-c", script, "/opt/ml/file")
    assert (code, lines[2]) == (0, "content /opt/ml")
    assert lines[1].startswith(
        "This machine gives a process no /opt/ml of its own (unshare: not permitted): in the"
        " command, /opt/ml is replaced by the folder that SAGEMAKER_BASE_DIR names."
    )
    with pytest.raises(LocalError, match="EnableNetworkIsolation needs --backend docker here"):
        run(tmp_path, "true", network="none")


def test_a_machine_without_unshare_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    scripts.namespace_problem.cache_clear()
    try:
        assert scripts.namespace_problem() == "unshare: No such file or directory"
    finally:
        scripts.namespace_problem.cache_clear()


@pytest.mark.parametrize(
    ("image", "command", "reason"),
    [
        (SKLEARN, ["python3"], None),
        (OURS, ["python3"], None),
        (SKLEARN, [], "the backend 'process' needs a ContainerEntrypoint, such as python3"),
        ("sagemaker-spark-processing:3", ["a"], "alone, not with sagemaker-spark-processing:3;"),
        ("xgboost:1", ["python3"], "xgboost is an algorithm of SageMaker"),
        ("--help", ["python3"], "'--help' is not the name of an image"),
    ],
)
def test_which_images_a_command_can_name(tmp_path, image, command, reason):
    problem = ProcessRunner(tmp_path).problem(image, command)
    assert problem == reason if reason is None else reason in problem


def test_a_python_without_the_packages_is_named(tmp_path):
    with pytest.raises(LocalError, match="PackageNotFoundError.*no-such-package"):
        scripts.StandIn(Path(sys.executable), ("no-such-package",)).versions()
    problem = ProcessRunner(tmp_path, tmp_path / "python").problem(SKLEARN, ["python3"])
    assert f"{tmp_path / 'python'} cannot be run: No such file" in problem
    assert "pip install 'local-factorization-machines[processing]'" in problem
    assert "--sklearn-python" in problem


@own_opt_ml
def test_a_user_who_is_not_root_has_an_own_opt_ml():
    folder = Path(tempfile.mkdtemp())  # not tmp_path, which others may not enter
    try:
        folder.chmod(0o777)
        other = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        command = scripts._in_namespace(folder, ["sh", "-c", "echo written > /opt/ml/out"], True)
        subprocess.run([*other, *command] if os.geteuid() == 0 else command, check=True)
        assert (folder / "out").read_text() == "written\n"
        assert (folder / "out").stat().st_uid == (os.geteuid() or 65534)
    finally:
        shutil.rmtree(folder)
