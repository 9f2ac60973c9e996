"""MXNet's files as its source describes them, made without our writer."""

import io
import json
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

TRAINING = {"feature_dim": "3", "num_factors": "2", "predictor_type": "regressor"}


def shape(*dimensions: int) -> bytes:
    """Return a shape as MXNet writes it since 0.10."""
    return struct.pack(f"<I{len(dimensions)}q", len(dimensions), *dimensions)


def dense(
    values: Any, *, magic: int = 0xF993FAC9, kind: int = 0, element: int = 0, dtype: str = "<f4"
) -> bytes:
    """Return an array as MXNet writes it since 0.12."""
    array = np.asarray(values, dtype)
    head = struct.pack("<Ii", magic, kind) + shape(*array.shape)
    return head + struct.pack("<iii", 1, 0, element) + array.tobytes()


def dense_v1(values: Any) -> bytes:
    """Return an array as MXNet 0.10 and 0.11 write it: no storage type."""
    array = np.asarray(values, "<f4")
    head = struct.pack("<I", 0xF993FAC8) + shape(*array.shape)
    return head + struct.pack("<iii", 1, 0, 0) + array.tobytes()


def dense_v0(values: Any) -> bytes:
    """Return an array as older MXNets write it: the number of dimensions first, 32 bits for each.

    It was on a GPU.
    """
    array = np.asarray(values, "<f4")
    head = struct.pack(f"<I{array.ndim}I", array.ndim, *array.shape)
    return head + struct.pack("<iii", 2, 3, 0) + array.tobytes()


def row_sparse(
    index: list[int], values: Any, logical: tuple[int, ...], rows: int | None = None
) -> bytes:
    """Return a row-sparse array as MXNet 1.9.1 writes it."""
    array = np.asarray(values, "<f4")
    stored = (len(array) if rows is None else rows, *array.shape[1:])
    head = struct.pack("<Ii", 0xF993FAC9, 1) + shape(*stored) + shape(*logical)
    types = struct.pack("<iiii", 1, 0, 0, 6) + shape(len(index))
    return head + types + array.tobytes() + np.array(index, "<i8").tobytes()


def params(arrays: Mapping[str, bytes], count: int | None = None) -> bytes:
    """Return a list of named arrays."""
    total = len(arrays) if count is None else count
    names = b"".join(struct.pack("<Q", len(name)) + name.encode() for name in arrays)
    head = struct.pack("<QQQ", 0x112, 0, total)
    return head + b"".join(arrays.values()) + struct.pack("<Q", total) + names


GOOD = {
    "arg:w0_weight": dense([1.0]),
    "arg:w1_weight": dense([[1.0], [2.0], [3.0]]),
    "arg:v": dense([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
}


def archive(
    arrays: Mapping[str, bytes] = GOOD,
    meta: object = None,
    compression: int = zipfile.ZIP_STORED,
    **members: bytes | None,
) -> bytes:
    """Return an artifact made by zipfile alone; a member given as None is left out."""
    content = {"training_parameters": TRAINING} if meta is None else meta
    files = {"meta.json": json.dumps(content).encode(), "symbol.json": b"{}"}
    files["params"] = params(arrays)
    files |= {name.replace("_", "."): data for name, data in members.items()}  # type: ignore[dict-item]
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", compression) as out:
        for name, data in files.items():
            if data is not None:
                out.writestr(name, data)
    return raw.getvalue()
