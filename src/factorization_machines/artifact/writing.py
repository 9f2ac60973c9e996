"""model_algo-1, written in one step: a zip of meta.json, symbol.json and params."""

import contextlib
import json
import os
import struct
import zipfile
from pathlib import Path
from typing import BinaryIO, cast

from factorization_machines.artifact import ndarrays
from factorization_machines.artifact.model import FILE_NAME, Model
from factorization_machines.artifact.symbol import symbol
from factorization_machines.errors import PlatformError

# The first array's values begin 64 bytes into params: with params on a multiple of 64 of the file,
# and v first, the rows of a file that is mapped into memory lie as a processor likes them.
_ALIGNMENT = 64
_PADDING = 0xD935  # the id that Android's zipalign gave to such a field; readers skip it
_HEADER, _ZIP64_FIELD = 30, 20  # bytes; the field comes behind ours


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

    The parameters go from their memory to the file, without a copy.

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
    d, k = parameters.feature_dim, parameters.num_factors
    # Whoever reads the built-in's meta.json expects these two.
    training = {"feature_dim": str(d), "num_factors": str(k), **model.training_parameters}
    meta = {**model.notes, "training_parameters": training}
    # Names and shapes of the built-in; w1 is a column there.
    arrays = {
        "arg:v": parameters.v,
        "arg:w1_weight": parameters.w[:, None],
        "arg:w0_weight": parameters.w0,
    }
    # Stored, not deflated: float32 values hardly shrink, and can then be mapped.
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in (("meta.json", meta), ("symbol.json", symbol(d, k, model.classifier))):
            # ZipInfo's own date, 1980, and not the clock's: same seed, same bytes.
            archive.writestr(zipfile.ZipInfo(name), json.dumps(content, indent=2))
        info = zipfile.ZipInfo("params")
        info.extra = _padding(stream.tell() + _HEADER + len(info.filename) + _ZIP64_FIELD)
        with archive.open(info, "w", force_zip64=True) as params:
            ndarrays.write(cast(BinaryIO, params), arrays)


def _padding(start: int) -> bytes:
    """Return the extra field that moves a member's first byte from `start` to the alignment."""
    size = -(start + 4) % _ALIGNMENT
    return struct.pack("<HH", _PADDING, size) + bytes(size)
