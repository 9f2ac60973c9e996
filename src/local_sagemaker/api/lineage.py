"""SageMaker's operations on the entities of lineage: artifacts, actions and contexts."""

from collections.abc import Mapping

from local_sagemaker.api.pagination import listing
from local_sagemaker.context import Caller, Context, arn
from local_sagemaker.errors import invalid, not_found
from local_sagemaker.storage import lineage
from local_sagemaker.storage.lineage import ACTION, ARTIFACT, CONTEXT, TITLES
from local_sagemaker.storage.records import Record

_MAX_PROPERTIES = 30
# The members that Update replaces, beside the properties.
_UPDATED: Mapping[str, tuple[str, ...]] = {
    ARTIFACT: ("ArtifactName",),
    ACTION: ("Description", "Status"),
    CONTEXT: ("Description",),
}


def create_artifact(context: Context, request: Record, caller: Caller) -> Record:
    """Create an artifact: a URI with a type and properties. A source has one artifact."""
    return _create(context, ARTIFACT, lineage.artifact_name(request["Source"]), request, caller)


def describe_artifact(context: Context, request: Record, caller: Caller) -> Record:
    """Return an artifact."""
    return _find(context, ARTIFACT, request["ArtifactArn"], caller)


def list_artifacts(context: Context, request: Record, _: Caller) -> Record:
    """Return the artifacts: all, of a source, or of a type."""
    return _list(context, ARTIFACT, request)


def update_artifact(context: Context, request: Record, caller: Caller) -> Record:
    """Change the name; properties are added, replaced by name, or removed."""
    return _update(context, ARTIFACT, request["ArtifactArn"], request, caller)


def delete_artifact(context: Context, request: Record, caller: Caller) -> Record:
    """Delete an artifact that the request names by its ARN or by its source."""
    reference, source = request.get("ArtifactArn"), request.get("Source")
    if (reference is None) == (source is None):
        raise invalid("DeleteArtifact takes either an ArtifactArn or a Source.")
    return _delete(context, ARTIFACT, reference or lineage.artifact_name(source or {}), caller)


def create_action(context: Context, request: Record, caller: Caller) -> Record:
    """Create an action: something that was done, for example the deployment of a model."""
    return _create(context, ACTION, request["ActionName"], request, caller)


def describe_action(context: Context, request: Record, caller: Caller) -> Record:
    """Return an action, by its name or its ARN."""
    return _find(context, ACTION, request["ActionName"], caller)


def list_actions(context: Context, request: Record, _: Caller) -> Record:
    """Return the actions: all, of a source, or of a type."""
    return _list(context, ACTION, request)


def update_action(context: Context, request: Record, caller: Caller) -> Record:
    """Change description, status and properties."""
    return _update(context, ACTION, request["ActionName"], request, caller)


def delete_action(context: Context, request: Record, caller: Caller) -> Record:
    """Delete an action that has no associations."""
    return _delete(context, ACTION, request["ActionName"], caller)


def create_context(context: Context, request: Record, caller: Caller) -> Record:
    """Create a context: a group of other entities, for example an endpoint."""
    return _create(context, CONTEXT, request["ContextName"], request, caller)


def describe_context(context: Context, request: Record, caller: Caller) -> Record:
    """Return a context, by its name or its ARN."""
    return _find(context, CONTEXT, request["ContextName"], caller)


def list_contexts(context: Context, request: Record, _: Caller) -> Record:
    """Return the contexts: all, of a source, or of a type."""
    return _list(context, CONTEXT, request)


def update_context(context: Context, request: Record, caller: Caller) -> Record:
    """Change description and properties."""
    return _update(context, CONTEXT, request["ContextName"], request, caller)


def delete_context(context: Context, request: Record, caller: Caller) -> Record:
    """Delete a context that has no associations."""
    return _delete(context, CONTEXT, request["ContextName"], caller)


def _create(context: Context, kind: str, name: str, request: Record, caller: Caller) -> Record:
    resource = arn(kind, name, caller.region)
    if not lineage.add(context.store, resource, request):
        raise invalid(f"{TITLES[kind]} '{resource}' already exists.")
    return {f"{TITLES[kind]}Arn": resource}


def _find(context: Context, kind: str, reference: str, caller: Caller) -> Record:
    """Return the entity that a name or an ARN refers to.

    Raises: ServiceError if there is none.
    """
    name = reference.rpartition("/")[2]
    record = context.store.get(kind, name)
    if record is None:
        raise not_found(f"{TITLES[kind]} '{arn(kind, name, caller.region)}' does not exist.")
    return record


def _list(context: Context, kind: str, request: Record) -> Record:
    title = TITLES[kind]
    uri, wanted = request.get("SourceUri"), request.get(f"{title}Type")
    records = [
        record
        for record in context.store.all(kind)
        if uri in (None, record["Source"]["SourceUri"]) and wanted in (None, record[f"{title}Type"])
    ]
    name = "ArtifactArn" if kind == ARTIFACT else f"{title}Name"
    return listing(f"List{title}s", records, request, name)


def _update(context: Context, kind: str, reference: str, request: Record, caller: Caller) -> Record:
    resource = _find(context, kind, reference, caller)[f"{TITLES[kind]}Arn"]
    removed = request.get("PropertiesToRemove") or ()

    def change(record: Record) -> Record:
        kept = {k: v for k, v in record["Properties"].items() if k not in removed}
        properties = {**kept, **request.get("Properties", {})}
        if len(properties) > _MAX_PROPERTIES:
            raise invalid(
                f"{TITLES[kind]} '{resource}' may have {_MAX_PROPERTIES} properties at most;"
                f" got {len(properties)}."
            )
        members = {name: request[name] for name in _UPDATED[kind] if name in request}
        return {**members, "Properties": properties}

    context.store.modify(*lineage.split(resource), change)
    return {f"{TITLES[kind]}Arn": resource}


def _delete(context: Context, kind: str, reference: str, caller: Caller) -> Record:
    resource = _find(context, kind, reference, caller)[f"{TITLES[kind]}Arn"]
    with context.store.together():
        if lineage.associations(context.store, resource):
            raise invalid(f"{TITLES[kind]} '{resource}' has associations and cannot be deleted.")
        context.store.remove(*lineage.split(resource))
    return {f"{TITLES[kind]}Arn": resource}
