"""Generated ratings and an S3 for all tests; each run of the lab happens once."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import sdk
from support.ratings import write_ratings
from support.s3 import s3_server


@pytest.fixture(scope="session")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of generated ratings in the formats that the SDKs' scripts read."""
    folder = tmp_path_factory.mktemp("ratings")
    write_ratings(folder)
    return folder


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """Return the address of S3 on this machine."""
    with s3_server() as address:
        yield address


@pytest.fixture(scope="session")
def lab(ratings: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Return a function that runs the lab command with a backend once and returns its results."""
    done: dict[str, Any] = {}

    def run(backend: str) -> Any:
        if backend not in done:
            out = tmp_path_factory.mktemp(f"lab-{backend}")
            subprocess.run(
                [
                    *(sys.executable, "-m", "local_sagemaker", "lab"),
                    *("--backend", backend, "--data", str(ratings), "--out", str(out)),
                    *("--scores-json", str(out / "scores.json")),
                ],
                check=True,
                timeout=sdk.PATIENCE,
            )
            done[backend] = json.loads((out / "scores.json").read_text())
            done[backend]["files"] = sorted(path.name for path in out.iterdir())
        return done[backend]

    return run


@pytest.fixture(scope="session")
def through(
    ratings: Path, s3: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], sdk.Run]:
    """Return a function that runs the lab's script of an SDK once, or skips the test."""
    return sdk.once_each(
        s3, "lab2_v{}.py", ratings, lambda version: tmp_path_factory.mktemp(f"sdk-v{version}")
    )
