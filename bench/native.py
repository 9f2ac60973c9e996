"""The same steps in C, compiled on demand with the installed compiler."""

import ctypes
import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from bench.data import WORK
from bench.timing import Missing
from factorization_machines.batching import Bounds
from factorization_machines.config import TrainingConfig
from factorization_machines.parameters import Parameters
from factorization_machines.recordio.decoder import Rows

FLAGS = ("-O3", "-march=native", "-ffast-math", "-shared", "-fPIC")
_POINTERS = (
    "indptr keys values y w0 w v state0 state s dz g gw c slot touched sums"  # as in step.c
).split()


class _Job(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in _POINTERS),
        ("k", ctypes.c_int64),
        ("lr", ctypes.c_float * 3),
        ("wd", ctypes.c_float * 3),
        ("eps", ctypes.c_float),
    ]


@functools.cache
def library() -> Any:
    """Return the compiled library. Raises: Missing without a working compiler."""
    names = [os.environ.get("CC", ""), "cc", "gcc", "clang"]
    compiler = next(filter(None, map(shutil.which, filter(None, names))), None)
    if compiler is None:
        raise Missing("there is no cc; CC names one")
    WORK.mkdir(parents=True, exist_ok=True)
    target = WORK / "step.so"
    source = Path(__file__).with_name("step.c")
    command = [compiler, *FLAGS, str(source), "-o", str(target), "-lm"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise Missing(f"{compiler} failed: {made.stderr.strip().splitlines()[-1:]}")
    return ctypes.CDLL(str(target))


class CEngine:
    """Trains parameters in place, as NumbaEngine does with one thread, by Adam."""

    def __init__(self, parameters: Parameters, config: TrainingConfig, rows: Rows):
        self._library = library()
        d, k = parameters.v.shape
        size = min(config.mini_batch_size, len(rows))
        indptr = np.ascontiguousarray(rows.x.indptr, np.int64)
        features = min(d, int((indptr[size:] - indptr[:-size]).max()))
        # Keep references: C has only the addresses.
        self.arrays = {
            "indptr": indptr,
            "keys": np.ascontiguousarray(rows.x.indices, np.int32),
            "values": rows.x.data,
            "y": rows.y,
            "w0": parameters.w0,
            "w": parameters.w,
            "v": parameters.v,
            "state0": np.zeros(2, np.float32),
            "state": np.zeros((d, 2 * (k + 1)), np.float32),
            "s": np.empty((size, k), np.float32),
            "dz": np.empty(size, np.float32),
            "g": np.empty((features, k), np.float32),
            "gw": np.empty(features, np.float32),
            "c": np.empty(features, np.float32),
            "slot": np.full(d, -1, np.int32),
            "touched": np.empty(features, np.int32),
            "sums": np.zeros(5),
        }
        terms = (config.bias, config.linear, config.factors)
        self._job = _Job(
            **{name: array.ctypes.data for name, array in self.arrays.items()},
            k=k,
            lr=(ctypes.c_float * 3)(*(term.lr for term in terms)),
            wd=(ctypes.c_float * 3)(*(term.wd for term in terms)),
            eps=config.eps,
        )
        self._steps = 0

    def run(self, batches: Bounds) -> None:
        """Train on mini-batches, (m, 2) first row and end."""
        count = ctypes.c_int64(len(batches))
        self._library.train(
            ctypes.byref(self._job),
            ctypes.c_void_p(batches.ctypes.data),
            count,
            ctypes.c_int64(self._steps),
        )
        self._steps += len(batches)
