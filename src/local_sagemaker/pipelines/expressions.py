"""The expressions of a pipeline definition: what they refer to, and their values."""

import datetime
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from local_sagemaker.errors import LocalError, invalid

_GET, _JOIN, _JSON_GET = "Get", "Std:Join", "Std:JsonGet"
# A part of a path: a name, [index], or ['name'].
_PART = re.compile(r"\.?([^.\[\]'\"]+)|\[(\d+)\]|\[(['\"])(.+?)\3\]")


class Scope(Protocol):
    """What expressions refer to."""

    def get(self, path: str) -> Any:
        """Return the value of a path such as `Steps.Train.TrainingJobName`.

        The value of the path of a property file is its S3 URI. Raises: LocalError.
        """

    def read_json(self, uri: str) -> Any:
        """Return the content of a JSON file in S3. Raises: LocalError."""


def is_expression(value: Any) -> bool:
    """Return whether a value of a definition is an expression."""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    name = str(next(iter(value)))
    return name == _GET or name.startswith("Std:")


def references(value: Any) -> Iterator[str]:
    """Yield the path of each Get in a value, at any depth.

    Raises: ServiceError if an expression is malformed.
    """
    if isinstance(value, list):
        for member in value:
            yield from references(member)
    elif is_expression(value):
        ((name, arguments),) = value.items()
        _check(name, arguments)
        if name == _GET:
            yield arguments
        else:
            yield from references(list(arguments.values()))
    elif isinstance(value, dict):
        yield from references(list(value.values()))


def evaluate(value: Any, scope: Scope) -> Any:
    """Return a value with the values of the expressions in it.

    Raises: LocalError if an expression has no value.
    """
    if isinstance(value, list):
        return [evaluate(member, scope) for member in value]
    if not isinstance(value, dict):
        return value
    if not is_expression(value):
        return {name: evaluate(member, scope) for name, member in value.items()}
    ((name, arguments),) = value.items()
    if name == _GET:
        return _plain(scope.get(arguments))
    arguments = evaluate(arguments, scope)
    if name == _JOIN:
        return str(arguments.get("On", "")).join(_text(part) for part in arguments["Values"])
    uri = arguments.get("S3Uri") or arguments["PropertyFile"]
    try:
        return select(scope.read_json(uri), arguments["Path"])
    except LookupError as error:
        raise LocalError(f"ClientError: {uri} has no {arguments['Path']}.") from error


def split_path(path: str) -> list[str | int]:
    """Return the names and indexes of a path such as `Outputs['train'].S3Output` or `a[0].b`.

    Raises: ValueError if it is not a path.
    """
    parts: list[str | int] = []
    position = 0
    while position < len(path):
        match = _PART.match(path, position)
        if match is None:
            break
        parts.append(int(match[2]) if match[2] else match[1] or match[4])
        position = match.end()
    if position < len(path) or not parts:
        raise ValueError(f"{path!r} must be a path such as a.b, a[0].b or a['name'].b")
    return parts


def select(value: Any, path: str) -> Any:
    """Return the part of a value at a path; a name selects the entry of a list that has it.

    Raises: LookupError if there is none.
    """
    for part in split_path(path.removeprefix("$.")):
        if isinstance(value, list) and isinstance(part, str):
            value = next((entry for entry in value if part in _names(entry)), None)
            if value is None:
                raise LookupError(part)
        elif isinstance(value, list | Mapping) and isinstance(value, list) == isinstance(part, int):
            value = value[part]  # type: ignore[index]
        else:
            raise LookupError(part)
    return value


def _check(name: str, arguments: Any) -> None:
    """Raise a ValidationException if an expression is malformed or not offered."""
    if name == _GET:
        valid = isinstance(arguments, str)
    elif name == _JOIN:
        valid = isinstance(arguments, dict) and arguments.keys() <= {"On", "Values"}
        valid = valid and isinstance(arguments.get("Values"), list)
    elif name == _JSON_GET:
        valid = isinstance(arguments, dict) and isinstance(arguments.get("Path"), str)
        valid = valid and arguments.keys() in ({"PropertyFile", "Path"}, {"S3Uri", "Path"})
    else:
        raise invalid(f"The function {name} is not offered here; use Get, {_JOIN} or {_JSON_GET}.")
    if not valid:
        raise invalid(f"{json.dumps({name: arguments})[:300]} is not a valid expression.")
    if name == _JSON_GET:
        try:
            split_path(arguments["Path"].removeprefix("$."))
        except ValueError as error:
            raise invalid(f"The Path of {_JSON_GET} is invalid: {error}.") from error


def _names(entry: Any) -> list[Any]:
    """Return the names of a list's entry, such as its MetricName or its OutputName."""
    if not isinstance(entry, Mapping):
        return []
    return [value for member, value in entry.items() if member.endswith("Name")]


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: a time is text in ISO 8601."""
    if isinstance(value, datetime.datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, list):
        return [_plain(member) for member in value]
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
