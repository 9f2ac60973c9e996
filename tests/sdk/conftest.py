"""One set of generated ratings, one S3, and each run of the lab once for all tests."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from local_sagemaker.generated import generate
from local_sagemaker.ratings import MOVIES, USERS, write_folder
from local_sagemaker.s3server import s3_server
from support import sdk
from support.job import free_port
from support.recordio import sparse_file


@pytest.fixture(scope="session")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of generated ratings, in the forms that the SDKs' scripts read.

    `ua.base.shuffled`, the notebook's, is in the order of examples/lab2.py. The protobuf files are
    both again as google.protobuf writes them, for an SDK that has no writer.
    """
    folder = tmp_path_factory.mktemp("ratings")
    made = generate()
    write_folder(made, folder)
    shuffled = np.random.default_rng(0).permutation(made.train)
    np.savetxt(folder / "ua.base.shuffled", shuffled, fmt="%d", delimiter="\t")
    for channel, rows in (("train", shuffled), ("test", made.test)):
        keys = np.stack([rows[:, 0] - 1, USERS + rows[:, 1] - 1], axis=1).ravel()
        ones, starts = np.ones(len(keys), np.float32), np.arange(0, len(keys) + 1, 2)
        x = csr_array((ones, keys, starts), shape=(len(rows), USERS + MOVIES))
        (folder / f"{channel}.protobuf").write_bytes(sparse_file(x, rows[:, 2] >= 4))
    return folder


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """Return the address of S3 on this machine."""
    with s3_server() as address:
        yield address


@pytest.fixture(scope="session")
def lab(ratings: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Return what runs the lab command with a backend, once, and returns its scores file."""
    done: dict[str, Any] = {}

    def run(backend: str) -> Any:
        if backend not in done:
            out = tmp_path_factory.mktemp(f"lab-{backend}")
            subprocess.run(
                [
                    *(sys.executable, "-m", "local_sagemaker", "lab", "--root", str(sdk.ROOT)),
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
    """Return what runs the lab's script of an SDK, once, and skips where something is missing."""
    done: dict[int, sdk.Run] = {}

    def run(version: int) -> sdk.Run:
        if reason := sdk.missing(version):
            pytest.skip(reason)
        if version not in done:
            base = tmp_path_factory.mktemp(f"sdk-v{version}")
            # v2's session comes from local_sagemaker.sdk, which finds both by itself.
            local = () if version == 2 else (free_port(), base / "root")
            done[version] = sdk.run(base, s3, version, f"lab2_v{version}.py", ratings, *local)
        return done[version]

    return run
