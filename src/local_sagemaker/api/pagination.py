"""The filters, the order and the pages that all List operations of SageMaker share."""

import base64
import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.utils import parse_timestamp

from local_sagemaker.api import validation
from local_sagemaker.errors import invalid
from local_sagemaker.storage.records import Record

_PAGE = 10  # without MaxResults, as on AWS
_TIMES = (  # the member of a record, and how the request's members for it begin
    ("CreationTime", "CreationTime"),
    ("CreationTime", "Created"),
    ("LastModifiedTime", "LastModifiedTime"),
)


def listing(
    operation: str,
    records: Sequence[Record],
    request: Mapping[str, Any],
    name: str,
    status: str | None = None,
) -> dict[str, Any]:
    """Return the response of a List operation.

    Args:
        operation: its name.
        records: all records of the kind.
        request: the caller's filters.
        name: the member that holds a record's name.
        status: the member that holds its status, if it has one.
    """
    matches = [record for record in records if _matches(record, request, name, status)]
    sort_by = request.get("SortBy", "CreationTime")
    key = {"Name": name, "Status": status}.get(sort_by, sort_by)
    default = "Ascending" if sort_by == "Name" else "Descending"
    matches.sort(
        key=lambda record: _sortable(record.get(key or "CreationTime")),
        reverse=request.get("SortOrder", default) == "Descending",
    )
    title, shape = validation.summary_shape(operation)
    chosen, token = page(matches, request, _PAGE)
    return {title: [validation.select(record, shape) for record in chosen], **token}


def page(
    records: Sequence[Record], request: Mapping[str, Any], size: int
) -> tuple[Sequence[Record], dict[str, str]]:
    """Return the page of sorted records that a request asks for, and the NextToken after it.

    Args:
        records: all records that match.
        request: its MaxResults and NextToken choose the page.
        size: the records of a page without MaxResults.
    """
    query = _digest(request)
    start = _start(request.get("NextToken"), query)
    end = start + (request.get("MaxResults") or size)
    if end >= len(records):
        return records[start:end], {}
    token = base64.urlsafe_b64encode(f"{end}:{query}".encode()).decode()
    return records[start:end], {"NextToken": token}


def _matches(record: Record, request: Mapping[str, Any], name: str, status: str | None) -> bool:
    if request.get("NameContains", "").lower() not in record[name].lower():
        return False
    if status and request.get("StatusEquals") and record.get(status) != request["StatusEquals"]:
        return False
    for member, prefix in _TIMES:
        at = record.get(member)
        after, before = (timestamp(request.get(prefix + word)) for word in ("After", "Before"))
        if (after and at and at < after) or (before and at and at > before):
            return False
    return True


def timestamp(value: Any) -> datetime.datetime | None:
    """Return the time that a request's member holds: seconds since 1970, or ISO 8601.

    Raises: ServiceError if it is neither.
    """
    if value is None:
        return None
    try:
        at: datetime.datetime = parse_timestamp(value)
    except (ValueError, RuntimeError) as error:
        raise invalid(f"{value!r} is not a time in ISO 8601, as 2026-01-31T23:59:59.") from error
    return at if at.tzinfo else at.replace(tzinfo=datetime.timezone.utc)


def _sortable(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    return "" if value is None else value


def _digest(request: Mapping[str, Any]) -> str:
    """Return a digest of the filters and the order, for which alone a NextToken is valid."""
    query = {k: v for k, v in request.items() if k not in ("NextToken", "MaxResults")}
    return hashlib.sha256(json.dumps(query, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _start(token: str | None, query: str) -> int:
    if token is None:
        return 0
    try:
        offset, _, digest = base64.urlsafe_b64decode(token).decode().partition(":")
        if digest == query:
            return int(offset)
    except ValueError:
        pass
    raise invalid("The NextToken is not valid for this request.")
