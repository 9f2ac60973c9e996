"""What hostile bytes are given to, and what must hold of it: a result, or an error of our own.

Each target takes any bytes at all. It raises AssertionError, or an error that is not ours, where
what it promises does not hold.
"""

import ctypes
import functools
import io
import mmap
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from moto.s3 import models

from factorization_machines import artifact
from factorization_machines.errors import ArtifactError, DataError
from factorization_machines.recordio import decoder as decoder_module
from factorization_machines.recordio import record
from factorization_machines.recordio.decoder import Decoder
from local_sagemaker.account import ACCOUNT
from local_sagemaker.errors import LocalError
from local_sagemaker.storage import objects
from local_sagemaker.storage.database import Database
from local_sagemaker.storage.records import Store, now
from local_sagemaker.storage.s3_persistence import S3Persistence
from sagemaker_container.serving.content_types import negotiation

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


def _sound(decoder: Decoder, size: int) -> None:
    """Assert of a decoder's arrays what the engines rely on."""
    rows, nnz = len(decoder), int(decoder._state[record.NNZ])
    keys, ends = decoder._keys[:nnz], decoder._indptr[: rows + 1]
    # A record with an error may have left non-zeros that no row has.
    assert rows <= size // 8 and ends[0] == 0 and ends[-1] <= nnz <= size
    assert rows == 0 or int((ends[1:] - ends[:-1]).min()) >= 0
    assert nnz == 0 or (int(keys.min()) >= 0 and int(keys.max()) < DIM)
    # What a record may have at the most, and what the arrays grow by.
    assert decoder._keys.nbytes + decoder._indptr.nbytes <= 20 * size + 4096


def _whole(data: bytes) -> Decoder | str:
    decoder = Decoder(DIM)
    try:
        decoder.feed(_guarded.put(data), "f")
    except DataError as error:
        message = str(error)
        assert message.startswith("f: record ") and len(message) < 300
        return message
    finally:
        _sound(decoder, len(data))
    return decoder


def _streamed(data: bytes) -> Decoder | str:
    """Decode through a buffer that is smaller than a record."""
    decoder = Decoder(DIM)
    size, decoder_module.BUFFER = decoder_module.BUFFER, 16
    try:
        for _ in decoder.read(io.BytesIO(data), "f"):
            pass
    except DataError as error:
        return str(error)
    finally:
        decoder_module.BUFFER = size
    return decoder


def decoder(data: bytes) -> str:
    """Decode framed records; return what came of it. One in eight also goes by a stream."""
    got = _whole(data)
    if len(data) % 8 == 0:
        again = _streamed(data)
        if isinstance(got, str) or isinstance(again, str):
            assert got == again
        else:
            a, b = got.rows(), again.rows()
            for one, other in ((a.x.data, b.x.data), (a.y, b.y), (a.x.indices, b.x.indices)):
                assert one.tobytes() == other.tobytes()
            assert a.x.indptr.tolist() == b.x.indptr.tolist()
            assert a.x.nnz == a.x.indptr[-1] and a.x.has_canonical_format and np.isfinite(a.y).all()
    return got.split(":")[2] if isinstance(got, str) else "rows"


def requests(data: bytes) -> str:
    """Decode a request's body, by the content type that the first byte picks."""
    names = sorted(negotiation.DECODERS)
    name = names[data[0] % len(names)] if data else names[0]
    try:
        rows = negotiation.DECODERS[name](data[1:], DIM)
    except DataError as error:
        assert len(str(error)) < 600, error
        return f"{name}, refused"
    assert rows.indptr[0] == 0 and rows.indptr[-1] == rows.keys.size == rows.values.size
    assert ((rows.keys >= 0) & (rows.keys < DIM)).all() and np.isfinite(rows.values).all()
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


def address(data: bytes) -> str:
    """Split an S3 address, and place a key below it, which is all after the first line."""
    uri, _, key = data.decode(errors="surrogateescape").partition("\n")
    try:
        bucket, prefix = objects.split_uri(uri)
    except LocalError as error:
        assert len(str(error)) < 8 * len(data) + 99
        return "refused"
    assert uri.startswith(f"s3://{bucket}") and uri.endswith(prefix)
    assert 0 < len(bucket) <= 255 and not set(bucket) & set("/?#@:[]% ")
    folder = Path("/folder")
    try:
        path = folder / objects.below(folder, prefix, prefix + key)
    except LocalError:
        return "outside"
    assert path.is_relative_to(folder) and ".." not in path.parts
    return "inside"


class StateFolder:
    """A database of which the fuzzer writes one entry, and which is then restored."""

    def __init__(self) -> None:
        folder = tempfile.TemporaryDirectory(dir=_memory())
        self._folder = folder  # removed with this object
        self.database = Database(Path(folder.name))
        self.database._connection.execute("PRAGMA synchronous = OFF")
        self.s3 = S3Persistence(self.database)
        self.written = self._written()

    def _written(self) -> list[tuple[str, str]]:
        """Return the entries of a bucket with an object and an upload, and of a record."""
        models.s3_backends.reset()
        backend = models.s3_backends[ACCOUNT]["aws"]
        backend.create_bucket("good", "us-east-1")
        backend.put_object("good", "name", b"1")
        upload = backend.create_multipart_upload("good", "k", {}, "STANDARD", {}, None, "", "")
        backend.upload_part("good", upload.id, 1, b"2")
        self.s3.save()
        Store(self.database).add("job", "name", {"CreationTime": now(), "a": [1.5, {"@": None}]})
        rows = self.database._connection.execute("SELECT collection, value FROM entries").fetchall()
        self._empty()
        return rows

    def _empty(self) -> None:
        models.s3_backends.reset()
        for table in ("entries", "damaged"):
            self.database._connection.execute(f"DELETE FROM {table}")

    def restore(self, collection: str, text: str) -> str:
        """Restore what has this entry; return whether it was taken or set aside."""
        self.database.notes.clear()
        if collection not in ("bucket", "record/job"):
            self._put("bucket", "good", dict(self.written)["bucket"])
        if collection.startswith("part/"):
            self._put("upload/good", "name", dict(self.written)["upload/good"])
        self._put(collection, "1" if collection.startswith("part/") else "name", text)
        for job in Store(self.database).all("job"):
            assert job["CreationTime"] is not None
        self.s3.restore(lambda _: None)
        for bucket in models.s3_backends[ACCOUNT]["aws"].buckets.values():
            for key in list(bucket.keys):
                bucket.keys.getlist(key, [])
        self._empty()
        return "set aside" if self.database.notes else "restored"

    def _put(self, collection: str, name: str, text: str) -> None:
        with self.database.change() as transaction:
            transaction.put(collection, name, text)


COLLECTIONS = ("record/job", "bucket", "key/good", "upload/good", "part/good/name")


def state(data: bytes) -> str:
    """Restore a state folder with one odd entry, of the kind that the first byte picks."""
    collection = COLLECTIONS[data[0] % len(COLLECTIONS)] if data else "bucket"
    text = data[1:].decode(errors="replace")
    return f"{collection} {state_folder().restore(collection, text)}"


@functools.cache
def state_folder() -> StateFolder:
    """Return the state folder of this process."""
    return StateFolder()


TARGETS = {
    **{"decoder": decoder, "requests": requests, "model": model},
    **{"address": address, "state": state},
}
