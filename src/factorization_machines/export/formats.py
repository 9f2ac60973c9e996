"""Reads and writes models in all supported formats."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from factorization_machines import artifact
from factorization_machines.artifact import Model
from factorization_machines.errors import ArtifactError, FactorizationMachinesError, PlatformError
from factorization_machines.export import metadata, onnx_graph
from factorization_machines.export.metadata import Content


@dataclass(frozen=True)
class Format:
    """The functions that write and read a format, and the endings of its files."""

    write: Callable[[Path, Model], None]
    read: Callable[[Path], Content]
    endings: tuple[str, ...]


def _write_npz(path: Path, model: Model) -> None:
    """Write the arrays by name, and each text as an array without dimensions; no pickle."""
    texts = {name: np.array(text) for name, text in metadata.texts(model).items()}
    with open(path, "wb") as stream:  # given a path, savez would append .npz
        np.savez(stream, allow_pickle=False, **metadata.arrays(model), **texts)


def _read_npz(path: Path) -> Content:
    # Opened here, because numpy does not close a malformed file.
    with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
        content = {name: file[name] for name in file.files}
    texts = {name: str(array) for name, array in content.items() if array.dtype.kind == "U"}
    arrays = {name: array for name, array in content.items() if array.dtype.kind == "f"}
    return Content(arrays, texts)


def _write_safetensors(path: Path, model: Model) -> None:
    """Write a file that `safetensors.torch.load_model` loads into our module."""
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import save_file
    except ImportError as error:
        raise metadata.missing("safetensors", error) from None
    try:
        save_file(metadata.arrays(model), path, {"format": "np", **metadata.texts(model)})
    except SafetensorError as error:  # also raised for errors of the file system
        raise OSError(str(error)) from None


def _read_safetensors(path: Path) -> Content:
    try:
        from safetensors import safe_open
    except ImportError as error:
        raise metadata.missing("safetensors", error) from None
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return Content(arrays, file.metadata() or {})


def _write_torch(path: Path, model: Model) -> None:
    """Write a state_dict of our module, which cannot hold the texts."""
    import torch

    torch.save({name: torch.from_numpy(a) for name, a in metadata.arrays(model).items()}, path)


def _read_torch(path: Path) -> Content:
    """Return the content of a state_dict; torch raises an error if loading would execute code."""
    import torch

    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not all(isinstance(t, torch.Tensor) for t in state.values()):
        raise ArtifactError(f"no state_dict: {type(state).__name__}")
    return Content({str(name): tensor.detach().numpy() for name, tensor in state.items()})


FORMATS = {
    "npz": Format(_write_npz, _read_npz, (".npz",)),
    "safetensors": Format(_write_safetensors, _read_safetensors, (".safetensors",)),
    "torch": Format(_write_torch, _read_torch, (".pt", ".pth")),
    "onnx": Format(onnx_graph.write, onnx_graph.read, (".onnx",)),
}


def load(path: Path, name: str | None = None, predictor_type: str | None = None) -> Model:
    """Return the model in a file or an artifact.

    Args:
        path: of the file, or any path that `artifact.read` accepts.
        name: of the format; by default that of the file's ending, or else an artifact.
        predictor_type: overrides the file's; needed if the file has none.

    Raises: ArtifactError if it cannot be read; PlatformError if a library is not installed.
    """
    name = name or _by_ending(path)
    if name is None:
        return artifact.read(path, predictor_type)
    if not path.is_file():
        raise ArtifactError(f"there is no file {path}")
    try:
        return metadata.model(FORMATS[name].read(path), predictor_type)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from None
    except (FactorizationMachinesError, MemoryError):
        raise
    except Exception as error:  # each library raises its own errors for malformed files
        reason = " ".join(str(error).split())[:200]
        raise ArtifactError(f"{path} cannot be read as {name}: {reason}") from None


def save(path: Path, model: Model, name: str) -> None:
    """Write a model to a file atomically.

    Raises: PlatformError if it cannot be written, or a library is not installed.
    """
    os.umask(mask := os.umask(0))  # the mask can only be read by setting it
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".fm-model-") as folder:
            FORMATS[name].write(Path(folder, path.name), model)
            # The main file comes last, after the data file that it may refer to.
            for file in sorted(Path(folder).iterdir(), key=lambda file: file.name == path.name):
                file.chmod(0o666 & ~mask)  # some libraries make it readable by the owner only
                file.replace(path.parent / file.name)
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError for a full disk
        reason = getattr(error, "strerror", None) or error
        raise PlatformError(f"{path} cannot be written: {reason}") from error


def _by_ending(path: Path) -> str | None:
    return next((name for name, item in FORMATS.items() if path.suffix in item.endings), None)
