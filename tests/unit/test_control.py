"""The service's own paths before it is ready, and the parts of a reset."""

import threading
from pathlib import Path

import pytest
from werkzeug.test import Client

from local_sagemaker.errors import ServiceError
from local_sagemaker.server.control import Control
from local_sagemaker.server.router import Router
from local_sagemaker.storage.records import Store, now
from support.job import PATIENCE


@pytest.mark.parametrize(("path", "method"), [("health", "GET"), ("reset", "POST")])
def test_until_it_is_ready_it_says_that_it_starts(path, method):
    response = Client(Control("process", Path("none"))).open(
        f"/_local-sagemaker/{path}", method=method
    )
    assert response.status_code == 503
    assert response.headers["Retry-After"]
    assert (response.json["status"], response.json["backend"]) == ("starting", "process")


def test_a_store_that_was_reset_is_empty_and_refuses_changes(open_database, tmp_path):
    database = open_database(tmp_path)
    store = Store(database)
    store.add("model", "m", {"CreationTime": now()})
    with database.change() as transaction:
        transaction.add_body(b"1" * 300_000)
    waiting = threading.Thread(
        target=store.wait, args=("model", "m", lambda record: record is None, PATIENCE)
    )
    waiting.start()
    assert store.clear() == {"record/model": 1}
    waiting.join(PATIENCE)
    assert not waiting.is_alive()
    assert store.get("model", "m") is None
    store.update("model", "m", Tags=[])
    for change in (lambda: store.add("model", "m", {}), lambda: store.remove("model", "m")):
        with pytest.raises(ServiceError, match="was just reset"):
            change()
    assert Store(database).all("model") == []
    assert list((tmp_path / "bodies").iterdir()) == []


def test_nothing_is_removed_at_an_error_of_the_disk(open_database, tmp_path, monkeypatch):
    database = open_database(tmp_path)
    store = Store(database)
    store.add("model", "m", {"CreationTime": now()})

    def fail():
        raise OSError("no space")

    monkeypatch.setattr(database, "clear", fail)
    with pytest.raises(OSError, match="no space"):
        store.clear()
    store.update("model", "m", Tags=[])
    assert [record["Tags"] for record in Store(database).all("model")] == [[]]


@pytest.fixture
def router():
    """Return a router that is ready, with the sets of requests that came in and that may end."""
    came, may_end = [], threading.Event()

    def moto(environ, start):
        came.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] == "/slow":
            may_end.wait(PATIENCE)
        start("200 OK", [])
        return [b"moto"]

    router = Router(moto, (), Control("process", Path("none")))
    router.ready = True
    return router, came, may_end


def test_a_reset_refuses_the_clients_of_the_jobs_before_it(router):
    router, _, _ = router
    client, old = Client(router), {"User-Agent": f"Boto3 {router.own_agent}"}
    assert client.get("/bucket", headers=old).data == b"moto"
    with router.closed():
        pass
    answer = client.get("/bucket", headers=old)
    assert (answer.status_code, b"was reset" in answer.data) == (503, True)
    assert client.get("/bucket", headers={"User-Agent": router.own_agent}).data == b"moto"
    assert client.get("/bucket").data == b"moto"


def test_a_reset_that_fails_lets_them_go_on(router):
    router, _, _ = router
    old = {"User-Agent": router.own_agent}
    with pytest.raises(OSError, match="disk"), router.closed():
        raise OSError("disk")
    assert Client(router).get("/bucket", headers=old).data == b"moto"


def test_a_reset_waits_for_own_requests_and_holds_the_others_back(router):
    router, came, may_end = router
    order = []

    def ask(path, **headers):
        Client(router).get(path, headers=headers)
        order.append(path)

    def reset():
        with router.closed():
            order.append("reset")
            later.start()
            later.join(0.2)
            assert "/later" not in came

    later = threading.Thread(target=ask, args=("/later",))
    slow = threading.Thread(target=ask, args=("/slow",), kwargs={"User-Agent": router.own_agent})
    slow.start()
    while "/slow" not in came:
        slow.join(0.01)
    resetting = threading.Thread(target=reset)
    resetting.start()
    resetting.join(0.2)
    assert order == []
    may_end.set()
    for thread in (slow, resetting, later):
        thread.join(PATIENCE)
    assert sorted(order[:2]) == ["/slow", "reset"]
    assert order[2:] == ["/later"]
