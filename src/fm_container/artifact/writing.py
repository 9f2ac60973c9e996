"""model_algo-1, written in one step: a zip of meta.json, symbol.json and params."""

import contextlib
import json
import os
import zipfile
from pathlib import Path
from typing import BinaryIO, cast

from fm_container.artifact import ndarrays
from fm_container.artifact.model import FILE_NAME, Model
from fm_container.artifact.symbol import symbol
from fm_container.errors import PlatformError

_NAMES = ("arg:w0_weight", "arg:w1_weight", "arg:v")


def check_writable(folder: Path) -> None:
    """Find out before hours of training whether a model can be left here.

    Raises: PlatformError that says why not.
    """
    probe = folder / f".{FILE_NAME}.probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise _cannot_write(folder, error) from error


def write(folder: Path, model: Model) -> Path:
    """Write the artifact as one step: whoever looks sees the old one, none, or all of this one.

    Raises: PlatformError if it cannot be written, a full disk included; nothing torn is left.
    """
    path, part = folder / FILE_NAME, folder / f".{FILE_NAME}.part"
    try:
        with open(part, "wb") as stream:
            _write_zip(stream, model)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            part.unlink()
        raise _cannot_write(folder, error) from error
    return path


def _cannot_write(folder: Path, error: OSError) -> PlatformError:
    return PlatformError(f"the model cannot be written to {folder}: {error.strerror or error}")


def _write_zip(stream: BinaryIO, model: Model) -> None:
    parameters = model.parameters
    meta = {"training_parameters": dict(model.training_parameters), **model.notes}
    graph = symbol(parameters.feature_dim, parameters.num_factors, model.classifier)
    # The values of the built-in's names; w1 is a column there.
    arrays = dict(zip(_NAMES, (parameters.w0, parameters.w[:, None], parameters.v), strict=True))
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in (("meta.json", meta), ("symbol.json", graph)):
            # ZipInfo's own date, 1980, and not the clock's: same seed, same bytes.
            archive.writestr(zipfile.ZipInfo(name), json.dumps(content, indent=2))
        with archive.open(zipfile.ZipInfo("params"), "w", force_zip64=True) as params:
            ndarrays.write(cast(BinaryIO, params), arrays)
