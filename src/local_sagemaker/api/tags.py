"""Tags of the resources that this service keeps itself."""

from typing import Any

from local_sagemaker.context import Caller, Context
from local_sagemaker.storage.records import Record


class Tags:
    """AddTags, ListTags and DeleteTags; a resource that is not ours is moto's."""

    def __init__(self, context: Context, kinds: tuple[str, ...]):
        """Take the kinds of the resources that are ours."""
        self._store, self._kinds = context.store, kinds

    def is_ours(self, request: Record) -> bool:
        """Return whether the resource of a request is one of ours."""
        kind, name = _parts(request)
        return kind in self._kinds and self._store.get(kind, name) is not None

    def add_tags(self, request: Record, _: Caller) -> Record:
        """Add tags; one of the same key is replaced."""
        kind, name = _parts(request)
        new = {one["Key"]: one["Value"] for one in request["Tags"]}
        return {"Tags": self._keep(kind, name, {**self._tags(kind, name), **new})}

    def list_tags(self, request: Record, _: Caller) -> Record:
        """Return the tags."""
        return {"Tags": _listed(self._tags(*_parts(request)))}

    def delete_tags(self, request: Record, _: Caller) -> Record:
        """Remove tags by their keys."""
        kind, name = _parts(request)
        left = {k: v for k, v in self._tags(kind, name).items() if k not in request["TagKeys"]}
        self._keep(kind, name, left)
        return {}

    def _tags(self, kind: str, name: str) -> dict[str, str]:
        record = self._store.get(kind, name) or {}
        return {one["Key"]: one["Value"] for one in record.get("Tags") or ()}

    def _keep(self, kind: str, name: str, tags: dict[str, str]) -> list[dict[str, Any]]:
        listed = _listed(tags)
        self._store.update(kind, name, Tags=listed)
        return listed


def _listed(tags: dict[str, str]) -> list[dict[str, Any]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _parts(request: Record) -> tuple[str, str]:
    kind, _, name = str(request.get("ResourceArn", "")).rpartition(":")[2].partition("/")
    return kind, name
