"""Checks requests, and shapes responses, by botocore's models of the SageMaker services."""

import datetime
import functools
import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel

from local_sagemaker.errors import invalid

_FLOAT = ((int, float), -sys.float_info.max, sys.float_info.max)
_NUMBERS: dict[str, tuple[Any, float, float]] = {  # Python's types, and the range
    "integer": (int, -(2**31), 2**31 - 1),
    "long": (int, -(2**63), 2**63 - 1),
    "float": _FLOAT,
    "double": _FLOAT,
    "timestamp": ((int, float), 0, 253402300799),  # seconds since 1970, to the end of 9999
}
UNKNOWN = object()  # a value that is not checked, because it is not known yet
_TAG = "_.:/=+-@"  # allowed in tags, beside letters, numbers and spaces
SERVICES = ("sagemaker", "sagemaker-runtime", "sagemaker-metrics")


@functools.cache
def model(service: str = "sagemaker") -> Any:
    """Return botocore's model of a service."""
    # Not through a session, which would need the profile that the environment names.
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def shapes(operation: str) -> tuple[Any | None, Any | None]:
    """Return the input and the output shape of an operation; None for what it does not have."""
    for service in SERVICES:
        if operation in model(service).operation_names:
            operation_model = model(service).operation_model(operation)
            return operation_model.input_shape, operation_model.output_shape
    return None, None


def check(operation: str, request: Mapping[str, Any]) -> None:
    """Raise a ValidationException, with AWS's text, if the request does not fit its shape."""
    shape, _ = shapes(operation)
    problems = [] if shape is None else list(_problems(request, shape, ""))
    if not problems and "Tags" in request:
        problems = list(_tag_problems(request["Tags"] or ()))
    if problems:
        count = len(problems)
        errors = "error" if count == 1 else "errors"
        raise invalid(f"{count} validation {errors} detected: {'; '.join(problems)}")


def known(operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checked request without nulls and without members that its shape does not have."""
    shape, _ = shapes(operation)
    return {} if shape is None else _known(request, shape)


def _known(value: Any, shape: Any) -> Any:
    if shape.type_name == "list":
        return [_known(member, shape.member) for member in value]
    if shape.type_name == "map":
        return {key: _known(member, shape.value) for key, member in value.items()}
    if shape.type_name != "structure":
        return value
    members = shape.members
    return {
        name: _known(member, members[name])
        for name, member in value.items()
        if name in members and member is not None
    }


def _tag_problems(tags: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Yield what is wrong with tags beyond their shape."""
    keys = [tag["Key"] for tag in tags]
    for key in sorted({key for key in keys if keys.count(key) > 1}):
        yield _text(key, "tags", "Tag keys must be unique")
    for key in keys:
        if key.lower().startswith("aws:"):
            yield _text(key, "tags", "Tag keys that start with aws: are reserved for system use")
    for text in (text for tag in tags for text in (tag["Key"], tag["Value"])):
        # The classes of the pattern in botocore's model, which Python's expressions do not have.
        if wrong := [c for c in text if unicodedata.category(c)[0] not in "LZN" and c not in _TAG]:
            yield _text(text, "tags", f"Member must not have the character {wrong[0]!r}")


def response(operation: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return those members of a record that the operation's response has."""
    _, shape = shapes(operation)
    return {} if shape is None else select(record, shape)


def select(record: Mapping[str, Any], shape: Any) -> dict[str, Any]:
    """Return those members of a record that a structure has."""
    return {name: record[name] for name in shape.members if record.get(name) is not None}


def summary_shape(operation: str) -> tuple[str, Any]:
    """Return the name of the list in a List operation's response, and the shape of its entries."""
    members = model().operation_model(operation).output_shape.members
    name, shape = next((n, s) for n, s in members.items() if s.type_name == "list")
    return name, shape.member


def jsonable(value: Any) -> Any:
    """Return a value as AWS's JSON protocol writes it: a time is seconds since 1970."""
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    if isinstance(value, Mapping):
        return {key: jsonable(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(member) for member in value]
    return value


def _problems(value: Any, shape: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    if value is UNKNOWN:
        return
    if kind in ("structure", "map", "list"):
        expected = list if kind == "list" else Mapping
        if not isinstance(value, expected):
            yield _text(value, path, f"Member must be a {kind}")
        else:
            yield from _CONTAINERS[kind](value, shape, path)
    elif kind == "string":
        yield from _string(value, shape, path)
    elif kind in _NUMBERS:
        types, least, greatest = _NUMBERS[kind]
        # The comparison is false for NaN, too.
        if isinstance(value, bool) or not (isinstance(value, types) and least <= value <= greatest):
            yield _text(value, path, f"Member must be of type {kind}")
        else:
            yield from _size(value, value, shape, path, "value")
    elif kind == "boolean" and not isinstance(value, bool):
        yield _text(value, path, "Member must be a boolean")


def _structure(value: Mapping[str, Any], shape: Any, path: str) -> Iterator[str]:
    for name in shape.required_members:
        if value.get(name) is None:
            yield _text(None, f"{path}.{name}", "Member must not be null")
    for name, member in value.items():
        if name in shape.members and member is not None:
            yield from _problems(member, shape.members[name], f"{path}.{name}")


def _list(value: list[Any], shape: Any, path: str) -> Iterator[str]:
    yield from _size(len(value), value, shape, path, "length")
    for index, member in enumerate(value, 1):
        yield from _problems(member, shape.member, f"{path}.{index}.member")


def _map(value: Mapping[str, Any], shape: Any, path: str) -> Iterator[str]:
    yield from _size(len(value), value, shape, path, "length")
    for key, member in value.items():
        yield from _problems(key, shape.key, f"{path}.{key}.key")
        yield from _problems(member, shape.value, f"{path}.{key}.member")


_CONTAINERS: dict[str, Any] = {"structure": _structure, "list": _list, "map": _map}


def _string(value: Any, shape: Any, path: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield _text(value, path, "Member must be a string")
        return
    if any("\ud800" <= character <= "\udfff" for character in value):
        yield _text(ascii(value), path, "Member must be valid Unicode")
    if shape.enum and value not in shape.enum:
        allowed = ", ".join(shape.enum)
        yield _text(value, path, f"Member must satisfy enum value set: [{allowed}]")
    yield from _size(len(value), value, shape, path, "length")
    pattern = shape.metadata.get("pattern")
    if pattern and (compiled := _compiled(pattern)) and not compiled.fullmatch(value):
        yield _text(value, path, f"Member must satisfy regular expression pattern: {pattern}")


def _size(size: float, value: Any, shape: Any, path: str, what: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        yield _text(value, path, f"Member must have {what} greater than or equal to {low}")
    if high is not None and size > high:
        yield _text(value, path, f"Member must have {what} less than or equal to {high}")


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern, re.DOTALL)
    except re.error:  # Java's syntax, which Python does not have; such a value passes
        return None


def _text(value: Any, path: str, constraint: str) -> str:
    place = ".".join(part[:1].lower() + part[1:] for part in path.lstrip(".").split("."))
    shown = "null" if value is None else f"'{str(value)[:200]}'"
    return f"Value {shown} at '{place}' failed to satisfy constraint: {constraint}"
