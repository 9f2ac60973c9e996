"""Vectors of users and items for nearest-neighbour search."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from factorization_machines.errors import PlatformError, UserError
from factorization_machines.parameters import Float32, Parameters


@dataclass(frozen=True)
class Embeddings:
    """Float32 vectors; the inner product of a user's and an item's vector ranks items for the user.

    It is <v_u, v_i> + w_i: the score of the pair without the bias and the user's linear weight,
    which are the same for all items.

    Attributes:
        users: (n, num_factors + 1), v_u and a 1; items: (m, num_factors + 1), v_i and w_i.
        user_keys: (n,) int64, the feature of each row; item_keys: (m,) int64.
    """

    users: Float32
    items: Float32
    user_keys: Any
    item_keys: Any


def embeddings(parameters: Parameters, users: range, items: range) -> Embeddings:
    """Return the vectors of two ranges of features.

    Raises: UserError if a range is empty or exceeds the features.
    """
    for name, block in (("users", users), ("items", items)):
        if not 0 <= block.start < block.stop <= parameters.feature_dim:
            raise UserError(
                f"{name} must be a block of features from 0 to {parameters.feature_dim}; "
                f"got {block.start}:{block.stop}"
            )
    u, i = slice(users.start, users.stop), slice(items.start, items.stop)
    ones = np.ones((len(users), 1), np.float32)
    return Embeddings(
        users=np.concatenate((parameters.v[u], ones), axis=1),
        items=np.concatenate((parameters.v[i], parameters.w[i, None]), axis=1),
        user_keys=np.arange(users.start, users.stop),
        item_keys=np.arange(items.start, items.stop),
    )


def write(path: Path, vectors: Embeddings) -> list[Path]:
    """Write vectors in the format of the path's ending, and return the paths of the files.

    `.npz`: the four arrays by name. `.npy` and `.csv`: two files, NAME-users and NAME-items. A line
    of `.csv` holds the key, then the vector.

    Raises: UserError for any other ending; PlatformError if they cannot be written.
    """
    blocks = {
        path.with_name(f"{path.stem}-users{path.suffix}"): (vectors.user_keys, vectors.users),
        path.with_name(f"{path.stem}-items{path.suffix}"): (vectors.item_keys, vectors.items),
    }
    if path.suffix not in _WRITERS and path.suffix != ".npz":
        raise UserError(f"the output must end in .npz, .npy or .csv; got {path.name!r}")
    try:
        if path.suffix == ".npz":
            with open(path, "wb") as stream:
                np.savez(stream, allow_pickle=False, **vars(vectors))
            return [path]
        for file, (keys, block) in blocks.items():
            _WRITERS[path.suffix](file, keys, block)
    except OSError as error:
        raise PlatformError(f"{path} cannot be written: {error.strerror or error}") from error
    return list(blocks)


def _npy(path: Path, keys: Any, block: Float32) -> None:
    np.save(path, block, allow_pickle=False)


def _csv(path: Path, keys: Any, block: Float32) -> None:
    # Nine digits represent every float32 exactly.
    formats = ["%d", *["%.9g"] * block.shape[1]]
    np.savetxt(path, np.column_stack((keys, block)), formats, delimiter=",")


_WRITERS: dict[str, Callable[[Path, Any, Float32], None]] = {".npy": _npy, ".csv": _csv}
