"""The members of the executed operations' requests: done, harmless, or refused.

The table is members.ini. A member is named `Shape.Member`, by its shape in botocore's model.
"""

import configparser
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from local_sagemaker.api import validation
from local_sagemaker.errors import invalid


def _read() -> dict[str, tuple[str, str]]:
    """Return class and reason, or advice, of each member."""
    parser = configparser.ConfigParser(delimiters=(":",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(Path(__file__).with_suffix(".ini").read_text())
    table = {}
    for section in parser.sections():
        title, _, text = section.partition(": ")
        for shape, members in parser.items(section):
            table.update({f"{shape}.{member}": (title, text) for member in members.split()})
    return table


TABLE: Mapping[str, tuple[str, str]] = _read()

# Values of refused members that ask for nothing, beside null, false, 0, "" and empty containers.
_OFF: Mapping[str, Any] = {
    "ContainerDefinition.Mode": "SingleModel",
    "CheckpointConfig.LocalPath": "/opt/ml/checkpoints",
    "InvokeEndpointInput.EnableExplanations": "`false`",
    "ProfilerRuleConfiguration.RuleParameters": {"rule_to_invoke": "ProfilerReport"},
    "TrafficRoutingConfig.Type": "ALL_AT_ONCE",
}


def check(operation: str, request: Mapping[str, Any]) -> None:
    """Raise a ValidationException that names each refused member of a valid request."""
    shape, _ = validation.shapes(operation)
    if problems := [] if shape is None else list(_problems(request, shape, "")):
        raise invalid(" ".join(problems))


def unclassified(operation: str) -> set[str]:
    """Return the members of an operation's request that the table does not have."""
    shape, _ = validation.shapes(operation)
    return set() if shape is None else set(_walk(shape)) - TABLE.keys()


def sections() -> Mapping[tuple[str, str], list[str]]:
    """Return the members of each class and reason."""
    result: dict[tuple[str, str], list[str]] = {}
    for name, section in TABLE.items():
        result.setdefault(section, []).append(name)
    return result


def _problems(value: Any, shape: Any, path: str) -> Iterator[str]:
    if shape.type_name == "list":
        for index, entry in enumerate(value, 1):
            yield from _problems(entry, shape.member, f"{path}.{index}")
    elif shape.type_name == "structure":
        for member, entry in value.items():
            name, place = f"{shape.name}.{member}", f"{path}.{member}".lstrip(".")
            title, text = TABLE.get(name, ("", ""))
            if title == "refused" and entry and entry != _OFF.get(name):
                shown = f" {entry!r}" if isinstance(entry, str | int | float) else ""
                yield f"{place}{shown} is not offered here. {text}"
            elif title == "done" and member in shape.members and entry is not None:
                yield from _problems(entry, shape.members[member], place)


def _walk(shape: Any, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the members of a shape, and those inside the members that are done or unknown."""
    if shape.type_name == "list":
        yield from _walk(shape.member, seen)
    elif shape.type_name == "structure" and shape.name not in seen:
        for member, inner in shape.members.items():
            name = f"{shape.name}.{member}"
            yield name
            if TABLE.get(name, ("done", ""))[0] == "done":
                yield from _walk(inner, seen | {shape.name})
