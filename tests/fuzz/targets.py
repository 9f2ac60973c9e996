"""What hostile bytes are given to, and what must hold of it: a result, or an error of our own.

Each target takes any bytes at all. It raises AssertionError, or an error that is not ours, where
what it promises does not hold.
"""

import ctypes
import io
import mmap
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from fm_container import artifact
from fm_container.data import formats, recordio
from fm_container.data.recordio import Decoder, Rows
from fm_container.errors import ArtifactError, DataError

DIM = 20
_PAGES = 64


class Guarded:
    """Memory of which the byte after the last cannot be read: to do so ends the process."""

    def __init__(self) -> None:
        self._size = _PAGES * mmap.PAGESIZE
        self._map = mmap.mmap(-1, self._size + mmap.PAGESIZE)
        self._array = np.frombuffer(self._map, np.uint8)
        libc = ctypes.CDLL(None, use_errno=True)
        address = ctypes.c_void_p(self._array.ctypes.data + self._size)
        if libc.mprotect(address, ctypes.c_size_t(mmap.PAGESIZE), 0):
            raise OSError(ctypes.get_errno(), "mprotect")

    def put(self, data: bytes) -> Any:
        """Return the bytes as an array that ends where the memory does."""
        assert len(data) <= self._size
        place = self._array[self._size - len(data) : self._size]
        place[:] = np.frombuffer(data, np.uint8)
        return place


_guarded = Guarded()


def decode(data: bytes, labelled: bool = True) -> Rows | str:
    """Return what the decoder makes of bytes: rows that are sound, or its message."""
    decoder = Decoder(DIM, labelled=labelled)
    try:
        decoder.feed(_guarded.put(data), "f")
    except DataError as error:
        message = str(error)
        assert message.startswith("f: record ") and len(message) < 300
        return message
    finally:
        # Bytes that a record has at the most, and what the arrays grow by.
        room = decoder._values.nbytes + decoder._keys.nbytes + decoder._indptr.nbytes
        assert room <= 20 * len(data) + 4096
    rows = decoder.rows()
    x = rows.x
    assert len(rows) == x.shape[0] <= len(data) // 8
    assert x.indptr[0] == 0 and (np.diff(x.indptr) >= 0).all()
    assert x.indptr[-1] == x.indices.size == x.data.size
    assert x.nnz == 0 or (x.indices.min() >= 0 and x.indices.max() < DIM)
    assert np.isfinite(rows.y).all() or not labelled
    return rows


def decoder(data: bytes) -> str:
    """Decode framed records, whole and through a small buffer; return what came of it."""
    got = decode(data)
    if len(data) % 4 == 0:  # not always: it takes twice as long
        streamed = Decoder(DIM)
        try:
            size, recordio.BUFFER = recordio.BUFFER, 16
            for _ in streamed.read(io.BytesIO(data), "f"):
                pass
            again: Rows | str = streamed.rows()
        except DataError as error:
            again = str(error)
        finally:
            recordio.BUFFER = size
        if isinstance(got, str) or isinstance(again, str):
            assert got == again
        else:
            for a, b in ((got.x.data, again.x.data), (got.y, again.y)):
                assert a.tobytes() == b.tobytes()
            assert got.x.indices.tolist() == again.x.indices.tolist()
            assert got.x.indptr.tolist() == again.x.indptr.tolist()
    return got.split(":")[2] if isinstance(got, str) else "rows"


def requests(data: bytes) -> str:
    """Decode a request's body, by the content type that the first byte picks."""
    names = sorted(formats.DECODERS)
    name = names[data[0] % len(names)] if data else names[0]
    try:
        x = formats.decoder(name)(data[1:], DIM)
    except DataError as error:
        assert len(str(error)) < 600, error
        return f"{name}, refused"
    assert x.shape[1] == DIM and np.isfinite(x.data).all()
    return f"{name}, rows"


_META = b'{"training_parameters": {"feature_dim": "3", "predictor_type": "regressor"}}'


def model(data: bytes) -> str:
    """Read an artifact: the file itself, or params in one, as the first byte picks."""
    form, content = data[:1] or b"\0", data[1:]
    if form[0] % 2:
        raw = io.BytesIO()
        with zipfile.ZipFile(raw, "w") as archive:
            archive.writestr("meta.json", _META)
            archive.writestr("params", content)
        content = raw.getvalue()
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        path = Path(folder, "model_algo-1")
        path.write_bytes(content)
        try:
            parameters = artifact.read(path).parameters
        except ArtifactError as error:
            assert len(str(error)) < 1000, error
            return "refused"
    assert parameters.finite()
    return "model"


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


TARGETS = {"decoder": decoder, "requests": requests, "model": model}
