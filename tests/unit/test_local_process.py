"""Child processes end when they should, and leave nothing running."""

import os
import signal
import subprocess
import sys
import time

import pytest

from local_sagemaker.backends.child_process import Child, free_port, wait_for_ping
from local_sagemaker.errors import LocalError

STUBBORN = "import signal, time; signal.signal({}, signal.SIG_IGN); print('up', flush=True)"


def start(script, lines, **settings):
    command = [sys.executable, "-c", script]
    return Child(command, {"PATH": os.environ["PATH"]}, lines.append, **settings)


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


def test_it_ends_on_sigterm_in_its_own_way():
    lines = []
    script = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print('up', flush=True); time.sleep(60)"
    )
    child = start(script, lines)
    wait_until(lambda: lines)
    assert child.stop() == 7


def test_what_ignores_sigterm_is_killed_after_the_grace():
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
        "from local_sagemaker.backends.child_process import Child\n"
        "child = Child([sys.executable, '-c', 'import time; time.sleep(60)'], os.environ, print)\n"
        "print(child.pid, flush=True)\n" + ending
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20
    )
    assert not alive(int(done.stdout.split()[0]))


def test_a_command_that_is_not_there_is_named():
    with pytest.raises(LocalError, match="Cannot start /no/such/train"):
        Child(["/no/such/train"], {}, print)


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


def test_ping_is_waited_for():
    port = free_port()
    lines = []
    with start(SERVER.format(port=port, failures=2), lines) as child:
        wait_for_ping(child, port, timeout=20)
        wait_until(lambda: len(lines) == 3)
    assert ['" 503 -' in line for line in lines] == [True, True, False]


def test_a_server_that_ends_or_never_answers_is_told():
    with start("exit(5)", []) as child:
        with pytest.raises(LocalError, match="exit code 5"):
            wait_for_ping(child, free_port(), timeout=20)
    with start("import time; time.sleep(60)", []) as child:
        with pytest.raises(LocalError, match=r"within 0\.2 s \(last: no answer\)"):
            wait_for_ping(child, free_port(), timeout=0.2)
