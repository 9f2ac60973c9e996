"""The filters, the order and the pages that all List operations of SageMaker share."""

import base64
import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from local_sagemaker.api import validation
from local_sagemaker.errors import invalid
from local_sagemaker.storage.records import Record

_PAGE = 10  # without MaxResults, as on AWS


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
    query = _digest(request)
    start = _start(request.get("NextToken"), query)
    end = start + (request.get("MaxResults") or _PAGE)
    title, shape = validation.summary_shape(operation)
    page = [validation.select(record, shape) for record in matches[start:end]]
    response: dict[str, Any] = {title: page}
    if end < len(matches):
        response["NextToken"] = base64.urlsafe_b64encode(f"{end}:{query}".encode()).decode()
    return response


def _matches(record: Record, request: Mapping[str, Any], name: str, status: str | None) -> bool:
    if request.get("NameContains", "").lower() not in record[name].lower():
        return False
    if status and request.get("StatusEquals") and record.get(status) != request["StatusEquals"]:
        return False
    for member in ("CreationTime", "LastModifiedTime"):
        at = record.get(member)
        after, before = (_time(request.get(member + word)) for word in ("After", "Before"))
        if (after and at and at < after) or (before and at and at > before):
            return False
    return True


def _time(seconds: float | None) -> datetime.datetime | None:
    if seconds is None:
        return None
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)


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
