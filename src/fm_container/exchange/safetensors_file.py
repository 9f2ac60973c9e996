"""Hugging Face's safetensors: the arrays by name, the texts as metadata."""

from pathlib import Path

from fm_container.artifact import Model
from fm_container.exchange import fields
from fm_container.exchange.fields import Content


def write(path: Path, model: Model) -> None:
    """Write the file; `safetensors.torch.load_model` loads it into our module."""
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import save_file
    except ImportError as error:
        raise fields.missing("safetensors", error) from None
    try:
        save_file(fields.arrays(model), path, {"format": "np", **fields.texts(model)})
    except SafetensorError as error:  # that it is of the file system is in its text alone
        raise OSError(str(error)) from None


def read(path: Path) -> Content:
    """Return what a file holds."""
    try:
        from safetensors import safe_open
    except ImportError as error:
        raise fields.missing("safetensors", error) from None
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return Content(arrays, file.metadata() or {})
