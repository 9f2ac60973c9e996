"""A small job whose files are right: each test spoils or uses it."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from support.job import Job
from support.recordio import sparse_file

USERS, FILMS = 40, 60
DIM = USERS + FILMS
GIVEN = {
    "feature_dim": DIM,
    "num_factors": 4,
    "predictor_type": "binary_classifier",
    "mini_batch_size": 100,
    "epochs": 2,
}


def ratings(rows: int, seed: int, dim: int = DIM) -> tuple[csr_array, np.ndarray]:
    """Return rows of a user and a film, and whether it is liked."""
    rng = np.random.default_rng(seed)
    user, film = rng.integers(0, USERS, rows), rng.integers(0, FILMS, rows)
    keys = np.stack([user, USERS + film], axis=1).ravel()
    ones = np.ones(2 * rows, np.float32)
    x = csr_array((ones, keys, np.arange(0, 2 * rows + 1, 2)), (rows, dim))
    return x, ((user * film) % 3 == 0).astype(np.float32)


@pytest.fixture
def good(job: Job) -> Job:
    """Return a job that trains: 550 and 130 rows."""
    for name, rows, seed in (("train", 550, 1), ("test", 130, 2)):
        job.channel(name, sparse_file(*ratings(rows, seed)))
    job.hyperparameters(**GIVEN)
    job.configure(
        "inputdataconfig", {name: {"TrainingInputMode": "File"} for name in ("train", "test")}
    )
    job.configure("resourceconfig", {"current_host": "algo-1", "hosts": ["algo-1"]})
    return job
