"""moto's buckets and objects as text, and the parts of them that are read when they are needed."""

import threading
from collections.abc import Callable, MutableMapping
from typing import Any

from moto.s3 import models
from moto.s3.models import FakeBucket, FakeKey
from moto.s3.utils import _VersionedKeyStore
from moto.utilities.utils import LowercaseDict
from requests.structures import CaseInsensitiveDict

from local_sagemaker.account import ACCOUNT, REGION
from local_sagemaker.storage.database import Database
from local_sagemaker.storage.encoding import Encoder

_CLASSES = (
    *(FakeBucket, FakeKey, models.FakeDeleteMarker, models.FakeMultipart),
    *(models.FakeAcl, models.FakeGrant, models.FakeGrantee, models.CorsRule),
    *(models.LifecycleRule, models.LifecycleFilter, models.LifecycleAndFilter),
    *(models.LifecycleTransition, models.LifeCycleNoncurrentVersionTransition),
    *(models.Notification, models.NotificationConfiguration, models.PublicAccessBlock),
    *(models.FakeBucketInventoryConfiguration, CaseInsensitiveDict, LowercaseDict),
)


class Body:
    """The content of a stored object, in the place of moto's temporary file; read when needed."""

    def __init__(self, database: Database, identifier: str):
        """Take the identifier of a body in the database."""
        self._database, self.identifier = database, identifier

    def seek(self, _: int) -> None:
        """Do nothing: moto reads a content from its start."""

    def read(self) -> bytes:
        """Return the content."""
        return self._database.body(self.identifier)

    def close(self) -> None:
        """Do nothing: the database removes the content."""


class Keys(_VersionedKeyStore):
    """A bucket's objects: a text of the database until they are needed, and a set of changes."""

    load: Callable[[str, str], list[Any]]  # assigned for a bucket that has such texts

    def __init__(self) -> None:
        """Create an empty bucket's objects."""
        super().__init__()
        self.changed: set[str] = set()

    def __sgetitem__(self, key: str) -> list[Any]:
        stored: str | list[Any] = dict.__getitem__(self, key)
        if isinstance(stored, list):
            return stored
        versions = self.load(key, stored)
        dict.__setitem__(self, key, versions)
        return versions

    def __setitem__(self, key: str, value: Any) -> None:
        self.changed.add(key)
        super().__setitem__(key, value)

    def setlist(self, key: Any, list_: Any) -> None:
        """Replace the versions of a key."""
        self.changed.add(key)
        super().setlist(key, list_)

    def pop(self, key: str) -> None:  # type: ignore[override]
        """Remove a key."""
        self.changed.add(key)
        super().pop(key)


class S3Encoder(Encoder):
    """Encodes moto's objects of S3 by their attributes; what moto adds to these is among them."""

    def __init__(self, database: Database):
        """Take the database that has the bodies."""
        super().__init__((*_CLASSES, Body))
        self._database = database
        self.new: dict[int, tuple[FakeKey, Body]] = {}  # by id: written, and not yet durable
        self.bodies: set[str] = set()  # to which the text that is being encoded refers
        key = FakeKey("", b"", ACCOUNT, REGION)
        self._defaults = dict(vars(key))
        del self._defaults["_value_buffer"], self._defaults["lock"]
        key.dispose()
        self._defaults["disposed"] = True  # a restored key has no temporary file

    def attributes(self, instance: Any) -> dict[str, Any]:
        """Return what is stored of an instance."""
        attributes = dict(vars(instance))
        if isinstance(instance, FakeBucket):
            del attributes["keys"], attributes["multiparts"]
        elif isinstance(instance, Body):
            self.bodies.add(instance.identifier)
            return {"identifier": instance.identifier}
        elif isinstance(instance, FakeKey):
            del attributes["lock"], attributes["disposed"]
            if new := self.new.get(id(instance)):
                attributes["_value_buffer"] = new[1]
            return {k: v for k, v in attributes.items() if not self._is_default(k, v)}
        return attributes

    def create(self, cls: type, attributes: dict[str, Any]) -> Any:
        """Create an instance."""
        if cls is Body:
            return Body(self._database, attributes["identifier"])
        instance: Any = object.__new__(cls)  # moto's own __new__ keeps each instance for ever
        if cls is FakeKey:
            instance.__dict__.update(self._defaults, lock=threading.Lock())
        instance.__dict__.update(attributes)
        return instance

    def _is_default(self, name: str, value: Any) -> bool:
        """Return whether moto's new keys have this value, and instances can share it."""
        if name not in self._defaults or isinstance(value, MutableMapping):
            return False
        default = self._defaults[name]
        if isinstance(value, models.FakeAcl):
            return self.dumps(value) == self.dumps(default)
        return bool(type(value) is type(default) and value == default)
