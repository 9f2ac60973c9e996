"""Writes model_algo-1, a zip archive of meta.json, symbol.json and params, atomically."""

import json
import shutil
import struct
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import BinaryIO, cast

from factorization_machines.artifact import ndarrays
from factorization_machines.artifact.model import FILE_NAME, Model
from factorization_machines.artifact.symbol import symbol
from factorization_machines.errors import PlatformError
from factorization_machines.files import replacing

# The first array's values begin at byte 64 of params. With params at a multiple of 64 in the file,
# and v as the first array, the rows of v are aligned in a mapped file.
_ALIGNMENT = 64
_PADDING = 0xD935  # the id of such a field in Android's zipalign; readers ignore it
_HEADER, _ZIP64_FIELD = 30, 20  # bytes; zipfile appends the zip64 field to ours


def check_writable(folder: Path, size: int = 0) -> None:
    """Check before a long training whether a model can be written to a folder.

    `size`: bytes of the model's parameters.

    Raises: PlatformError with the reason if it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.NamedTemporaryFile(dir=folder, prefix=f".{FILE_NAME}.").close()
        if (folder / FILE_NAME).is_dir():
            raise IsADirectoryError(None, f"{FILE_NAME} is a folder")
        if shutil.disk_usage(folder).free < size:
            raise OSError(None, f"it takes {size} bytes, and the disk has less space")
    except OSError as error:
        raise _cannot_write(folder, error) from error


def write(folder: Path, model: Model) -> Path:
    """Write the artifact atomically, and return its path; the parameters are not copied.

    Raises: PlatformError if it cannot be written, for example on a full disk; no partial file is
        left.
    """
    path = folder / FILE_NAME
    try:
        with replacing(path) as stream:
            _write_zip(stream, model)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    return path


def save(path: Path, model: Model) -> Path:
    """Write the artifact into a folder, or as a file that ends in .tar.gz or .tgz; return its path.

    Raises: PlatformError if it cannot be written; no partial file is left.
    """
    if not path.name.endswith((".tar.gz", ".tgz")):
        check_writable(path)
        return write(path, model)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".fm-model-") as folder:
            file, part = write(Path(folder), model), Path(folder, "packed")
            with tarfile.open(part, "w:gz", compresslevel=1) as archive:
                archive.add(file, file.name)
            part.replace(path)
    except OSError as error:
        raise PlatformError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def _cannot_write(folder: Path, error: OSError) -> PlatformError:
    return PlatformError(f"the model cannot be written to {folder}: {error.strerror or error}")


def _write_zip(stream: BinaryIO, model: Model) -> None:
    parameters = model.parameters
    d, k = parameters.feature_dim, parameters.num_factors
    # Readers of the built-in's meta.json expect these two.
    training = {"feature_dim": str(d), "num_factors": str(k), **model.training_parameters}
    meta = {**model.notes, "training_parameters": training}
    # The built-in's names and shapes; its w1 is a column.
    arrays = {
        "arg:v": parameters.v,
        "arg:w1_weight": parameters.w[:, None],
        "arg:w0_weight": parameters.w0,
    }
    # Stored instead of deflated: float32 values hardly compress, and stored ones can be mapped.
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in (("meta.json", meta), ("symbol.json", symbol(d, k, model.classifier))):
            # ZipInfo's default date of 1980 keeps the bytes of a seed the same.
            archive.writestr(zipfile.ZipInfo(name), json.dumps(content, indent=2))
        info = zipfile.ZipInfo("params")
        info.extra = _padding(stream.tell() + _HEADER + len(info.filename) + _ZIP64_FIELD)
        with archive.open(info, "w", force_zip64=True) as params:
            ndarrays.write(cast(BinaryIO, params), arrays)


def _padding(start: int) -> bytes:
    """Return the extra field that aligns a member's first byte, which would be at `start`."""
    size = -(start + 4) % _ALIGNMENT
    return struct.pack("<HH", _PADDING, size) + bytes(size)
