"""The formats by name, and a model read from or written to a file of any."""

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
    """How a format is written and read, and by which endings its files are known."""

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
    """Return the model in a file of a format, or in an artifact.

    Args:
        path: of the file, or whatever `artifact.read` takes.
        name: of the format; by the file's ending where it is not given, an artifact otherwise.
        predictor_type: of a file that does not say it, and instead of what it says.

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
    except Exception as error:  # each library has its own words for what is not its file
        words = " ".join(str(error).split())[:200]
        raise ArtifactError(f"{path} cannot be read as {name}: {words}") from None


def save(path: Path, model: Model, name: str) -> None:
    """Write a model as one step; whoever looks sees the old file, none, or all of this one.

    Raises: PlatformError if it cannot be written, or a library is not installed.
    """
    os.umask(mask := os.umask(0))  # there is no other way to ask
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".fm-model-") as folder:
            FORMATS[name].write(Path(folder, path.name), model)
            # What lies beside a file is there before it.
            for made in sorted(Path(folder).iterdir(), key=lambda made: made.name == path.name):
                made.chmod(0o666 & ~mask)  # some libraries leave it to its owner alone
                made.replace(path.parent / made.name)
    except (OSError, RuntimeError) as error:  # the second is torch's word for a full disk
        words = getattr(error, "strerror", None) or error
        raise PlatformError(f"{path} cannot be written: {words}") from error


def _by_ending(path: Path) -> str | None:
    return next((name for name, form in FORMATS.items() if path.suffix in form.endings), None)
