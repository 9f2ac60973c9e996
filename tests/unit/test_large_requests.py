"""The limits of what large requests take together."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from sagemaker_container.serving import large_requests
from sagemaker_container.serving.app import create_app
from sagemaker_container.serving.errors import Busy
from sagemaker_container.serving.large_requests import LargeRequests
from sagemaker_container.serving.settings import Settings
from support.scoring import known
from support.serving import error, invoke

MB = 1 << 20
SETTINGS = Settings.from_environment({"SAGEMAKER_MODEL_SERVER_WORKERS": "4"})
TRY_TO_LOCK = "import fcntl, sys; fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB, 1)"


def test_bodies_are_admitted_as_there_is_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_requests, "_PATIENCE", 0.01)
    large = LargeRequests(SETTINGS, limit=512 * MB)  # 16 MB for the bodies of a worker
    with large.admitted(6 * MB), large.admitted(6 * MB):
        with large.admitted(4 * MB):
            pass
        for size in (5 * MB, None):
            with pytest.raises(Busy), large.admitted(size):
                pass
    with large.admitted(6 * MB), large.admitted(None):
        pass


def test_one_body_is_always_admitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_requests, "_PATIENCE", 0.01)
    large = LargeRequests(SETTINGS, limit=64 * MB)
    for size in (6 * MB, None):
        with large.admitted(size), pytest.raises(Busy), large.admitted(MB):
            pass


def test_a_body_waits_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    large = LargeRequests(SETTINGS, limit=64 * MB)

    def ask() -> str:
        with large.admitted(6 * MB):
            return "admitted"

    with ThreadPoolExecutor(1) as pool:
        with large.admitted(6 * MB):
            waiting = pool.submit(ask)
            while not large._waiting:
                assert not waiting.done()
            monkeypatch.setattr(large_requests, "_MAX_WAITING", 1)
            with pytest.raises(Busy), large.admitted(MB):
                pass
        assert waiting.result(60) == "admitted"


@pytest.mark.parametrize(("limit", "locks"), [(256 * MB, True), (16 << 30, False)])
def test_processes_decode_in_turn_where_memory_is_scarce(limit: int, locks: bool) -> None:
    large = LargeRequests(SETTINGS, limit=limit)
    assert (large._file is not None) == locks
    with large.turn():
        if large._file is not None:
            number = large._file.fileno()
            command = [sys.executable, "-c", TRY_TO_LOCK, str(number)]
            other = subprocess.run(command, pass_fds=[number], capture_output=True, text=True)
            assert "BlockingIOError" in other.stderr
    with large.turn():  # it was given back
        pass


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_not_admitted_may_be_sent_again(
    chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(known(), SETTINGS)
    monkeypatch.setattr(large_requests, "_MAX_WAITING", 0)
    small = invoke(app, {"instances": []})
    assert small.status_code == 200
    more = {"environ_overrides": {"CONTENT_LENGTH": ""}} if chunked else {}
    answer = invoke(app, b'{"instances": []}'.ljust(200_000), **more)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert error(answer)[0] == "Busy"
