"""Processes that are forked from the fork server: each is what a new process would be."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local_sagemaker.backends import forked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forked on Linux only")

# In place of the container's package: commands that say what they are, or end in their own way.
CLI = """
import json, os, signal, sys, time

def state():
    umask = os.umask(0)
    print(json.dumps({
        "environment": dict(os.environ), "umask": umask, "folder": os.getcwd(), "argv": sys.argv,
        "name": open("/proc/self/comm").read().strip(), "own session": os.getsid(0) == os.getpid(),
        "files": sorted(map(int, os.listdir("/proc/self/fd")))[:-1],  # the last one lists them
        "stdin": sys.stdin.read(), "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "signals": [signal.getsignal(n) == signal.SIG_DFL for n in (15, 1, 17)],
    }))

def both():
    print("out")
    print("err", file=sys.stderr)

def finished(): print("done", end="")
def refused(): sys.exit(2)
def text(): sys.exit("a text")
def raised(): raise ValueError("a value")
def left():
    print("left", flush=True)
    os._exit(9)
def killed(): os.kill(os.getpid(), signal.SIGKILL)
def handled():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    waits()
def waits():
    print("up")
    time.sleep(60)
def many():
    for number in range(2000):
        print(os.environ["NAME"], number)
"""
SCRIPT = """
import json, os, signal, sys
from local_sagemaker.backends import forked

os.umask(0o077)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it
forked.prepare()
while not forked.is_ready():
    pass
report = {}

def run(command, number=None, **env):
    process = forked.ForkedProcess(command, env)
    first = process.stdout.readline() if number else b""
    if number:
        os.killpg(process.pid, number)
    return (first + process.stdout.read()).decode(), process.wait(60), process.poll()

for command in ("state", "both", "finished", "refused", "text", "raised", "left", "killed"):
    report[command] = run(command, A="1")
report["other"] = run("state", B="2")
report["handled"] = run("handled", signal.SIGTERM)
report["waits"] = run("waits", signal.SIGTERM)
pair = [forked.ForkedProcess("many", {"NAME": name}) for name in "xy"]
report["pair"] = [process.stdout.read().decode() for process in pair]
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Return what each command printed, its exit code, and the exit code when asked again."""
    folder = tmp_path_factory.mktemp("package")
    package = folder / "sagemaker_container"
    package.mkdir()
    for name, text in (("__init__", ""), ("preload", ""), ("cli", CLI)):
        (package / f"{name}.py").write_text(text)
    source = Path(forked.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "OF_THE_SERVICE": "1", "PYTHONPATH": f"{folder}:{source}"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), folder


def test_it_has_its_own_environment_session_files_and_name(report):
    results, folder = report
    state = json.loads(results["state"][0])
    assert state == {
        "environment": {"A": "1"},
        "umask": 0o022,
        "folder": str(folder),
        "argv": ["state"],
        "name": "state",
        "own session": True,
        "files": [0, 1, 2],
        "stdin": "",
        "blocked": [],
        "signals": [True] * 3,
    }
    assert json.loads(results["other"][0])["environment"] == {"B": "2"}


@pytest.mark.parametrize(
    ("command", "output", "code"),
    [
        ("both", "out\nerr\n", 0),
        ("finished", "done", 0),
        ("refused", "", 2),
        ("text", "a text\n", 1),
        ("left", "left\n", 9),
        ("killed", "", -signal.SIGKILL),
        ("handled", "up\n", 143),
        ("waits", "up\n", -signal.SIGTERM),
    ],
)
def test_its_output_and_exit_code_are_those_of_a_new_process(report, command, output, code):
    assert report[0][command] == [output, code, code]


def test_an_error_is_in_its_output(report):
    output, code, _ = report[0]["raised"]
    assert code == 1 and output.endswith("ValueError: a value\n")


def test_two_at_once_have_outputs_of_their_own(report):
    for name, output in zip("xy", report[0]["pair"], strict=True):
        assert output.splitlines() == [f"{name} {number}" for number in range(2000)]
