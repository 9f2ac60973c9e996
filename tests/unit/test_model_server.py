"""A model server whose container ends again and again."""

import os
import signal
import sys
import time
from types import SimpleNamespace

import pytest

from local_sagemaker.backends.process import ChildProcess, clean_environment, remove_tree
from local_sagemaker.hosting import model_server
from local_sagemaker.hosting.containers import Container
from local_sagemaker.hosting.model_server import ModelServer, ServerOptions
from support.job import PATIENCE

SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", {port}), Handler).serve_forever()
"""


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.01)


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Return a server that restarts at once, the processes of its container, and its log."""
    monkeypatch.setattr(model_server, "_MAX_PAUSE", 0.01)
    processes, log = [], []

    def start(task, sink):
        command = [sys.executable, "-c", SERVER.format(port=task.port)]
        processes.append(ChildProcess(command, clean_environment(), lambda _: None))
        return processes[-1]

    context = SimpleNamespace(
        runner=SimpleNamespace(start=start, remove=remove_tree),
        work=lambda name: tmp_path / name,
        s3=SimpleNamespace(exceptions=SimpleNamespace(ClientError=KeyError)),
    )
    stream = SimpleNamespace(write=log.append, close=lambda: None)
    part = Container("primary", {"Image": "image"})
    server = ModelServer(context, part, stream, ServerOptions({}))
    yield server, processes, log
    server.stop()


def test_a_container_is_restarted_however_often_it_ends(started):
    server, processes, log = started
    for deaths in range(1, 7):
        os.killpg(processes[-1].pid, signal.SIGKILL)
        wait_until(lambda deaths=deaths: server.restarts == deaths and server.healthy)
        assert server.get("/ping").status == 200
    assert [line.partition(",")[0] for line in log] == ["The container ended with exit code -9"] * 6
