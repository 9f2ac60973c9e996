"""Fetches MovieLens-100k from GroupLens, once; the archive's checksum is the one they publish."""

import hashlib
import io
import os
import tempfile
import time
import urllib.request
import zipfile
from pathlib import Path

from local_sagemaker.errors import LocalError
from local_sagemaker.lab.ratings import FILES

URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
MD5 = "0e33842e24a9c977be4e0107933c0723"
ANSWER_SECONDS, TOTAL_SECONDS = 5.0, 60.0


def movielens(folder: Path) -> Path:
    """Return the folder with `ua.base` and `ua.test`, fetching them if they are not there.

    Raises: LocalError if the archive cannot be had, or is not the one that is expected.
    """
    if not all((folder / name).is_file() for name in FILES):
        archive = _fetch()
        if hashlib.md5(archive, usedforsecurity=False).hexdigest() != MD5:
            raise LocalError(f"{URL} is not the archive whose MD5 is {MD5}")
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(io.BytesIO(archive)) as unzipped:
            for name in FILES:
                _write(folder / name, unzipped.read(f"ml-100k/{name}"))
    return folder


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
    """Write the file whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
