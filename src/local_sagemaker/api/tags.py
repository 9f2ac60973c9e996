"""Tags of SageMaker's resources."""

from typing import Any

from local_sagemaker.context import Caller, Context
from local_sagemaker.errors import invalid
from local_sagemaker.storage.records import Record

_MAX_TAGS = 50
KINDS = (
    *("training-job", "model", "endpoint-config", "endpoint"),
    *("transform-job", "processing-job", "hyper-parameter-tuning-job"),
    *("experiment", "experiment-trial", "experiment-trial-component", "artifact"),
    *("model-package", "model-package-group", "action", "context", "pipeline"),
)


def add_tags(context: Context, request: Record, _: Caller) -> Record:
    """Add tags; a tag with the same key is replaced."""
    added = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    return {"Tags": _save(context, request, {**_tags(context, request), **added})}


def list_tags(context: Context, request: Record, _: Caller) -> Record:
    """Return the tags; all fit one page."""
    if "NextToken" in request:
        raise invalid("The NextToken is not valid for this request.")
    return {"Tags": _entries(_tags(context, request))}


def delete_tags(context: Context, request: Record, _: Caller) -> Record:
    """Remove tags by their keys."""
    tags = _tags(context, request)
    _save(context, request, {k: v for k, v in tags.items() if k not in request["TagKeys"]})
    return {}


def resource(request: Record) -> tuple[str, str]:
    """Return kind and name of the resource that a request's ARN names."""
    kind, _, name = str(request.get("ResourceArn", "")).rpartition(":")[2].partition("/")
    return kind, name


def _tags(context: Context, request: Record) -> dict[str, str]:
    kind, name = resource(request)
    record = context.store.get(kind, name) if kind in KINDS else None
    if record is None or request["ResourceArn"] not in record.values():
        raise invalid(f"Could not find the resource {request['ResourceArn']!r}.")
    return {tag["Key"]: tag["Value"] for tag in record.get("Tags") or ()}


def _save(context: Context, request: Record, tags: dict[str, str]) -> list[dict[str, Any]]:
    if len(tags) > _MAX_TAGS:
        raise invalid(f"A resource may have {_MAX_TAGS} tags at most; got {len(tags)}.")
    entries = _entries(tags)
    context.store.update(*resource(request), Tags=entries)
    return entries


def _entries(tags: dict[str, str]) -> list[dict[str, Any]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
