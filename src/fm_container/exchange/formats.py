"""The formats by name, and a model read from or written to a file of any."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fm_container import artifact
from fm_container.artifact import Model
from fm_container.errors import ArtifactError, ContainerError, PlatformError
from fm_container.exchange import fields, npz, onnx_graph, safetensors_file, torch_state
from fm_container.exchange.fields import Content


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
        return fields.model(FORMATS[name].read(path), predictor_type)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from None
    except (ContainerError, MemoryError):
        raise
    except Exception as error:  # each library has its own words for what is not its file
        words = " ".join(str(error).split())[:200]
        raise ArtifactError(f"{path} cannot be read as {name}: {words}") from None


def save(path: Path, model: Model, name: str) -> None:
    """Write a model as one step; whoever looks sees the old file, none, or all of this one.

    Raises: PlatformError if it cannot be written, or a library is not installed.
    """
    part = path.with_name(f".part-{path.name}")
    try:
        FORMATS[name].write(part, model)
        part.replace(path)
    except OSError as error:
        raise PlatformError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def _by_ending(path: Path) -> str | None:
    return next((name for name, form in FORMATS.items() if path.suffix in form.endings), None)
