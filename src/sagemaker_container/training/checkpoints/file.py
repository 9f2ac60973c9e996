"""A checkpoint as a `.npz` file: the arrays, and the rest as JSON in an array of bytes."""

import io
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

from factorization_machines.engines.base import OptimizerState
from factorization_machines.errors import CheckpointError
from factorization_machines.files import open_regular, replacing
from factorization_machines.kernels.columns import COLUMNS
from factorization_machines.parameters import Parameters
from factorization_machines.trainer import BestEpoch, TrainingState
from sagemaker_container.contract.log import TAGS
from sagemaker_container.training.checkpoints.fingerprint import JobFingerprint

# Format 1 had other training rules: an overlapping last batch, and NumPy's initial values.
FORMAT = 2
_META = "meta"
_PARAMETERS = ("w0", "w", "v")

# The errors of zipfile, zlib, numpy and the code below for a truncated or damaged file.
DAMAGE = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, IndexError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, RuntimeError, OverflowError, AttributeError, MemoryError),
)


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a run needs to resume, and the fingerprint of its job."""

    fingerprint: JobFingerprint
    state: TrainingState
    parameters: Parameters
    optimizer: OptimizerState

    def check(self, parameters: Parameters, optimizer: OptimizerState) -> None:
        """Check that a run with these parameters and this optimizer state can resume from it.

        Raises: ValueError if an array has another name, shape or type, or a number is impossible.
        """
        state, best = self.state, self.state.best
        own = {**_named("", self.parameters), **self.optimizer.arrays}
        expected = {**_named("", parameters), **optimizer.arrays}
        if best is not None:
            own.update(_named("best.", best.parameters))
            expected.update(_named("best.", parameters))
        if _types(own) != _types(expected):
            raise ValueError(f"it has {_types(own)}, not {_types(expected)}")
        counts = (
            state.epoch,
            state.batch,
            state.rows,
            self.optimizer.steps,
            best.epoch if best else 0,
        )
        if not 0 <= min(counts) <= max(counts) < 1 << 62 or len(state.sums) not in (0, COLUMNS):
            raise ValueError(f"its progress is impossible: {counts}, {len(state.sums)} sums")
        if not set(state.scores) <= set(TAGS):
            raise ValueError(f"it has unknown scores: {', '.join(state.scores)}")


def _types(arrays: Mapping[str, NDArray[Any]]) -> dict[str, str]:
    return {name: f"{array.dtype}{list(array.shape)}" for name, array in sorted(arrays.items())}


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write the file atomically.

    Raises: OSError if it cannot be written; no partial file is left.
    """
    with replacing(path) as stream:
        np.savez(stream, **_arrays(checkpoint))  # type: ignore[arg-type]
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Flush a folder's entries to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _arrays(checkpoint: Checkpoint) -> dict[str, NDArray[Any]]:
    state = checkpoint.state
    best = state.best
    meta = {
        "format": FORMAT,
        "identity": asdict(checkpoint.fingerprint),
        "steps": checkpoint.optimizer.steps,
        "epoch": state.epoch,
        "batch": state.batch,
        "rows": state.rows,
        "sums": state.sums,
        "scores": dict(state.scores),
        "best": {"epoch": best.epoch, "loss": best.loss} if best else None,
    }
    arrays = _named("", checkpoint.parameters)
    if best:
        arrays.update(_named("best.", best.parameters))
    arrays.update({f"moments.{name}": array for name, array in checkpoint.optimizer.arrays.items()})
    arrays[_META] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    return arrays


def _named(prefix: str, parameters: Parameters) -> dict[str, NDArray[Any]]:
    return {prefix + name: getattr(parameters, name) for name in _PARAMETERS}


def read(path: Path) -> Checkpoint:
    """Return the checkpoint in a file.

    Raises: one of DAMAGE if the file is not a complete checkpoint; CheckpointError if another
        version wrote it.
    """
    with open_regular(path) as raw, io.BufferedReader(raw) as stream:
        return load(stream, path)


def load(stream: BinaryIO, name: object) -> Checkpoint:
    """Return the checkpoint in a seekable stream, as `read` does; `name` is for errors."""
    # Check all checksums first: a damaged size could request any amount of memory.
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
    state = TrainingState(
        epoch=int(meta["epoch"]),
        batch=int(meta["batch"]),
        rows=int(meta["rows"]),
        sums=tuple(map(float, meta["sums"])),
        scores={str(name): float(score) for name, score in meta["scores"].items()},
        best=best
        and BestEpoch(int(best["epoch"]), float(best["loss"]), _parameters("best.", arrays)),
    )
    moments = {
        name.removeprefix("moments."): array
        for name, array in arrays.items()
        if name.startswith("moments.")
    }
    return Checkpoint(
        JobFingerprint(**meta["identity"]),
        state,
        _parameters("", arrays),
        OptimizerState(int(meta["steps"]), moments),
    )


def _parameters(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Parameters:
    return Parameters(*(arrays[prefix + name] for name in _PARAMETERS))
