"""MovieLens-100k ratings as text files: `ua.base` to train on, `ua.test` to test on.

A line is user, movie, rating and timestamp, separated by tabs; ids count from 1.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from local_sagemaker.errors import LocalError

USERS, MOVIES, STARS = 943, 1682, 5
TRAIN_ROWS, TEST_ROWS = 90_570, 9_430
FILES = ("ua.base", "ua.test")

# SHA-256 of the (user, movie, rating) rows of both files in sorted order, as little-endian int32.
MOVIELENS = "d69465e9d87fef21d0c64be50259df020b5fc7d9ebc272d2b8d2a34a197dd7ba"


@dataclass(frozen=True)
class Ratings:
    """Both files, each as (n, 4) int64: user 1..943, movie 1..1682, rating 1..5, timestamp in s."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]

    def is_movielens(self) -> bool:
        """Return whether these are the ratings of MovieLens-100k, in any order."""
        digest = hashlib.sha256()
        for rows in (self.train, self.test):
            order = np.lexsort((rows[:, 1], rows[:, 0]))
            digest.update(rows[order, :3].astype("<i4").tobytes())
        return digest.hexdigest() == MOVIELENS


def read_folder(folder: Path) -> Ratings:
    """Return the ratings of a MovieLens-100k folder.

    Raises: LocalError if a file is missing, a line is malformed, or an id is out of range.
    """
    if not folder.is_dir():
        raise LocalError(f"{folder} is not a folder; --data takes a MovieLens-100k folder.")
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        names = ", ".join(sorted(entry.name for entry in folder.iterdir())[:12]) or "nothing"
        raise LocalError(
            f"{folder} has no {' and no '.join(missing)}: a MovieLens-100k folder holds both"
            f" {' and '.join(FILES)}. This one holds: {names}."
        )
    train, test = (_read_file(folder / name) for name in FILES)
    return Ratings(train, test)


def write_folder(ratings: Ratings, folder: Path) -> None:
    """Write `ua.base` and `ua.test` into an existing folder."""
    for name, rows in zip(FILES, (ratings.train, ratings.test), strict=True):
        np.savetxt(folder / name, rows, fmt="%d", delimiter="\t")


def _read_file(path: Path) -> NDArray[np.int64]:
    rows = []
    limits = (("user", USERS), ("movie", MOVIES), ("rating", STARS))
    for number, line in enumerate(path.read_text(encoding="ascii", errors="replace").split("\n")):
        if not line:
            continue
        where = f"{path}, line {number + 1}"
        try:
            row = [int(field) for field in line.split("\t")]
        except ValueError:
            row = []
        if len(row) != 4:
            raise LocalError(
                f"{where}: not user, movie, rating and timestamp between tabs; got {line[:60]!r}."
            )
        for (name, high), value in zip(limits, row, strict=False):
            if not 1 <= value <= high:
                raise LocalError(f"{where}: {name} must be 1 to {high}; got {value}.")
        rows.append(row)
    if not rows:
        raise LocalError(f"{path} holds no rating.")
    return np.array(rows, dtype=np.int64)
