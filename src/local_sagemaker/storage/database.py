"""The durable part of the state folder: one SQLite database, and files for large object bodies."""

import contextlib
import fcntl
import os
import sqlite3
import threading
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path

from local_sagemaker.errors import LocalError
from local_sagemaker.storage import damage

_FORMAT = 1
_LARGE = 1 << 18  # bytes; a body of this size or more is a file, which is written once
_TABLES = """
CREATE TABLE IF NOT EXISTS entries (
    collection TEXT, name TEXT, value TEXT, checksum INTEGER, PRIMARY KEY (collection, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS damaged (collection TEXT, name TEXT, value TEXT);
CREATE TABLE IF NOT EXISTS bodies (
    id TEXT PRIMARY KEY, size INTEGER, checksum INTEGER, data BLOB, collection TEXT, name TEXT);
CREATE INDEX IF NOT EXISTS owners ON bodies (collection, name);
"""


@contextlib.contextmanager
def locked(state: Path) -> Iterator[None]:
    """Hold the lock of a state folder; the kernel releases it when the process ends.

    Raises: LocalError if another process holds it.
    """
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise LocalError(
                f"the state folder {state} is in use by the service of process {file.read()};"
                " end it, or choose another folder with --state"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


class Transaction:
    """Changes that are on disk together when the `with` block of `Database.change` has ended."""

    def __init__(self, connection: sqlite3.Connection, bodies: Path):
        """Take an open transaction and the folder for large bodies."""
        self._execute, self._bodies = connection.execute, bodies
        self.created: list[Path] = []
        self.removed: list[Path] = []

    def put(self, collection: str, name: str, value: str, bodies: Collection[str] = ()) -> None:
        """Write an entry; its bodies are these, and others that it had are removed."""
        checksum = damage.checksum(collection.encode(), name.encode(), value.encode())
        self._execute(
            "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)",
            (collection, name, value, checksum),
        )
        owned = "SELECT id FROM bodies WHERE collection = ? AND name = ?"
        for (body,) in self._execute(owned, (collection, name)).fetchall():
            if body not in bodies:
                self._remove_bodies("id = ?", (body,))
        for body in bodies:
            self._execute(
                "UPDATE bodies SET collection = ?, name = ? WHERE id = ?", (collection, name, body)
            )

    def remove(self, collection: str, name: str | None = None) -> None:
        """Remove an entry, or all entries of a collection and of those under it, with bodies."""
        values: tuple[str, ...]
        if name is None:
            where = "collection = ? OR (collection > ? AND collection < ?)"
            values = (collection, f"{collection}/", f"{collection}0")  # "0" is next to "/"
        else:
            where, values = "collection = ? AND name = ?", (collection, name)
        self._remove_bodies(where, values)
        self._execute(f"DELETE FROM entries WHERE {where}", values)  # noqa: S608

    def clear(self) -> None:
        """Remove all entries and bodies, damaged ones too."""
        self._remove_bodies("TRUE", ())
        self._execute("DELETE FROM entries")
        self._execute("DELETE FROM damaged")

    def add_body(self, content: bytes) -> str:
        """Write the content of an object, and return its identifier."""
        identifier, data = uuid.uuid4().hex, None if len(content) >= _LARGE else content
        if data is None:
            file = self._bodies / identifier
            self.created.append(file)
            with file.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        self._execute(
            "INSERT INTO bodies (id, size, checksum, data) VALUES (?, ?, ?, ?)",
            (identifier, len(content), damage.checksum(identifier.encode(), content), data),
        )
        return identifier

    def _remove_bodies(self, where: str, values: tuple[str, ...]) -> None:
        files = f"SELECT id FROM bodies WHERE data IS NULL AND ({where})"  # noqa: S608
        self.removed += [self._bodies / row[0] for row in self._execute(files, values)]
        self._execute(f"DELETE FROM bodies WHERE {where}", values)  # noqa: S608


class Database:
    """Entries by collection and name, and object bodies; a change is on disk when it returns."""

    def __init__(self, state: Path):
        """Open the database of a state folder, and create it at the first start.

        Raises: LocalError if a newer or an earlier version wrote it.
        """
        state.mkdir(parents=True, exist_ok=True)
        self.notes: list[str] = []  # what was damaged, for the user
        self._bodies = state / "bodies"
        self._bodies.mkdir(exist_ok=True)
        self._lock = threading.RLock()
        file = state / "state.db"
        if not file.exists() and ((state / "records").exists() or (state / "s3").exists()):
            raise LocalError(
                f"the state folder {state} has the format of an earlier version (records/, s3/)."
                " Copy its objects with that version (aws s3 sync), or choose another folder with"
                " --state; this version reads folders with state.db"
            )
        if file.exists() and not file.stat().st_size:
            self.notes.append(f"{file} is empty: what it held is lost")
        try:
            self._connection = _open(file)
        except damage.ERRORS as error:
            if damage.cannot_be_read(error):
                raise LocalError(f"{file} cannot be opened: {error}") from error
            aside = damage.set_aside(file)
            self._connection = _open(file)
            self.notes += damage.copy_readable(aside, self._connection)
            self.notes.append(
                f"{file} is damaged ({error}) and was set aside as {aside.name};"
                " what could be read of it was restored"
            )
        self._check_bodies()

    def collections(self, prefix: str) -> list[str]:
        """Return the names of the collections that begin with a prefix."""
        last = prefix
        found: list[str] = []
        while True:  # a search in the index for each, in place of a scan of all entries
            with self._lock:
                row = self._connection.execute(
                    "SELECT min(collection) FROM entries WHERE collection > ?", (last,)
                ).fetchone()
            last = row[0]
            if last is None or not last.startswith(prefix):
                return found
            found.append(last)

    def entries(self, collection: str) -> list[tuple[str, str]]:
        """Return the names and values of a collection."""
        with self._lock:
            return self._connection.execute(
                "SELECT name, value FROM entries WHERE collection = ?", (collection,)
            ).fetchall()

    def set_aside(self, collection: str, name: str, problem: object) -> None:
        """Take a damaged entry out of use; it stays in the table `damaged`."""
        self.notes.append(f"{collection} {name} is damaged ({problem}) and was set aside")
        key = (collection, name)
        with self._lock:
            connection = self._connection
            where = "FROM entries WHERE collection = ? AND name = ?"
            columns = "SELECT collection, name, value"
            connection.execute(f"INSERT INTO damaged {columns} {where}", key)  # noqa: S608
            connection.execute(f"DELETE {where}", key)  # noqa: S608

    def body(self, identifier: str) -> bytes:
        """Return the content of an object.

        Raises: OSError or LookupError if it is damaged.
        """
        try:
            with self._lock:
                row = self._connection.execute(
                    "SELECT checksum, data FROM bodies WHERE id = ?", (identifier,)
                ).fetchone()
        except damage.ERRORS as error:
            raise OSError(f"body {identifier} cannot be read: {error}") from error
        if row is None:
            raise LookupError(f"no body {identifier}")
        content: bytes = (self._bodies / identifier).read_bytes() if row[1] is None else row[1]
        if type(content) is not bytes or damage.checksum(identifier.encode(), content) != row[0]:
            raise OSError(f"body {identifier} is damaged: its checksum differs")
        return content

    def clear(self) -> dict[str, int]:
        """Remove everything; return the number of entries that each collection had."""
        with self.change() as transaction:
            counts = "SELECT collection, count(*) FROM entries GROUP BY collection"
            removed = dict(self._connection.execute(counts).fetchall())
            transaction.clear()
        return removed

    @contextlib.contextmanager
    def change(self) -> Iterator[Transaction]:
        """Yield a transaction; at an error of the disk or of the block nothing is changed."""
        with self._lock:
            transaction = Transaction(self._connection, self._bodies)
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield transaction
                if transaction.created:
                    _sync_folder(self._bodies)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                for file in transaction.created:
                    file.unlink(missing_ok=True)
                raise
            for file in transaction.removed:
                file.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _check_bodies(self) -> None:
        """Note damaged files; remove the files of changes that did not become durable."""
        rows = self._connection.execute("SELECT id, size FROM bodies WHERE data IS NULL")
        sizes = {str(name): size for name, size in rows}
        files = {entry.name: entry.stat().st_size for entry in os.scandir(self._bodies)}
        for name, size in sizes.items():
            if name not in files:
                self.notes.append(f"{self._bodies / name} is missing: its object is lost")
            elif files[name] != size:
                self.notes.append(f"{self._bodies / name} is damaged: its object cannot be read")
        if not self.notes:  # a file without an entry may be the content of a damaged entry
            for name in files.keys() - sizes.keys():
                (self._bodies / name).unlink()


def _open(file: Path) -> sqlite3.Connection:
    """Return a connection to a database that is not damaged. Raises: LocalError, damage.ERRORS."""
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(contextlib.closing(damage.connect(file)))
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found > _FORMAT:
            raise LocalError(
                f"{file} has format {found}, and this version of the program reads format"
                f" {_FORMAT}: use the newer program, or another folder with --state"
            )
        # FULL: the log of the database is synced at each commit, so that a power cut loses nothing.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(f"{_TABLES} PRAGMA user_version = {_FORMAT};")
        damage.check(connection)
        stack.pop_all()
        return connection


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
