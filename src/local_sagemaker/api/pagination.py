"""What every List call of SageMaker has in common: filters, order, pages."""

import base64
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from local_sagemaker.api import validation
from local_sagemaker.api.errors import invalid
from local_sagemaker.storage.records import Record

_PAGE = 100  # where the caller names no MaxResults, more than AWS's 10 to spare round trips


def listing(
    operation: str,
    records: Sequence[Record],
    request: Mapping[str, Any],
    name: str,
    status: str | None = None,
) -> dict[str, Any]:
    """Return the answer of a List call.

    Args:
        operation: its name.
        records: all of the kind.
        request: the caller's filters.
        name: the member that holds a record's name.
        status: the member that holds its status, where there is one.
    """
    found = [one for one in records if _wanted(one, request, name, status)]
    sort_by = request.get("SortBy", "CreationTime")
    key = {"Name": name, "Status": status}.get(sort_by, sort_by)
    default = "Ascending" if sort_by == "Name" else "Descending"
    found.sort(
        key=lambda one: _sortable(one.get(key or "CreationTime")),
        reverse=request.get("SortOrder", default) == "Descending",
    )
    start = _start(request.get("NextToken"))
    count = request.get("MaxResults") or _PAGE
    title, shape = validation.summary_shape(operation)
    page = [validation.fitting(one, shape) for one in found[start : start + count]]
    answer: dict[str, Any] = {title: page}
    if start + count < len(found):
        answer["NextToken"] = base64.urlsafe_b64encode(str(start + count).encode()).decode()
    return answer


def _wanted(one: Record, request: Mapping[str, Any], name: str, status: str | None) -> bool:
    if request.get("NameContains", "").lower() not in one[name].lower():
        return False
    if status and request.get("StatusEquals") and one.get(status) != request["StatusEquals"]:
        return False
    for member in ("CreationTime", "LastModifiedTime"):
        at = one.get(member)
        after, before = (_when(request.get(member + word)) for word in ("After", "Before"))
        if (after and at and at < after) or (before and at and at > before):
            return False
    return True


def _when(value: Any) -> datetime.datetime | None:
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
        raise invalid("The NextToken is not one that this service gave.") from error
