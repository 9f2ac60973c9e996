"""Finds damage in the database of a state folder, and copies what can be read of it.

SQLite finds a page that is damaged in its structure, not a changed byte of a value. Entries and
bodies therefore have a checksum.
"""

import contextlib
import re
import sqlite3
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ERRORS = (sqlite3.DatabaseError, UnicodeDecodeError)  # a message may have bytes of the file
_DISK = re.compile("unable to open|disk I/O|disk is full|readonly|locked")  # in SQLite's messages
_PARTS = "CAST(collection AS BLOB), CAST(name AS BLOB), CAST(value AS BLOB)"
_DIFFERENT = f"SELECT count(*) FROM entries WHERE checksum IS NOT checksum_of({_PARTS})"  # noqa: S608
# Read each page but those of the contents, whose number would make the start slow.
_SCANS = (
    "SELECT count(size), count(checksum), count(data) FROM bodies NOT INDEXED",
    "SELECT count(id) FROM bodies INDEXED BY sqlite_autoindex_bodies_1",
    "SELECT count(collection), count(name) FROM bodies INDEXED BY owners",
)


def checksum(*parts: bytes) -> int:
    """Return the CRC-32 of a collection, a name and a value, or of a body and its identifier."""
    return zlib.crc32(b"\0".join(parts))


def connect(file: Path) -> sqlite3.Connection:
    """Open a database, which may have texts that are not UTF-8."""
    connection = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
    connection.text_factory = lambda text: text.decode(errors="replace")
    connection.create_function(
        "checksum_of", 3, lambda *parts: None not in parts and checksum(*parts)
    )
    return connection


def check(connection: sqlite3.Connection) -> None:
    """Read everything but the bodies.

    Raises: one of ERRORS if it is damaged.
    """
    if count := connection.execute(_DIFFERENT).fetchone()[0]:
        raise sqlite3.DatabaseError(f"the checksums of {count} entries differ")
    for scan in _SCANS:
        connection.execute(scan).fetchone()


def cannot_be_read(error: Exception) -> bool:
    """Return whether an error is one of the disk, and not of damaged content."""
    return _DISK.search(str(error)) is not None


def set_aside(file: Path) -> Path:
    """Rename the files of a database, and return the new name."""
    aside = file.with_name(f"{file.name}.damaged-{int(time.time())}")
    for suffix in ("", "-wal", "-shm"):
        if (part := Path(f"{file}{suffix}")).exists():
            part.rename(f"{aside}{suffix}")
    return aside


def copy_readable(source: Path, target: sqlite3.Connection) -> list[str]:
    """Copy the rows before and after the damaged pages; return a note for each damaged entry."""
    notes: dict[str, None] = {}  # in order; each row may be read twice
    target.execute("BEGIN")
    for order in ("ASC", "DESC"):
        for row in _rows(source, f"entries ORDER BY collection {order}, name {order}", 4):
            if None not in row and row[3] == checksum(*(str(part).encode() for part in row[:3])):
                target.execute("INSERT OR IGNORE INTO entries VALUES (?, ?, ?, ?)", row)
            else:
                target.execute("INSERT INTO damaged VALUES (?, ?, ?)", row[:3])
                notes[f"{row[0]} {row[1]} is damaged and was set aside"] = None
        for row in _rows(source, f"bodies ORDER BY rowid {order}", 6):
            target.execute("INSERT OR IGNORE INTO bodies VALUES (?, ?, ?, ?, ?, ?)", row)
    target.execute("COMMIT")
    return list(notes)


def _rows(file: Path, table: str, columns: int) -> Iterator[tuple[Any, ...]]:
    """Yield rows until one cannot be read; the names of the columns may be damaged."""
    connection = connect(file)
    with contextlib.suppress(*ERRORS):
        rows = connection.execute(f"SELECT * FROM {table}")  # noqa: S608
        yield from (row for row in rows if len(row) == columns)
    connection.close()
