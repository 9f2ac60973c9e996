"""What the state folder's database promises when the disk, an entry or the version is odd."""

import contextlib
import datetime
import os
import sqlite3
from random import Random

import pytest
from moto.s3 import models

from local_sagemaker.errors import LocalError
from local_sagemaker.storage.database import locked
from local_sagemaker.storage.encoding import Encoder
from local_sagemaker.storage.records import Store, now
from local_sagemaker.storage.s3_persistence import S3Persistence

RECORD = {"CreationTime": now()}


@pytest.mark.parametrize(
    "value",
    [
        {"@time": "abc"},
        {"@": "time", "value": "x"},
        {"a": [{"@": {"@": "dict", "value": []}}]},
        {1: "a", "b": (1, 2.5, None, True), "c": {3}},
        datetime.datetime(2026, 1, 2, 3, 4, 5, 6000, datetime.timezone.utc),
        b"\x00\xff",
        "\ud800 é",
    ],
    ids=range(7),
)
def test_each_value_comes_back_as_it_was(value):
    encoder = Encoder()
    assert encoder.loads(encoder.dumps(value)) == value


def test_a_value_of_another_type_is_an_error():
    with pytest.raises(TypeError, match="cannot be stored"):
        Encoder().dumps({"a": object()})


def full(database):
    """Make the disk full for a database."""
    (pages,) = database._connection.execute("PRAGMA page_count").fetchone()
    database._connection.execute(f"PRAGMA max_page_count = {pages}")


def test_a_full_disk_changes_nothing(open_database, tmp_path):
    database = open_database(tmp_path)
    store = Store(database)
    store.add("model", "a", RECORD)
    full(database)
    for change in (
        lambda: store.add("model", "b", {**RECORD, "x": "y" * 100_000}),
        lambda: store.update("model", "a", x="y" * 100_000),
    ):
        with pytest.raises(sqlite3.OperationalError, match="full"):
            change()
        assert store.get("model", "b") is None
        assert "x" not in store.get("model", "a")
    store.remove("model", "a")
    assert Store(database).all("model") == []


def test_changes_together_are_all_made_or_none(open_database, tmp_path):
    database = open_database(tmp_path)
    store = Store(database)
    store.add("model", "a", RECORD)
    with pytest.raises(LookupError), store.together():
        store.add("model", "b", RECORD)
        store.update("model", "a", x=1)
        raise LookupError
    for kept in (store, Store(database)):
        assert kept.get("model", "b") is None
        assert "x" not in kept.get("model", "a")
    with store.together():
        store.add("model", "b", RECORD)
        store.remove("model", "a")
    assert list(Store(database)._records["model"]) == ["b"]


@pytest.fixture
def s3(open_database, tmp_path):
    """Yield the database, the persistence and the backend of an S3 with the bucket b."""
    models.s3_backends.reset()
    database = open_database(tmp_path)
    persistence = S3Persistence(database)
    backend = models.s3_backends["123456789012"]["aws"]
    backend.create_bucket("bucket", "us-east-1")
    persistence.save()
    yield database, persistence, backend
    models.s3_backends.reset()


def test_s3_goes_back_to_what_is_stored_if_the_disk_is_full(s3):
    database, persistence, backend = s3
    backend.put_object("bucket", "kept", b"1")
    backend.put_object("bucket", "large", b"1" * 1_000_000)
    persistence.save()
    full(database)
    for key, body in (("new", b"2" * 50_000), ("kept", b"2" * 50_000), ("large", b"2" * 999_999)):
        persistence.begin()
        backend.put_object("bucket", key, body)
        for number in range(30):
            backend.put_object("bucket", f"more-{number}", b"3" * 10_000)
        with pytest.raises(sqlite3.OperationalError, match="full"):
            persistence.save()
        assert sorted(backend.buckets["bucket"].keys) == ["kept", "large"]
    assert backend.get_object("bucket", "kept").value == b"1"
    assert backend.get_object("bucket", "large").value == b"1" * 1_000_000
    assert len(os.listdir(database._bodies)) == 1


def test_an_object_has_no_attribute_that_is_not_stored(s3):
    database, persistence, backend = s3
    key = backend.put_object("bucket", "k", b"1")
    key.of_a_new_moto = {"a": b"1"}
    backend.buckets["bucket"].of_a_new_moto = 1
    persistence.save()
    before = dict(vars(key))
    persistence._reload({("bucket", None)})
    bucket = backend.buckets["bucket"]
    after = vars(bucket.keys["k"])
    assert bucket.of_a_new_moto == 1
    assert after["of_a_new_moto"] == {"a": b"1"}
    assert before.keys() == after.keys()
    key.other = object()
    backend.get_object("bucket", "k")
    bucket.keys["k"].other = object()
    with pytest.raises(TypeError, match="cannot be stored"):
        persistence.save()


def test_an_object_of_an_odd_form_is_set_aside(s3):
    database, persistence, backend = s3
    backend.put_object("bucket", "good", b"1")
    persistence.save()
    odd = ("[[],{}]", "[[5],{}]", "{}", '["",{}]', '[[{"@":"FakeKey","value":5}],{}]')
    with database.change() as transaction:
        for number, text in enumerate(odd):
            transaction.put("key/bucket", f"odd-{number}", text)
    persistence._reload({("bucket", None)})
    keys = backend.buckets["bucket"].keys
    assert [key for key in list(keys) if keys.getlist(key, [])] == ["good"]
    assert len(database.notes) == len(odd)


def test_an_entry_of_an_odd_form_is_named_and_set_aside(open_database, tmp_path):
    database = open_database(tmp_path)
    store = Store(database)
    for name in ("a", "b", "c", "d", "e"):
        store.add("model", name, RECORD)
    odd = ["", '{"Creat', "[]", '{"CreationTime": {"@": "what", "value": 1}}']
    with database.change() as transaction:
        for name, value in zip("abcd", odd, strict=True):
            transaction.put("record/model", name, value)
    database.close()
    database = open_database(tmp_path)
    assert list(Store(database)._records["model"]) == ["e"]
    assert [note.split()[1] for note in sorted(database.notes)] == ["a", "b", "c", "d"]
    database.close()
    assert open_database(tmp_path).notes == []


def test_a_changed_byte_is_noticed(open_database, tmp_path):
    database = open_database(tmp_path)
    store = Store(database)
    for name in ("first", "second"):
        store.add("model", name, {**RECORD, "Status": "InService"})
    with database.change() as transaction:
        bodies = [transaction.add_body(content) for content in (b"small" * 9, b"large" * 99_999)]
        transaction.put("key/b", "k", "{}", bodies)
    database.close()
    file = tmp_path / "state.db"
    content = file.read_bytes()
    assert content.count(b"small") == 9
    changed = content.replace(b"small", b"smell").replace(b"InService", b"InServicf", 1)
    file.write_bytes(changed)
    with (tmp_path / "bodies" / bodies[1]).open("r+b") as stream:
        stream.write(b"L")
    database = open_database(tmp_path)
    (record,) = Store(database).all("model")
    assert record["Status"] == "InService"
    assert any("is damaged and was set aside" in note for note in database.notes)
    assert database.entries("key/b") == [("k", "{}")]
    for body in bodies:
        with pytest.raises(OSError, match="is damaged: its checksum differs"):
            database.body(body)


def test_a_body_that_is_missing_or_cut_is_named_at_the_start(open_database, tmp_path):
    database = open_database(tmp_path)
    with database.change() as transaction:
        missing, cut = (transaction.add_body(b"large" * 99_999) for _ in range(2))
        transaction.put("key/b", "k", "{}", [missing, cut])
    database.close()
    (tmp_path / "bodies" / missing).unlink()
    os.truncate(tmp_path / "bodies" / cut, 9)
    (tmp_path / "bodies" / "other").touch()
    database = open_database(tmp_path)
    assert sorted(note.partition(" is ")[2] for note in database.notes) == [
        "damaged: its object cannot be read",
        "missing: its object is lost",
    ]
    assert (tmp_path / "bodies" / "other").exists()


def test_changed_bytes_anywhere_never_give_a_wrong_value(open_database, tmp_path):
    database = open_database(tmp_path / "good")
    with database.change() as transaction:
        for number in range(60):
            body = transaction.add_body(f"{number}".encode() * 99)
            transaction.put("key/b", f"k{number}", f'"{number}"', [body])
    written = set(database.entries("key/b"))
    database.close()
    content = (tmp_path / "good" / "state.db").read_bytes()
    random = Random(0)
    intact = 0
    for number in range(150):
        state = tmp_path / f"{number}"
        state.mkdir()
        changed = bytearray(content[: random.choice([len(content), random.randrange(9999)])])
        for _ in range(random.randrange(5)):
            changed[random.randrange(len(changed))] = random.randrange(256)
        (state / "state.db").write_bytes(changed)
        try:
            database = open_database(state)
        except LocalError as error:
            assert "the newer program" in str(error)  # the byte of the format
            continue
        entries = set(database.entries("key/b"))
        assert entries <= written
        assert entries == written or database.notes
        intact += entries == written
        assert Store(database).add("model", "new", RECORD)
        database.close()
    assert 10 < intact < 140


def test_a_damaged_page_costs_only_what_is_on_it(open_database, tmp_path):
    database = open_database(tmp_path)
    store = Store(database)
    for number in range(400):
        store.add("model", f"m{number}", {**RECORD, "x": "y" * 100})
    database.close()
    file = tmp_path / "state.db"
    with file.open("r+b") as stream:
        stream.seek(4096 * (file.stat().st_size // 4096 // 2))
        stream.write(b"\xff" * 4096)
    database = open_database(tmp_path)
    store = Store(database)
    assert 300 < len(store.all("model")) < 400
    assert any("state.db is damaged" in note for note in database.notes)
    assert store.add("model", "new", RECORD)


@pytest.mark.parametrize("content", [b"", b"no database" * 1000])
def test_a_database_that_is_none_is_named(open_database, tmp_path, content):
    (tmp_path / "state.db").write_bytes(content)
    database = open_database(tmp_path)
    assert "state.db is" in database.notes[0]
    assert Store(database).add("model", "a", RECORD)


def test_another_format_is_refused_by_name(open_database, tmp_path):
    database = open_database(tmp_path / "new")
    database._connection.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(LocalError, match="has format 99"):
        open_database(tmp_path / "new")
    (tmp_path / "old" / "records").mkdir(parents=True)
    with pytest.raises(LocalError, match="earlier version"):
        open_database(tmp_path / "old")


def test_a_state_folder_has_one_user(tmp_path):
    with locked(tmp_path):
        with pytest.raises(LocalError, match=f"in use by the service of process {os.getpid()}"):
            with locked(tmp_path):
                pass
    with contextlib.ExitStack() as stack:
        stack.enter_context(locked(tmp_path))
