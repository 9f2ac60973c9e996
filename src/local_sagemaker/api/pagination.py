"""The filters, the order and the pages that all List operations of SageMaker share."""

import base64
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from local_sagemaker.api import validation
from local_sagemaker.errors import invalid
from local_sagemaker.storage.records import Record

_PAGE = 100  # without MaxResults; AWS's is 10, and a longer page saves round trips


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
    start = _start(request.get("NextToken"))
    end = start + (request.get("MaxResults") or _PAGE)
    title, shape = validation.summary_shape(operation)
    page = [validation.select(record, shape) for record in matches[start:end]]
    response: dict[str, Any] = {title: page}
    if end < len(matches):
        response["NextToken"] = base64.urlsafe_b64encode(str(end).encode()).decode()
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


def _time(value: Any) -> datetime.datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        return datetime.datetime.fromisoformat(value)
    return datetime.datetime.fromtimestamp(value, datetime.timezone.utc)


def _sortable(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    return "" if value is None else value


def _start(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token))
    except ValueError as error:
        raise invalid("The NextToken is not valid.") from error
