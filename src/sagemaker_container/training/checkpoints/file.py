"""One checkpoint as a `.npz` file: the arrays, and the rest as JSON in an array of bytes."""

import contextlib
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from factorization_machines.errors import CheckpointError
from factorization_machines.parameters import Parameters
from factorization_machines.training_state import Best, Moments, Position
from sagemaker_container.training.checkpoints.fingerprint import Identity

# 1: the last batch overlapped the one before, and the start was NumPy's generator.
FORMAT = 2
_META = "meta"
_PARAMETERS = ("w0", "w", "v")

# How zipfile, zlib, numpy and our own reading below meet a file that is cut short or damaged.
DAMAGE = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, IndexError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, RuntimeError, OverflowError),
)


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on, and what job it is of."""

    identity: Identity
    position: Position
    parameters: Parameters
    moments: Moments


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write the file as one step: whoever looks sees the old one, none, or all of this one.

    Raises: OSError if it cannot be written; nothing torn is left.
    """
    part = path.with_name(".checkpoint.part")
    try:
        with open(part, "wb") as stream:
            np.savez(stream, **_arrays(checkpoint))  # type: ignore[arg-type]
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
        _sync(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            part.unlink()
        raise


def _sync(folder: Path) -> None:
    """Make the folder's new entry last, as `os.fsync` does a file's bytes."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _arrays(checkpoint: Checkpoint) -> dict[str, NDArray[Any]]:
    position = checkpoint.position
    best = position.best
    meta = {
        "format": FORMAT,
        "identity": asdict(checkpoint.identity),
        "steps": checkpoint.moments.steps,
        "epoch": position.epoch,
        "batch": position.batch,
        "rows": position.rows,
        "sums": position.sums,
        "scores": dict(position.scores),
        "best": {"epoch": best.epoch, "loss": best.loss} if best else None,
    }
    arrays = _named("", checkpoint.parameters)
    if best:
        arrays.update(_named("best.", best.parameters))
    arrays.update({f"moments.{name}": array for name, array in checkpoint.moments.arrays.items()})
    arrays[_META] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    return arrays


def _named(prefix: str, parameters: Parameters) -> dict[str, NDArray[Any]]:
    return {prefix + name: getattr(parameters, name) for name in _PARAMETERS}


def read(path: Path) -> Checkpoint:
    """Return what a file holds.

    Raises: one of DAMAGE if it is not a whole checkpoint; CheckpointError if it is of another
        version's format.
    """
    with open(path, "rb") as stream:
        return load(stream, path)


def load(stream: BinaryIO, name: object) -> Checkpoint:
    """Return what a stream holds, which can be searched, as `read` does; errors give the name."""
    # All checksums first: a damaged size must not be believed.
    with zipfile.ZipFile(stream) as whole:
        if (damaged := whole.testzip()) is not None:
            raise zipfile.BadZipFile(f"{damaged} is not what was written")
    stream.seek(0)
    with np.load(stream, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    meta = json.loads(arrays[_META].tobytes())
    if meta["format"] != FORMAT:
        raise CheckpointError(
            f"{name} has the format {meta['format']!r}, and this version reads {FORMAT}: other "
            "rules of training would go on from it. Empty the folder to begin anew"
        )
    best = meta["best"]
    position = Position(
        epoch=int(meta["epoch"]),
        batch=int(meta["batch"]),
        rows=int(meta["rows"]),
        sums=tuple(map(float, meta["sums"])),
        scores={str(name): float(score) for name, score in meta["scores"].items()},
        best=best and Best(int(best["epoch"]), float(best["loss"]), _parameters("best.", arrays)),
    )
    moments = {
        name.removeprefix("moments."): array
        for name, array in arrays.items()
        if name.startswith("moments.")
    }
    return Checkpoint(
        Identity(**meta["identity"]),
        position,
        _parameters("", arrays),
        Moments(int(meta["steps"]), moments),
    )


def _parameters(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Parameters:
    return Parameters(*(arrays[prefix + name] for name in _PARAMETERS))
