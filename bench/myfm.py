"""myFM: a Gibbs sampler, far slower a pass and better in the end."""

import json
from pathlib import Path
from statistics import median

import numpy as np

from bench import peers
from bench.data import WORK
from factorization_machines.recordio.decoder import Rows
from local_sagemaker.lab.ratings import MOVIES, USERS


def write(train: Rows, test: Rows) -> Path:
    """Write the lab's rows as arrays for its process; return the file."""
    file = WORK / "myfm.npz"
    np.savez(
        file,
        feature_dim=train.x.shape[1],
        fields=[USERS, MOVIES],
        train_keys=train.x.indices.reshape(len(train), -1),
        train_y=train.y,
        test_keys=test.x.indices.reshape(len(test), -1),
        test_y=test.y,
    )
    return file


def iterations(file: Path, rank: int, count: int) -> list[dict[str, float]]:
    """Return seconds, loss and accuracy on the test rows of each iteration. Raises: Missing."""
    python = peers.environment("myfm")
    said = peers.script(python, "myfm_fit.py", str(file), str(rank), str(count))
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def iteration_seconds(file: Path, rank: int) -> float:
    """Return the seconds of an iteration, without the first, which also prepares."""
    return median(line["seconds"] for line in iterations(file, rank, 4)[1:])
