"""Good bytes, which a fuzzer spoils."""

import io
import zipfile

import numpy as np

from fuzz.targets import _META, COLLECTIONS, DIM, state_folder
from support.mxfiles import dense, params, row_sparse
from support.recordio import dense_file, frame, message, sparse_file

_ROWS = np.eye(3, DIM, dtype=np.float32) * 2.5


def _decoder() -> list[bytes]:
    from scipy.sparse import csr_array

    whole = sparse_file(csr_array(_ROWS), np.ones(3, np.float32))
    one = message([1.0, 2.0], 1.0, keys=[3, 7], shape=[DIM])
    parts = frame(one[:20], 1) + frame(one[20:], 3)
    return [
        b"", whole, frame(one), parts,
        *(dense_file(_ROWS, np.ones(3, np.float32), kind) for kind in ("float32", "float64")),
        frame(message([1, 2], 1, keys=[3, 7])) + frame(message([], 0.0)),
    ]  # fmt: skip


def _requests() -> list[bytes]:
    bodies = [
        b'{"instances": [{"features": [' + b",".join([b"1"] * DIM) + b"]}]}",
        b'{"instances": [{"data": {"features": {"keys": [0, 5], "shape": [20], '
        b'"values": [1, 2.5]}}}]}',
        b'{"data": {"features": {"keys": [1], "values": [1e3]}}}\n{"features": [1]}\n',
        *_decoder()[:4],
        b"1,2,3\n4,5,6\n",
    ]  # fmt: skip
    return [bytes([kind]) + body for kind in range(5) for body in bodies]


def _model() -> list[bytes]:
    v, w, w0 = np.ones((3, 2)), np.ones((3, 1)), np.ones(1)
    lists = [
        params({"arg:v": dense(v), "arg:w1_weight": dense(w), "arg:w0_weight": dense(w0)}),
        params({"arg:v": row_sparse([0, 2], v[:2], (3, 2)), "arg:w1_weight": dense(w),
                "arg:w0_weight": dense(w0)}),
    ]  # fmt: skip
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta.json", _META)
        archive.writestr("params", lists[0])
    return [b"\0" + zipped.getvalue(), *(b"\1" + one for one in lists), b"\0" + lists[0]]


def _addresses() -> list[bytes]:
    addresses = (
        b"s3://bucket/a/b",
        b"s3://bucket",
        b"s3://b.u-c_k/d#1/?x=%41",
        b"S3://[x/",
        b"s3:///",
    )
    keys = (b"", b"/file", b"../../file", b"//a/./b", b"\xff\x00")
    return [address + b"\n" + key for address in addresses for key in keys]


def _state() -> list[bytes]:
    seeds = []
    for collection, text in state_folder().written:
        name = "part/good/name" if collection.startswith("part/") else collection
        seeds.append(bytes([COLLECTIONS.index(name)]) + text.encode())
    return seeds


SEEDS = {
    **{"decoder": _decoder, "requests": _requests, "model": _model},
    **{"address": _addresses, "state": _state},
}
