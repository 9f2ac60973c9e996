"""The ratings to run the lab with: the user's own, MovieLens-100k, or generated ones."""

import hashlib
import io
import os
import tempfile
import time
import urllib.request
import zipfile
from pathlib import Path

from local_sagemaker.errors import LocalError
from local_sagemaker.lab.generated import generate
from local_sagemaker.lab.ratings import FILES, Ratings, read_folder, write_folder

URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
MD5 = "0e33842e24a9c977be4e0107933c0723"  # as GroupLens publishes it
ANSWER_SECONDS, TOTAL_SECONDS = 5.0, 60.0


def find_ratings(data: Path | None, cache: Path, generated: Path) -> tuple[Path, Ratings, str]:
    """Return a folder with `ua.base` and `ua.test`, its ratings, and a line that describes them.

    Args:
        data: the user's folder, or None to download MovieLens-100k.
        cache: the folder for the download.
        generated: the folder for generated ratings; used if the download fails.

    Raises: LocalError if the user's folder does not hold ratings.
    """
    if data is not None:
        ratings = read_folder(data)
        sizes = f"{len(ratings.train):,} and {len(ratings.test):,}"
        return data, ratings, f"ratings from {data}: {sizes}"
    try:
        movielens(cache)
    except LocalError as error:
        generated.mkdir(parents=True, exist_ok=True)
        ratings = generate()
        write_folder(ratings, generated)
        warning = f"NOT MOVIELENS: the ratings are GENERATED, of the same shape ({error})."
        return generated, ratings, warning
    return cache, read_folder(cache), f"MovieLens-100k in {cache}, from GroupLens"


def movielens(folder: Path) -> None:
    """Download `ua.base` and `ua.test` to a folder, unless it holds them.

    Raises: LocalError if the archive cannot be downloaded, or its checksum is another.
    """
    if all((folder / name).is_file() for name in FILES):
        return
    archive = _fetch()
    if hashlib.md5(archive, usedforsecurity=False).hexdigest() != MD5:
        raise LocalError(f"{URL} is not the archive whose MD5 is {MD5}")
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(archive)) as unzipped:
        for name in FILES:
            _write(folder / name, unzipped.read(f"ml-100k/{name}"))


def _fetch() -> bytes:
    deadline = time.monotonic() + TOTAL_SECONDS
    content = bytearray()
    try:
        # URL is https and a constant.
        with urllib.request.urlopen(URL, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
            while chunk := answer.read(1 << 16):
                content += chunk
                if time.monotonic() > deadline:
                    raise LocalError(f"{URL} took longer than {TOTAL_SECONDS:g} s")
    except OSError as error:
        raise LocalError(f"{URL} cannot be reached: {getattr(error, 'reason', error)}") from error
    return bytes(content)


def _write(path: Path, content: bytes) -> None:
    """Write a file atomically: a reader sees the whole file or none."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
