"""SageMaker's operations on lineage artifacts and on associations, as records."""

import hashlib
import uuid

from local_sagemaker.api.pagination import listing
from local_sagemaker.context import Caller, Context, arn
from local_sagemaker.errors import invalid, not_found
from local_sagemaker.storage.records import Record, now

ARTIFACT, _ASSOCIATION = "artifact", "association"
_ENDS = ("Source", "Destination")


def create_artifact(context: Context, request: Record, caller: Caller) -> Record:
    """Create an artifact: a URI with a type and properties."""
    name = uuid.uuid4().hex
    resource = arn(ARTIFACT, name, caller.region)
    record = {
        "CreatedBy": {},
        "LastModifiedBy": {},
        "Properties": {},
        **request,
        "ArtifactArn": resource,
        "CreationTime": now(),
    }
    context.store.add(ARTIFACT, name, record)
    return {"ArtifactArn": resource}


def describe_artifact(context: Context, request: Record, _: Caller) -> Record:
    """Return an artifact."""
    return _artifact(context, request["ArtifactArn"])


def list_artifacts(context: Context, request: Record, _: Caller) -> Record:
    """Return the artifacts: all, of a source, or of a type."""
    uri, kind = request.get("SourceUri"), request.get("ArtifactType")
    records = [
        record
        for record in context.store.all(ARTIFACT)
        if uri in (None, record["Source"]["SourceUri"]) and kind in (None, record["ArtifactType"])
    ]
    return listing("ListArtifacts", records, request, "ArtifactArn")


def update_artifact(context: Context, request: Record, _: Caller) -> Record:
    """Change the name; properties are added, replaced by name, or removed."""
    resource, removed = request["ArtifactArn"], request.get("PropertiesToRemove") or ()
    _artifact(context, resource)

    def change(record: Record) -> Record:
        kept = {k: v for k, v in record["Properties"].items() if k not in removed}
        name = request.get("ArtifactName", record.get("ArtifactName"))
        return {"ArtifactName": name, "Properties": {**kept, **request.get("Properties", {})}}

    context.store.modify(ARTIFACT, _name(resource), change)
    return {"ArtifactArn": resource}


def delete_artifact(context: Context, request: Record, _: Caller) -> Record:
    """Delete an artifact that the request names by its ARN or by its source."""
    resource, source = request.get("ArtifactArn"), request.get("Source")
    if (resource is None) == (source is None):
        raise invalid("DeleteArtifact takes either an ArtifactArn or a Source.")
    if resource is None:
        found = [r for r in context.store.all(ARTIFACT) if r["Source"] == source]
        if len(found) != 1:
            raise not_found(f"{len(found)} artifacts have the Source {source}; one is needed.")
        resource = found[0]["ArtifactArn"]
    _artifact(context, resource)
    if any(resource in _ends(each) for each in context.store.all(_ASSOCIATION)):
        raise invalid(f"Artifact '{resource}' has associations and cannot be deleted.")
    context.store.remove(ARTIFACT, _name(resource))
    return {"ArtifactArn": resource}


def add_association(context: Context, request: Record, _: Caller) -> Record:
    """Associate two entities, for example a trial component with an artifact that it produced."""
    record: Record = {**request, "CreatedBy": {}, "CreationTime": now()}
    for end in _ENDS:
        entity = _entity(context, request[f"{end}Arn"])
        record |= {f"{end}{member}": value for member, value in entity.items()}
    if not context.store.add(_ASSOCIATION, _key(request), record):
        raise invalid(f"An association from {' to '.join(_ends(request))} already exists.")
    return request


def list_associations(context: Context, request: Record, _: Caller) -> Record:
    """Return the associations, filtered by their ends and types."""
    members = ("SourceArn", "DestinationArn", "SourceType", "DestinationType", "AssociationType")
    wanted = {member: request[member] for member in members if member in request}
    records = [
        record
        for record in context.store.all(_ASSOCIATION)
        if all(record.get(member) == value for member, value in wanted.items())
    ]
    return listing("ListAssociations", records, request, "SourceArn")


def delete_association(context: Context, request: Record, _: Caller) -> Record:
    """Delete an association."""
    if context.store.get(_ASSOCIATION, _key(request)) is None:
        raise not_found(f"There is no association from {' to '.join(_ends(request))}.")
    context.store.remove(_ASSOCIATION, _key(request))
    return request


def _artifact(context: Context, resource: str) -> Record:
    record = context.store.get(ARTIFACT, _name(resource))
    if record is None:
        raise not_found(f"Artifact '{resource}' does not exist.")
    return record


def _entity(context: Context, resource: str) -> Record:
    """Return Name and Type of an entity.

    Raises: ServiceError if there is none, or the service does not keep its kind.
    """
    kind = resource.split(":", 5)[5].partition("/")[0]
    record = context.store.get(kind, _name(resource))
    if record is None:
        raise not_found(f"There is no {kind} '{resource}' to associate.")
    if kind == ARTIFACT:
        return {"Name": record.get("ArtifactName"), "Type": record["ArtifactType"]}
    source = record.get("Source") or {}
    return {"Name": _name(resource), "Type": source.get("SourceType")}


def _ends(record: Record) -> tuple[str, str]:
    return record["SourceArn"], record["DestinationArn"]


def _key(request: Record) -> str:
    """Return the name of an association's record: its ends are too long for a file's name."""
    return hashlib.sha256(" ".join(_ends(request)).encode()).hexdigest()[:32]


def _name(resource: str) -> str:
    return resource.rpartition("/")[2]
