"""Reads and writes models in all supported formats."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from factorization_machines import artifact
from factorization_machines.artifact import Model
from factorization_machines.errors import ArtifactError, FactorizationMachinesError, PlatformError
from factorization_machines.export import metadata, npz, onnx_graph, safetensors_file, torch_state
from factorization_machines.export.metadata import Content


@dataclass(frozen=True)
class Format:
    """The functions that write and read a format, and the endings of its files."""

    write: Callable[[Path, Model], None]
    read: Callable[[Path], Content]
    endings: tuple[str, ...]


FORMATS = {
    "npz": Format(npz.write, npz.read, (".npz",)),
    "safetensors": Format(safetensors_file.write, safetensors_file.read, (".safetensors",)),
    "torch": Format(torch_state.write, torch_state.read, (".pt", ".pth")),
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
