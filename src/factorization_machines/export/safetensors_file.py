"""The format safetensors of Hugging Face: the arrays by name, the texts as metadata."""

from pathlib import Path

from factorization_machines.artifact import Model
from factorization_machines.export import metadata
from factorization_machines.export.metadata import Content


def write(path: Path, model: Model) -> None:
    """Write the file; `safetensors.torch.load_model` loads it into our module."""
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import save_file
    except ImportError as error:
        raise metadata.missing("safetensors", error) from None
    try:
        save_file(metadata.arrays(model), path, {"format": "np", **metadata.texts(model)})
    except SafetensorError as error:  # also raised for errors of the file system
        raise OSError(str(error)) from None


def read(path: Path) -> Content:
    """Return the content of a file."""
    try:
        from safetensors import safe_open
    except ImportError as error:
        raise metadata.missing("safetensors", error) from None
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return Content(arrays, file.metadata() or {})
