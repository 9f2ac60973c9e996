"""What several unit tests share."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_sagemaker.storage.database import Database


@pytest.fixture
def open_database() -> Iterator[Callable[[Path], Database]]:
    """Return what opens a database, which is closed after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda folder: stack.enter_context(contextlib.closing(Database(folder)))
