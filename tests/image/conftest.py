"""The built image, or a skip that says what is missing; a job that trains in seconds."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.sparse import csr_array

from support import docker
from support.job import Job
from support.recordio import sparse_file

USERS, FILMS = 100, 200


@pytest.fixture(scope="session", autouse=True)
def engine() -> None:
    """Skip everything here where the image cannot be run."""
    if reason := docker.missing():
        pytest.skip(reason)


@pytest.fixture
def fill() -> Callable[..., None]:
    """Return what lays out a small job: who likes which film, 2,000 and 500 times."""

    def lay_out(job: Job, **hyperparameters: object) -> None:
        rng = np.random.default_rng(1)
        for name, rows in (("train", 2000), ("test", 500)):
            user, film = rng.integers(0, USERS, rows), rng.integers(0, FILMS, rows)
            keys = np.stack([user, USERS + film], axis=1).ravel()
            ones = np.ones(2 * rows, np.float32)
            x = csr_array((ones, keys, np.arange(0, 2 * rows + 1, 2)), (rows, USERS + FILMS))
            job.channel(name, sparse_file(x, (user + film) % 2))
        given = {
            "feature_dim": USERS + FILMS,
            "num_factors": 8,
            "predictor_type": "binary_classifier",
            "mini_batch_size": 200,
            "epochs": 3,
        }
        job.hyperparameters(**{**given, **hyperparameters})

    return lay_out
