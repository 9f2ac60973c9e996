"""Folders that tests make."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def nested(folder: Path, levels: int) -> Iterator[None]:
    """Make folders inside each other; their path may be longer than the system accepts.

    They are removed at the end: pytest removes old temporary folders when a later run ends, and
    that run fails on folders that are deeper than Python's limit of recursion.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=descriptor)
        deeper = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = deeper
    os.close(descriptor)
    try:
        yield
    finally:
        subprocess.run(["rm", "-rf", folder], check=True)
