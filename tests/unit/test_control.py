"""The service's own paths before it is ready, and a store that was reset."""

import threading
from pathlib import Path

import pytest
from werkzeug.test import Client

from local_sagemaker.errors import ServiceError
from local_sagemaker.server.control import Control
from local_sagemaker.storage.database import Database
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


def test_a_store_that_was_reset_is_empty_and_refuses_changes(tmp_path):
    database = Database(tmp_path)
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


def test_nothing_is_removed_at_an_error_of_the_disk(tmp_path, monkeypatch):
    database = Database(tmp_path)
    store = Store(database)
    store.add("model", "m", {"CreationTime": now()})

    def fail():
        raise OSError("no space")

    monkeypatch.setattr(database, "clear", fail)
    with pytest.raises(OSError, match="no space"):
        store.clear()
    store.update("model", "m", Tags=[])
    assert [record["Tags"] for record in Store(database).all("model")] == [[]]
