"""Generated ratings in the formats that the SDKs' scripts read."""

from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from local_sagemaker.lab.generated import generate
from local_sagemaker.lab.ratings import MOVIES, USERS, write_folder
from support.recordio import sparse_file


def write_ratings(folder: Path) -> None:
    """Write `ua.base`, `ua.test` and more.

    `ua.base.shuffled`, the notebook's, is in the order of examples/lab2.py. The protobuf files are
    both again as google.protobuf writes them, for an SDK that has no writer.
    """
    made = generate()
    write_folder(made, folder)
    shuffled = np.random.default_rng(0).permutation(made.train)
    np.savetxt(folder / "ua.base.shuffled", shuffled, fmt="%d", delimiter="\t")
    for channel, rows in (("train", shuffled), ("test", made.test)):
        keys = np.stack([rows[:, 0] - 1, USERS + rows[:, 1] - 1], axis=1).ravel()
        ones, starts = np.ones(len(keys), np.float32), np.arange(0, len(keys) + 1, 2)
        x = csr_array((ones, keys, starts), shape=(len(rows), USERS + MOVIES))
        (folder / f"{channel}.protobuf").write_bytes(sparse_file(x, rows[:, 2] >= 4))
