"""The format .npz of NumPy: the arrays by name, and each text as an array without dimensions."""

from pathlib import Path

import numpy as np

from factorization_machines.artifact import Model
from factorization_machines.export import metadata
from factorization_machines.export.metadata import Content


def write(path: Path, model: Model) -> None:
    """Write the file; `numpy.load` reads it without pickle."""
    texts = {name: np.array(text) for name, text in metadata.texts(model).items()}
    with open(path, "wb") as stream:  # given a path, savez would append .npz
        np.savez(stream, allow_pickle=False, **metadata.arrays(model), **texts)


def read(path: Path) -> Content:
    """Return the content of a file."""
    # Opened here, because numpy does not close a malformed file.
    with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
        content = {name: file[name] for name in file.files}
    texts = {name: str(array) for name, array in content.items() if array.dtype.kind == "U"}
    arrays = {name: array for name, array in content.items() if array.dtype.kind == "f"}
    return Content(arrays, texts)
