"""The choice of the backend, both backends, and child processes: they end, and leave nothing."""

import csv
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from local_sagemaker.backends import docker, process
from local_sagemaker.backends.base import Task
from local_sagemaker.backends.ping import free_port, wait_for_ping
from local_sagemaker.backends.process import ChildProcess, ProcessRunner
from local_sagemaker.backends.selection import choose
from local_sagemaker.errors import LocalError
from support.folders import nested

STUBBORN = "import signal, time; signal.signal({}, signal.SIG_IGN); print('up', flush=True)"


def start(script, lines, **settings):
    command = [sys.executable, "-c", script]
    return ChildProcess(command, {"PATH": os.environ["PATH"]}, lines.append, **settings)


def wait_until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.01)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_output_comes_line_by_line_and_the_code_is_returned():
    lines = []
    script = "import sys; print('out', flush=True); sys.stderr.buffer.write(b'\\xff\\n'); exit(3)"
    with start(script, lines) as child:
        assert child.wait(10) == 3
    assert lines == ["out", "\ufffd"]


def test_output_comes_while_it_runs():
    lines = []
    with start("import time; print('up', flush=True); time.sleep(60)", lines) as child:
        wait_until(lambda: lines == ["up"])
        assert child.poll() is None


def test_sigterm_lets_it_end_with_its_own_code():
    lines = []
    script = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print('up', flush=True); time.sleep(60)"
    )
    child = start(script, lines)
    wait_until(lambda: lines)
    assert child.stop() == 7


def test_a_process_that_ignores_sigterm_is_killed_after_the_grace():
    lines = []
    child = start(STUBBORN.format("signal.SIGTERM") + "; time.sleep(60)", lines, grace=0.2)
    wait_until(lambda: lines)
    began = time.monotonic()
    assert child.stop() == -signal.SIGKILL
    assert 0.2 <= time.monotonic() - began < 5


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="reads /proc")
def test_its_own_children_end_too():
    lines = []
    script = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True); child.wait()"
    )
    with start(script, lines) as child:
        wait_until(lambda: lines)
        assert alive(int(lines[0])) and alive(child.pid)
    wait_until(lambda: not alive(int(lines[0])))


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="reads /proc")
@pytest.mark.parametrize("ending", ["pass", "raise KeyboardInterrupt", "import sys; sys.exit(4)"])
def test_it_does_not_outlive_the_process_that_started_it(ending):
    script = (
        "import os, sys\n"
        "from local_sagemaker.backends.process import ChildProcess\n"
        "command = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
        "child = ChildProcess(command, os.environ, print)\n"
        "print(child.pid, flush=True)\n" + ending
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20
    )
    assert not alive(int(done.stdout.split()[0]))


def test_a_command_that_is_not_there_is_named():
    with pytest.raises(LocalError, match="Cannot start /no/such/train"):
        ChildProcess(["/no/such/train"], {}, print)


SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        Handler.asked += 1
        self.send_response(200 if Handler.asked > {failures} else 503)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", {port}), Handler).serve_forever()
"""


def test_wait_for_ping_returns_at_the_first_200():
    port = free_port()
    lines = []
    with start(SERVER.format(port=port, failures=2), lines) as child:
        wait_for_ping(child, port, timeout=20)
        wait_until(lambda: len(lines) == 3)
    assert ['" 503 -' in line for line in lines] == [True, True, False]


def test_a_server_that_ends_or_never_answers_is_an_error():
    with start("exit(5)", []) as child:
        with pytest.raises(LocalError, match="exit code 5"):
            wait_for_ping(child, free_port(), timeout=20)
    with start("import time; time.sleep(60)", []) as child:
        with pytest.raises(LocalError, match=r"within 0\.2 s \(last: no answer\)"):
            wait_for_ping(child, free_port(), timeout=0.2)


IMAGE = "factorization-machines:1"
PROGRAM = """
import os, sys
names = ("SAGEMAKER_BASE_DIR", "SAGEMAKER_BIND_TO_PORT", "EXTRA", "AWS_PROFILE", "https_proxy")
print(*(os.environ.get(name) for name in names), flush=True)
"""


def test_a_process_gets_the_tasks_environment_and_none_of_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("https_proxy", "http://mine")
    monkeypatch.setattr(process, "_program", lambda _: [sys.executable, "-c", PROGRAM])
    lines = []
    task = Task(IMAGE, "serve", tmp_path / "base", {"EXTRA": "more"}, port=1234)
    running = ProcessRunner(tmp_path).start(task, lines.append)
    assert running.wait(20) == running.stop() == 0
    # The environment has this machine's folder; what is shown of the output has the container's.
    assert lines == ["/opt/ml 1234 more None None"]
    assert list((tmp_path / "processes").iterdir()) == []


@pytest.mark.parametrize(
    ("env", "is_forked"),
    [
        ({}, True),
        ({"TRAINING_JOB_NAME": "a", "AWS_REGION": "b", "SAGEMAKER_BATCH": "true"}, True),
        *[({name: "1"}, False) for name in ("OMP_NUM_THREADS", "NUMBA_DISABLE_JIT", "PYTHONPATH",
                                            "LD_LIBRARY_PATH", "MALLOC_ARENA_MAX", "TZ", "EXTRA")],
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else str(value),
)  # fmt: skip
def test_a_task_is_forked_if_no_library_can_read_its_environment(
    tmp_path, monkeypatch, env, is_forked
):
    asked = []
    monkeypatch.setattr(process.forked, "is_ready", lambda: True)
    monkeypatch.setattr(process, "_program", lambda _: [sys.executable, "-c", "print('new')"])

    def ended(*arguments):
        asked.append(arguments)
        raise OSError("the fork server has ended")

    monkeypatch.setattr(process.forked, "ForkedProcess", ended)
    lines = []
    running = ProcessRunner(tmp_path).start(Task(IMAGE, "train", tmp_path, env), lines.append)
    assert running.wait(20) == running.stop() == 0
    assert lines == ["new"]  # in place of a forked one, too, where the fork server has ended
    assert [name for name, _ in asked] == ["train"] * is_forked
    assert all(found["SAGEMAKER_BASE_DIR"] == str(tmp_path) for _, found in asked)


def test_processes_that_end_meanwhile_are_no_error(tmp_path):
    (tmp_path / "processes").mkdir()
    (tmp_path / "processes" / "1").symlink_to(tmp_path / "gone")  # its record was just removed
    ProcessRunner(tmp_path).clear()


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="reads /proc")
def test_an_id_that_another_process_has_now_is_left_alone(tmp_path, monkeypatch):
    killed = []
    monkeypatch.setattr(process.os, "killpg", lambda pid, _: killed.append(pid))
    record = tmp_path / "processes" / str(os.getpid())
    record.parent.mkdir()
    for started in ("", process._started(1), process._started(os.getpid())):
        record.write_text(started)
        ProcessRunner(tmp_path).clear()
        assert not record.exists()
    assert killed == [os.getpid()]  # for the last one alone


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="reads /proc")
def test_processes_of_a_service_that_was_killed_are_ended(tmp_path, monkeypatch):
    sleep = "import time; time.sleep(60)"
    monkeypatch.setattr(process, "_program", lambda _: [sys.executable, "-c", sleep])
    running = ProcessRunner(tmp_path).start(Task(IMAGE, "train", tmp_path / "base", {}), print)
    ProcessRunner(tmp_path / "other").clear()
    assert running.poll() is None
    ProcessRunner(tmp_path).clear()
    assert running.wait(20) == -signal.SIGKILL
    running.stop()


def test_the_process_backend_runs_our_image_only(tmp_path):
    runner = ProcessRunner(tmp_path)
    assert runner.problem(IMAGE) is None
    assert "not nowhere/none:1" in runner.problem("nowhere/none:1")


@pytest.mark.parametrize("runner", [ProcessRunner, docker.DockerRunner])
@pytest.mark.parametrize("name", ["knn", "linear-learner", "pca"])
def test_the_image_of_another_algorithm_cannot_be_had(monkeypatch, tmp_path, runner, name):
    monkeypatch.setattr(docker, "docker", lambda *_: None)
    for image in (name, f"382416733822.dkr.ecr.us-east-1.amazonaws.com/{name}:1"):
        problem = runner(tmp_path).problem(image)
        assert problem.startswith(f"the image {image} cannot be had: {name} is an algorithm of")
        assert "--backend" not in problem and "pull" not in problem
        advice = ("fm-model embeddings", "top_k")
        assert all((text in problem) == (name == "knn") for text in advice)


INSPECT = ("image", "inspect", "--format", "{{.Id}}")
OURS, LOCAL = "a.dkr.ecr.us-east-1.amazonaws.com/" + IMAGE, docker.LOCAL_IMAGE


@pytest.fixture
def engine(monkeypatch):
    """Replace the docker command; what is taken out of the set fails."""
    works = {("info",), (*INSPECT, LOCAL), (*INSPECT, "other:1")}
    monkeypatch.setattr(docker, "docker", lambda *a: "done" if a in works else None)
    monkeypatch.setattr(docker.shutil, "which", lambda name: name)
    return works


def test_docker_is_chosen_if_its_engine_answers(engine, tmp_path):
    runner, reason = choose("auto", tmp_path, LOCAL)
    assert (runner.name, reason) == ("docker", "Backend: docker, since an engine answers")
    assert choose("docker", tmp_path)[1] == "Backend: docker, as asked"
    runner, reason = choose("process", tmp_path)
    assert (runner.name, reason) == ("process", "Backend: process, as asked")


@pytest.mark.parametrize(
    ("lacks", "problem"),
    [
        (("info",), "the Docker engine does not answer"),
        ((*INSPECT, LOCAL), rf"no image {LOCAL}; nothing is pulled: .+ image builds it"),
    ],
)
def test_without_an_engine_or_the_image_it_is_a_process(engine, tmp_path, lacks, problem):
    engine.remove(lacks)
    runner, reason = choose("auto", tmp_path, LOCAL)
    assert runner.name == "process"
    assert reason.startswith("Backend: process, since ")
    with pytest.raises(LocalError, match=f"--backend docker cannot be used: .*{problem}"):
        choose("docker", tmp_path, LOCAL)


def test_a_service_of_any_image_needs_an_engine_only(engine, tmp_path):
    engine.remove((*INSPECT, LOCAL))
    assert choose("auto", tmp_path)[0].name == "docker"


def test_without_a_docker_command_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(LocalError, match="no docker command"):
        choose("docker", tmp_path)
    assert choose("auto", tmp_path)[1] == "Backend: process, since there is no docker command"


def test_our_image_may_have_its_local_name_only(engine, tmp_path):
    runner = docker.DockerRunner(tmp_path)
    assert runner.problem(OURS) is None
    assert runner.problem("other:1") is None
    assert "no image other:2; nothing is pulled: build or pull it" in runner.problem("other:2")


VARIABLES = ["--env-file", "/dev/stdin"]


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        ({}, [LOCAL, "train"]),
        ({"arguments": ["a", "b"]}, [LOCAL, "a", "b"]),
        ({"entrypoint": ["x", "y"], "arguments": ["a"]}, ["--entrypoint", "x", LOCAL, "y", "a"]),
        ({"port": 1234}, ["-p", "127.0.0.1:1234:8080", *VARIABLES, LOCAL, "train"]),
        (
            {"network": "net", "host": "algo-2"},
            ["--network", "net", "--network-alias", "algo-2", *VARIABLES, LOCAL, "train"],
        ),
    ],
)
def test_a_task_becomes_a_docker_run(engine, tmp_path, monkeypatch, changes, end):
    commands = []
    monkeypatch.setattr(docker, "ChildProcess", lambda command, *_, **__: commands.append(command))
    base = tmp_path / 'a:b,c"d'
    task = Task(OURS, "train", base, {"A": "b"}, **changes)
    docker.DockerRunner(tmp_path).start(task, print)
    (command,) = commands
    assert command[:2] == ["docker", "run"]
    assert command[-len(end) :] == end
    for option, value in (
        ("--label", f"local-sagemaker={tmp_path}"),
        ("--hostname", task.host),
    ):
        assert command[command.index(option) + 1] == value
    (mount,) = csv.reader([command[command.index("--mount") + 1]])
    assert mount == ["type=bind", f"source={base}", "target=/opt/ml"]


@pytest.mark.parametrize("runner", [ProcessRunner, docker.DockerRunner])
def test_a_folder_with_thousands_of_levels_is_removed(runner, tmp_path):
    (tmp_path / "work").mkdir()
    with nested(tmp_path / "work", 3000):
        runner(tmp_path).remove(tmp_path / "work")
        assert not (tmp_path / "work").exists()


def test_an_endless_line_comes_in_parts():
    lines = []
    with start("print('x' * 1_000_000)", lines) as child:
        assert child.wait(30) == 0
    assert "".join(lines) == "x" * 1_000_000 and len(lines) == 4


def test_a_kill_for_want_of_memory_is_told(monkeypatch):
    kills = iter([0, 1, 1, 1])
    monkeypatch.setattr(process.memory_limit, "kills", lambda: next(kills))
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with start(killed, []) as child:
        child.wait(30)
        assert child.ending() == (
            "exit code -9: the kernel killed a process of it because memory ran out"
        )
    with start(killed, []) as child:
        child.wait(30)
        assert child.ending() == "exit code -9"


FAKE_DOCKER = """#!/bin/sh
case "$1" in
run) printf '%s\\n' "$@"; cat /dev/stdin; printf 'TWO=%s\\n' "$TWO" ;;
*) echo "$@" >> {calls}; echo "$1-1" ;;
esac
"""


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Replace the docker program by one that writes its calls to a file; return the file."""
    program, file = tmp_path / "bin" / "docker", tmp_path / "calls"
    program.parent.mkdir()
    program.write_text(FAKE_DOCKER.format(calls=file))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return file


def test_the_arguments_of_docker_hold_no_values_of_the_environment(calls, tmp_path):
    env = {"ONE": "secret # 1", "EMPTY": "", "TWO": "secret\n2"}
    lines = []
    (tmp_path / "base").mkdir()
    task = Task(LOCAL, "train", tmp_path / "base", env)
    assert docker.DockerRunner(tmp_path).start(task, lines.append).wait(20) == 0
    end = lines.index("train") + 1
    assert not [line for line in lines[:end] if "secret" in line]
    assert "--env=TWO" in lines[:end]
    assert lines[end:] == ["ONE=secret # 1", "EMPTY=", "TWO=secret", "2"]


def test_networks_of_a_service_that_was_killed_are_removed(calls, tmp_path):
    runner = docker.DockerRunner(tmp_path)
    first, second = runner.network(isolated=False), runner.network(isolated=True)
    assert first != second
    runner.clear()
    label = f"label=local-sagemaker={tmp_path}"
    assert calls.read_text().splitlines() == [
        f"network create --{label.replace('=', ' ', 1)} {first}",
        f"network create --{label.replace('=', ' ', 1)} --internal {second}",
        f"ps -aq --filter {label}",
        "rm -f -v ps-1",
        f"network ls -q --filter {label}",
        "network rm network-1",
    ]


@pytest.mark.parametrize(("lost", "grace", "sent"), [(0, 60, 1), (2, 60, 3), (9, 0, 0)])
def test_a_container_that_loses_a_signal_gets_another(monkeypatch, lost, grace, sent):
    """As the first process of a container does before it has a handler."""
    calls, ended = [], []

    def docker_command(*arguments):
        calls.append(arguments)
        if calls.count(("kill", "--signal", "TERM", "name")) > lost:
            ended.append(143)

    def wait(timeout):
        if not ended:
            raise subprocess.TimeoutExpired("docker", timeout)

    child = SimpleNamespace(
        poll=lambda: ended[0] if ended else None,
        wait=wait,
        stop=lambda seconds: ended[0] if ended else 137,
    )
    monkeypatch.setattr(docker, "docker", docker_command)
    assert docker._Container(child, "name", grace).stop() == (143 if sent else 137)
    calls = [call for call in calls if call[0] != "inspect"]
    assert calls == [("kill", "--signal", "TERM", "name")] * sent + [("rm", "-f", "-v", "name")]
