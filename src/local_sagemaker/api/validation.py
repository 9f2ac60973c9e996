"""Requests and answers as botocore's own model of SageMaker describes them."""

import datetime
import functools
import re
from collections.abc import Mapping
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel

from local_sagemaker.api.errors import invalid


@functools.cache
def model() -> Any:
    """Return botocore's service model of SageMaker."""
    # Not through a session, which would want the profile that the environment names.
    return ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker")


def check(operation: str, request: Mapping[str, Any]) -> None:
    """Raise a ValidationException, in AWS's words, where the request does not fit its shape."""
    shape = model().operation_model(operation).input_shape
    problems = [] if shape is None else list(_problems(request, shape, ""))
    if problems:
        count = len(problems)
        errors = "error" if count == 1 else "errors"
        raise invalid(f"{count} validation {errors} detected: {'; '.join(problems)}")


def answer(operation: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return those members of a record that the operation's answer has."""
    shape = model().operation_model(operation).output_shape
    return {} if shape is None else fitting(record, shape)


def fitting(record: Mapping[str, Any], shape: Any) -> dict[str, Any]:
    """Return those members of a record that a structure has."""
    return {name: record[name] for name in shape.members if record.get(name) is not None}


def summary_shape(operation: str) -> tuple[str, Any]:
    """Return the name of a listing's list, and the shape of its entries."""
    members = model().operation_model(operation).output_shape.members
    name, shape = next((n, s) for n, s in members.items() if s.type_name == "list")
    return name, shape.member


def jsonable(value: Any) -> Any:
    """Return a value as the JSON protocol writes it: a time is seconds since 1970."""
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    if isinstance(value, Mapping):
        return {key: jsonable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(one) for one in value]
    return value


def _problems(value: Any, shape: Any, path: str) -> Any:
    kind = shape.type_name
    if kind == "structure":
        if not isinstance(value, Mapping):
            yield _text(value, path, "Member must be a structure")
            return
        for name in shape.required_members:
            if value.get(name) is None:
                yield _text(None, f"{path}.{name}", "Member must not be null")
        for name, one in value.items():
            if name in shape.members and one is not None:
                yield from _problems(one, shape.members[name], f"{path}.{name}")
    elif kind == "list":
        if not isinstance(value, list):
            yield _text(value, path, "Member must be a list")
            return
        yield from _size(len(value), value, shape, path, "length")
        for index, one in enumerate(value, 1):
            yield from _problems(one, shape.member, f"{path}.{index}.member")
    elif kind == "map":
        if not isinstance(value, Mapping):
            yield _text(value, path, "Member must be a map")
            return
        yield from _size(len(value), value, shape, path, "length")
        for key, one in value.items():
            yield from _problems(key, shape.key, f"{path}.{key}.key")
            yield from _problems(one, shape.value, f"{path}.{key}.member")
    elif kind == "string":
        yield from _string(value, shape, path)
    elif kind in ("integer", "long", "float", "double"):
        number = int if kind in ("integer", "long") else (int, float)
        if isinstance(value, bool) or not isinstance(value, number):
            yield _text(value, path, f"Member must be of type {kind}")
        else:
            yield from _size(value, value, shape, path, "value")
    elif kind == "boolean" and not isinstance(value, bool):
        yield _text(value, path, "Member must be a boolean")


def _string(value: Any, shape: Any, path: str) -> Any:
    if not isinstance(value, str):
        yield _text(value, path, "Member must be a string")
        return
    if shape.enum and value not in shape.enum:
        allowed = ", ".join(shape.enum)
        yield _text(value, path, f"Member must satisfy enum value set: [{allowed}]")
    yield from _size(len(value), value, shape, path, "length")
    pattern = shape.metadata.get("pattern")
    if pattern and (compiled := _compiled(pattern)) and not compiled.fullmatch(value):
        yield _text(value, path, f"Member must satisfy regular expression pattern: {pattern}")


def _size(size: float, value: Any, shape: Any, path: str, what: str) -> Any:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        yield _text(value, path, f"Member must have {what} greater than or equal to {low}")
    if high is not None and size > high:
        yield _text(value, path, f"Member must have {what} less than or equal to {high}")


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern, re.DOTALL)
    except re.error:  # Java knows some that Python does not; such a value passes
        return None


def _text(value: Any, path: str, constraint: str) -> str:
    name = path.lstrip(".")
    shown = "null" if value is None else f"'{str(value)[:200]}'"
    place = ".".join(part[:1].lower() + part[1:] for part in name.split("."))
    told = f"Value {shown} at '{place}'" if value is not None else f"Value null at '{place}'"
    return f"{told} failed to satisfy constraint: {constraint}"
