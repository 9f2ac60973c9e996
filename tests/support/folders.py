"""Folders that tests make."""

import os
from pathlib import Path


def nest(folder: Path, levels: int) -> None:
    """Make folders inside each other; their path may be longer than the system accepts."""
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=descriptor)
        deeper = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = deeper
    os.close(descriptor)
