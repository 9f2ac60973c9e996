"""A service that starts: it answers nothing before it is ready, and is waited for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from werkzeug.test import Client
from werkzeug.wrappers import Response

from local_sagemaker import up
from local_sagemaker.errors import LocalError
from local_sagemaker.server.control import Control
from local_sagemaker.server.router import Router
from local_sagemaker.service import _Progress

TARGET = {"X-Amz-Target": "SageMaker.CreateTrainingJob"}


@pytest.fixture
def router():
    """A router to an application that answers everything, as moto does."""
    return Router(Response("done"), (), Control("process", Path("none")))


@pytest.mark.parametrize(
    ("method", "path", "headers", "kind"),
    [
        ("POST", "/", TARGET, "json"),
        ("POST", "/", {"X-Amz-Target": "Logs_20140328.GetLogEvents"}, "json"),
        ("POST", "/endpoints/e/invocations", {"Content-Type": "application/json"}, "json"),
        ("PUT", "/bucket/key", {}, "xml"),
        ("GET", "/bucket/key", {}, "xml"),
        ("POST", "/moto-api/reset", {}, "xml"),
        ("GET", "/console", {}, "xml"),
    ],
)
def test_nothing_is_answered_before_it_is_ready(router, method, path, headers, kind):
    got = Client(router).open(path, method=method, headers=headers)
    assert got.status_code == 503
    assert got.headers["Retry-After"] == "1"
    assert kind in got.headers["Content-Type"]
    if kind == "json":
        assert json.loads(got.data)["__type"] == "ServiceUnavailable"
    assert b"The local service is starting: it restores its state. Try again soon." in got.data


def test_the_service_itself_is_answered_before_it_is_ready(router):
    client = Client(router)
    assert client.put("/bucket/key", headers={"User-Agent": router.own_agent}).data == b"done"
    router.ready = True
    assert client.put("/bucket/key").data == b"done"


PRINTS = """
import sys, time
for seconds in sys.argv[1:]:
    print("before", seconds, flush=True)
    time.sleep(float(seconds))
"""


@pytest.mark.parametrize(
    ("limit", "pauses", "last"),
    [(4, ["1.1", "1.2", "1.3", "1.4", "0"], "before 0"), (0.5, ["600", "0"], "before 600")],
    ids=["progress", "none"],
)
def test_a_start_is_waited_for_while_it_prints(tmp_path, monkeypatch, limit, pauses, last):
    monkeypatch.setattr(up, "_START_SECONDS", limit)
    log = tmp_path / "service.log"
    with log.open("wb") as stream:
        process = subprocess.Popen([sys.executable, "-c", PRINTS, *pauses], stdout=stream)
    try:
        with pytest.raises(LocalError, match=f"the service did not start: {last} "):
            up._wait_until_up(process, tmp_path)
    finally:
        process.kill()
        process.wait()


def test_progress_is_printed(monkeypatch, capsys):
    progress = _Progress()
    progress("bucket a")
    monkeypatch.setattr("local_sagemaker.service._PROGRESS_SECONDS", 0)
    progress("bucket b")
    assert capsys.readouterr().out == "up: restoring bucket b\n"
