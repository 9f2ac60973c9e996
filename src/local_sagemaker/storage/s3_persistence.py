"""S3 in the database: each change of moto's memory is written before its response is sent.

moto keeps buckets and objects in Python objects, and has no public way to load them. Their
attributes are encoded, whatever these are, and the same objects are created at a restart.
"""

import re
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.s3 import models
from moto.s3.exceptions import InvalidBucketName
from moto.s3.models import FakeBucket, FakeKey, FakeMultipart, S3Backend

from local_sagemaker.storage.database import Database, Transaction
from local_sagemaker.storage.s3_objects import Body, Keys, S3Encoder

_BUCKETS, _KEYS, _UPLOADS, _PARTS = "bucket", "key/", "upload/", "part/"  # collections
_DAMAGED = (ValueError, TypeError, LookupError, AttributeError)  # from a text that was changed
_BUCKET_NAME = re.compile(
    r"(?!xn--|sthree-|amzn-s3-demo-)(?!.*(\.\.|-s3alias$|--ol-s3$|\.mrap$|--x-s3$|--table-s3$))"
    r"(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
)


class S3Persistence:
    """Writes the changes of moto's S3 to the database, and restores S3 from it."""

    def __init__(self, database: Database):
        """Take the database, and observe which buckets and keys the requests use."""
        self._database = database
        self._encoder = S3Encoder(database)
        self.lock = threading.RLock()  # held while a request is executed and its changes written
        self._stored: dict[str, tuple[FakeBucket, str]] = {}  # with the text of the settings
        self._uploads: dict[str, set[str]] = {}  # the stored ones of a bucket
        self._used: set[tuple[str, str | None]] = set()  # buckets and keys, by this request
        models.__dict__["_VersionedKeyStore"] = Keys
        self._observe()

    def restore(self, progress: Callable[[str], None]) -> list[str]:
        """Restore buckets and objects, and call `progress` for each; return notes for the user."""
        count = 0
        for name, text in self._database.entries(_BUCKETS):
            progress(f"bucket {name}")
            try:
                count += self._load_bucket(name, text)
            except _DAMAGED as error:
                self._database.set_aside(_BUCKETS, name, repr(error))
        return [f"{count} S3 objects were restored"] if count else []

    def clear(self) -> None:
        """Forget the buckets that were stored; neither the database nor moto has them any more."""
        self._stored.clear()
        self._uploads.clear()

    def begin(self) -> None:
        """Forget what the requests before used."""
        self._used.clear()

    def save(self, reads: bool = False) -> None:
        """Write what has changed; at an error, put S3's memory back to what the database has.

        Args:
            reads: the request only reads, so that the settings of what it used are as they were.

        Raises: sqlite3.Error, OSError, TypeError.
        """
        with self.lock:
            buckets = _buckets()
            used = set() if reads else {entry for entry in self._used if entry[0] in buckets}
            used |= {(name, key) for name, b in buckets.items() for key in _keys(b).changed}
            used |= {(name, None) for name in buckets if name not in self._stored}
            used |= {(n, None) for n, (b, _) in self._stored.items() if buckets.get(n) is not b}
            names = {name for name, _ in used}
            if not used:
                return
            self._encoder.new.clear()
            try:
                with self._database.change() as transaction:
                    stored = {
                        name: self._write_bucket(transaction, name, buckets.get(name), used)
                        for name in names
                    }
            except Exception:
                self._reload(used)
                raise
            for key, body in self._encoder.new.values():
                key._value_buffer.close()
                setattr(key, "_value_buffer", body)  # noqa: B010 - of another type than moto's
            for name, bucket in stored.items():
                self._note_stored(name, bucket)

    def _write_bucket(
        self,
        transaction: Transaction,
        name: str,
        bucket: FakeBucket | None,
        used: Iterable[tuple[str, str | None]],
    ) -> tuple[FakeBucket, str] | None:
        """Write a bucket's changes; return the bucket with the text of its settings."""
        before, text = self._stored.get(name, (None, ""))
        if before is not None and bucket is not before:  # it was deleted
            text = ""
            transaction.remove(_BUCKETS, name)
            for collection in (_KEYS, _UPLOADS, _PARTS):
                transaction.remove(collection + name)
        if bucket is None:
            return None
        tags = models.s3_backends[bucket.account_id][bucket.partition].tagger.tags
        settings = self._encoder.dumps([bucket, tags.get(bucket.arn)])
        if settings != text:
            transaction.put(_BUCKETS, name, settings)
        for key in {key for bucket_name, key in used if bucket_name == name and key is not None}:
            versions = bucket.keys.getlist(key)
            if versions:
                arns = [version.arn for version in versions if isinstance(version, FakeKey)]
                entry = [versions, {arn: tags[arn] for arn in arns if arn in tags}]
                self._put(transaction, _KEYS + name, key, entry, versions)
            else:
                transaction.remove(_KEYS + name, key)
        self._write_uploads(transaction, bucket)
        return bucket, settings

    def _write_uploads(self, transaction: Transaction, bucket: FakeBucket) -> None:
        stored = self._uploads.get(bucket.name, set())
        for upload in stored - bucket.multiparts.keys():
            transaction.remove(_UPLOADS + bucket.name, upload)
            transaction.remove(f"{_PARTS}{bucket.name}/{upload}")
        for upload, content in bucket.multiparts.items():
            if upload not in stored:
                head = {**vars(content), "parts": {}, "partlist": []}
                transaction.put(_UPLOADS + bucket.name, upload, self._encoder.dumps(head))
            for number, part in content.parts.items():
                if not isinstance(part._value_buffer, Body):
                    collection = f"{_PARTS}{bucket.name}/{upload}"
                    self._put(transaction, collection, str(number), part, [part])

    def _put(
        self, transaction: Transaction, collection: str, name: str, entry: Any, keys: Iterable[Any]
    ) -> None:
        """Write an entry with the contents of its keys."""
        for key in keys:
            if isinstance(key, FakeKey) and not isinstance(key._value_buffer, Body):
                _ = key.etag  # moto computes it from the content, once
                identifier = transaction.add_body(key.value)
                self._encoder.new[id(key)] = key, Body(self._database, identifier)
        self._encoder.bodies = set()
        transaction.put(collection, name, self._encoder.dumps(entry), self._encoder.bodies)

    def _load_bucket(self, name: str, text: str) -> int:
        """Create a bucket from the database; return the number of its objects."""
        bucket, tags = self._encoder.loads(text)
        _check(bucket, FakeBucket)
        bucket.keys, bucket.multiparts = Keys(), models.MultipartDict()
        bucket.keys.load = lambda key, versions: self._load_key(bucket, key, versions)
        for key, versions in self._database.entries(_KEYS + name):
            dict.__setitem__(bucket.keys, key, versions)
        for upload, head in self._database.entries(_UPLOADS + name):
            content = self._encoder.create(FakeMultipart, self._encoder.loads(head))
            content.parts = {}
            for number, part in self._database.entries(f"{_PARTS}{name}/{upload}"):
                content.parts[int(number)] = _check(self._encoder.loads(part), FakeKey)
            content.partlist = sorted(content.parts)
            bucket.multiparts[upload] = content
        backend = models.s3_backends[bucket.account_id][bucket.partition]
        backend.tagger.tags.pop(bucket.arn, None)
        if tags is not None:
            backend.tagger.tags[bucket.arn] = tags
        backend.buckets[name] = bucket
        models.s3_backends.bucket_accounts[name] = (bucket.partition, bucket.account_id)
        self._note_stored(name, (bucket, text))
        return len(bucket.keys)

    def _load_key(self, bucket: FakeBucket, key: str, text: str) -> list[Any]:
        """Return the versions of a key."""
        try:
            versions, tags = self._encoder.loads(text)
            if not versions:
                raise ValueError("it has no versions")
            for version in versions:
                _check(version, FakeKey, models.FakeDeleteMarker)
            backend = models.s3_backends[bucket.account_id][bucket.partition]
            backend.tagger.tags.update(tags)
            return list(versions)
        except _DAMAGED as error:
            dict.__delitem__(bucket.keys, key)
            self._database.set_aside(_KEYS + bucket.name, key, repr(error))
            raise KeyError(key) from error

    def _reload(self, used: Iterable[tuple[str, str | None]]) -> None:
        """Put what a request used back to what the database has."""
        buckets = _buckets()
        for name, key in used:
            if (bucket := buckets.get(name)) and key is not None:
                tags = models.s3_backends[bucket.account_id][bucket.partition].tagger.tags
                for version in bucket.keys.getlist(key, []):
                    tags.pop(getattr(version, "arn", ""), None)
        stored = dict(self._database.entries(_BUCKETS))
        for name in {name for name, _ in used}:
            if bucket := buckets.get(name):
                for versions in dict.values(bucket.keys):
                    for version in versions if isinstance(versions, list) else ():
                        if isinstance(version, FakeKey):
                            version.dispose()
                del models.s3_backends[bucket.account_id][bucket.partition].buckets[name]
                models.s3_backends.bucket_accounts.pop(name, None)
            if name in stored:
                self._load_bucket(name, stored[name])

    def _note_stored(self, name: str, stored: tuple[FakeBucket, str] | None) -> None:
        if stored is None:
            self._stored.pop(name, None)
            self._uploads.pop(name, None)
            return
        self._stored[name] = stored
        self._uploads[name] = set(stored[0].multiparts)
        _keys(stored[0]).changed.clear()

    def _observe(self) -> None:
        """Let moto's S3 tell which buckets and keys it uses, and check the names of new buckets."""
        backend: Any = S3Backend
        get_bucket, get_object = backend.get_bucket, backend.get_object
        create_bucket = backend.create_bucket

        def observed_bucket(backend: S3Backend, bucket_name: str) -> Any:
            self._used.add((bucket_name, None))
            return get_bucket(backend, bucket_name)

        def observed_object(
            backend: S3Backend, bucket_name: str, key_name: str, *args: Any, **more: Any
        ) -> Any:
            self._used.add((bucket_name, key_name))
            return get_object(backend, bucket_name, key_name, *args, **more)

        def checked(backend: S3Backend, bucket_name: str, *args: Any, **more: Any) -> Any:
            if not _BUCKET_NAME.fullmatch(bucket_name):
                raise InvalidBucketName
            return create_bucket(backend, bucket_name, *args, **more)

        backend.get_bucket, backend.get_object = observed_bucket, observed_object
        backend.create_bucket = checked


def _check(value: Any, *classes: type) -> Any:
    """Return a value that was read. Raises: TypeError if it is of none of the classes."""
    if type(value) not in classes:
        raise TypeError(f"it is a {type(value).__name__}")
    return value


def _keys(bucket: FakeBucket) -> Keys:
    keys: Keys = bucket.keys  # type: ignore[assignment]
    return keys


def _buckets() -> dict[str, FakeBucket]:
    """Return all buckets in moto's memory."""
    return {
        name: bucket
        for account in list(models.s3_backends.values())
        for backend in list(account.values())
        for name, bucket in list(backend.buckets.items())
    }
