"""Training rows: the lab's ratings, and wide rows of many fields."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from factorization_machines.config import TrainingConfig
from factorization_machines.recordio.decoder import Rows
from local_sagemaker.lab.generated import generate
from local_sagemaker.lab.ratings import MOVIES, USERS, read_folder
from sagemaker_container.contract import hyperparameters
from sagemaker_container.training.config import training_config

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "bench"

WIDE_ROWS, FIELDS, FIELD_SIZE = 1_000_000, 30, 33_333
ZIPF = 1.1


@dataclass(frozen=True)
class Options:
    """Command line options: a MovieLens folder or None, rounds, the path of the picture."""

    data: Path | None
    repeats: int
    picture: Path
    soak_seconds: int


@functools.cache
def lab(folder: Path | None) -> tuple[Rows, Rows]:
    """Return the lab's training and test rows, one-hot user and movie, sorted by user."""
    ratings = read_folder(folder) if folder else generate()
    return _one_hot(ratings.train), _one_hot(ratings.test)


def _one_hot(ratings: NDArray[np.int64]) -> Rows:
    keys = np.column_stack([ratings[:, 0] - 1, USERS + ratings[:, 1] - 1])
    return Rows(of_ones(keys, USERS + MOVIES), (ratings[:, 2] >= 4).astype(np.float32))


def of_ones(keys: NDArray[Any], feature_dim: int) -> csr_array:
    """Return rows with ones at their keys, (n, m) and ascending."""
    n, m = keys.shape
    ones = np.ones(keys.size, np.float32)
    indptr = np.arange(0, keys.size + 1, m, dtype=np.int64)
    return csr_array((ones, keys.astype(np.int32).ravel(), indptr), shape=(n, feature_dim))


def shuffled(rows: Rows, seed: int = 0) -> Rows:
    """Return the rows in another order, as the lab's notebook shuffles them."""
    order = np.random.default_rng(seed).permutation(len(rows))
    return Rows(rows.x[order], rows.y[order])


def wide(n: int = WIDE_ROWS) -> Rows:
    """Return n rows with one feature of each field, drawn by Zipf's law; cached in a file."""
    file = WORK / f"wide-{n}.npz"
    if not file.exists():
        rng = np.random.default_rng(0)
        share = np.arange(1, FIELD_SIZE + 1) ** -ZIPF
        steps = np.cumsum(share) / share.sum()
        keys = np.empty((n, FIELDS), np.int32)
        for f in range(FIELDS):
            # Frequent features must not be neighbours.
            names = rng.permutation(FIELD_SIZE) + f * FIELD_SIZE
            ranks = np.minimum(np.searchsorted(steps, rng.random(n)), FIELD_SIZE - 1)
            keys[:, f] = names[ranks]
        weights = rng.normal(0.0, 0.4, FIELDS * FIELD_SIZE)
        liking = weights[keys].sum(axis=1) + rng.logistic(size=n)
        WORK.mkdir(parents=True, exist_ok=True)
        half = file.with_suffix(".half.npz")
        np.savez(half, keys=keys, y=(liking > 0).astype(np.float32))
        half.replace(file)
    with np.load(file) as arrays:
        return Rows(of_ones(arrays["keys"], FIELDS * FIELD_SIZE), arrays["y"])


def config(rows: Rows, num_factors: int, **given: object) -> TrainingConfig:
    """Return the configuration of a classifier for these rows, with the built-in's defaults."""
    texts = {name: str(value) for name, value in given.items()}
    return training_config(
        hyperparameters.check(
            {
                "feature_dim": str(rows.x.shape[1]),
                "num_factors": str(num_factors),
                "predictor_type": "binary_classifier",
                **texts,
            }
        )
    )


def write_text(rows: Rows, name: str) -> Path:
    """Write rows of ones as `label key:1 key:1 …`, the format of the peers; return the file."""
    file, half = WORK / name, WORK / f"{name}.half"
    (WORK / f"{name}.bin").unlink(missing_ok=True)  # xLearn's cache of the previous file
    n = len(rows)
    keys = rows.x.indices.reshape(n, -1)
    digits = len(str(rows.x.shape[1] - 1))
    WORK.mkdir(parents=True, exist_ok=True)
    with half.open("wb") as stream:
        for start in range(0, n, 100_000):
            part = keys[start : start + 100_000]
            cells = np.empty((*part.shape, digits + 3), np.uint8)
            cells[:] = np.frombuffer(b" " + digits * b"0" + b":1", np.uint8)
            for place in range(digits):
                cells[:, :, digits - place] += (part // 10**place % 10).astype(np.uint8)
            labels = (rows.y[start : start + 100_000] + ord("0")).astype(np.uint8)[:, None]
            ends = np.full_like(labels, ord("\n"))
            stream.write(np.hstack([labels, cells.reshape(len(part), -1), ends]).tobytes())
    return half.replace(file)
