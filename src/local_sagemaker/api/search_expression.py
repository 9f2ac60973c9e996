"""The expressions of the Search operation: which records match, and in which order."""

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from local_sagemaker.api.pagination import timestamp
from local_sagemaker.errors import invalid
from local_sagemaker.storage.records import Record

_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "GreaterThan": lambda actual, value: actual > value,
    "GreaterThanOrEqualTo": lambda actual, value: actual >= value,
    "LessThan": lambda actual, value: actual < value,
    "LessThanOrEqualTo": lambda actual, value: actual <= value,
}
_CONTAINERS = ("structure", "map")
_TEXT = ("Contains", "In")  # operators for text alone
_NAME = "ExperimentEntityName"  # the shape of the names of experiments and their parts
_DEPTH = 4  # members of a property's path that are suggested
_PARTS = ("Filters", "NestedFilters", "SubExpressions")


class Properties:
    """The properties of a resource, by botocore's shapes of its members.

    A name is a path of members. Below a map, and below the `free` members, a name may follow that
    no shape has, as in `HyperParameters.epochs`, `Tags.project` and `Metrics.train:rmse`.
    """

    def __init__(self, members: Mapping[str, Any], free: Sequence[str] = ()):
        """Take the shape of each member, and the lists that names of their own may follow."""
        self._members, self._free = members, free

    def shape(self, name: str) -> Any | None:
        """Return the shape of a property, or None if its values may be texts or numbers.

        Raises: ServiceError if the resource has no such property.
        """
        members, parts = self._members, name.split(".")
        for index, part in enumerate(parts):
            shape = next((s for key, s in members.items() if _same(key, part)), None)
            is_free = index == 0 and any(_same(part, each) for each in self._free)
            if shape is None and not is_free:
                raise invalid(f"Unknown property name: {name}")
            shape = _element(shape)
            if index == len(parts) - 1:
                return shape
            if index == 0 and _same(part, "Tags"):
                return shape.members["Value"]
            if is_free or shape.type_name == "map":
                return None
            members = getattr(shape, "members", {})
        return None

    def names(self) -> Iterator[str]:
        """Yield the paths of all properties that shapes define, without the names below maps."""
        return _paths(self._members, ())


def matches(properties: Properties, expression: Record, document: Record) -> bool:
    """Return whether a record matches a SearchExpression.

    Raises: ServiceError if the expression is empty, names an unknown property, or compares what
        cannot be compared.
    """
    if not any(expression.get(part) for part in _PARTS):
        raise invalid(
            "A SearchExpression must have at least one of Filters, NestedFilters, SubExpressions."
        )
    results = [  # all of them, so that each name is checked
        *(_filter(properties, each, document) for each in expression.get("Filters") or ()),
        *(_nested(properties, each, document) for each in expression.get("NestedFilters") or ()),
        *(matches(properties, each, document) for each in expression.get("SubExpressions") or ()),
    ]
    return any(results) if expression.get("Operator") == "Or" else all(results)


def ordered(
    properties: Properties, pairs: Sequence[tuple[Record, Record]], sort_by: str, descending: bool
) -> list[Record]:
    """Return records by a property of their documents; those without it are last.

    Args:
        properties: of the resource.
        pairs: each record's document and the record.
        sort_by: the property's name.
        descending: whether the greatest value is first.

    Raises: ServiceError if the property is unknown or has no single value.
    """
    shape = properties.shape(sort_by)
    if shape is not None and shape.type_name in _CONTAINERS:
        raise invalid(f"SortBy must name a property with a single value; got {sort_by}.")
    keyed = [(next(map(_key, values(doc, sort_by)), None), record) for doc, record in pairs]
    sortable = [(key, record) for key, record in keyed if key is not None]
    sortable.sort(key=lambda pair: pair[0], reverse=descending)
    return [record for _, record in sortable] + [r for key, r in keyed if key is None]


def values(node: Any, path: str) -> Iterator[Any]:
    """Yield the values that a path leads to; each element of a list has its own.

    Keys may contain dots. A structure at the end of the path yields all values within it.
    """
    if isinstance(node, list):
        for element in node:
            yield from values(element, path)
    elif not isinstance(node, Mapping):
        if not path and node is not None:
            yield node
    elif not path:
        for member in node.values():
            yield from values(member, "")
    else:
        for rest, member in _below(node, path):
            yield from values(member, rest)


def _below(node: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """Yield the members that a path may begin with, each with the rest of the path."""
    exact = [key for key in node if path == key or path.startswith(f"{key}.")]
    lower = path.lower()
    keys = exact or [k for k in node if lower == k.lower() or lower.startswith(f"{k.lower()}.")]
    for key in keys:
        yield path[len(key) + 1 :], node[key]


def _filter(properties: Properties, condition: Record, document: Record) -> bool:
    name, value = condition["Name"], condition.get("Value")
    operator = condition.get("Operator") or "Equals"
    shape = properties.shape(name)
    found = list(values(document, name))
    if operator in ("Exists", "NotExists"):
        if value:
            raise invalid(f"Filter {name}: the operator {operator} takes no Value; got {value!r}.")
        return bool(found) == (operator == "Exists")
    if value is None:
        raise invalid(f"Filter {name}: the operator {operator} needs a Value.")
    compare = _comparison(shape, name, operator, value)
    if operator == "NotEquals":
        return not any(map(compare, found))
    return any(map(compare, found))


def _nested(properties: Properties, nested: Record, document: Record) -> bool:
    """Return whether one element of a list satisfies all filters."""
    name = nested["NestedPropertyName"]
    properties.shape(name)
    for condition in nested["Filters"]:
        if not _same(condition["Name"].partition(".")[0], name):
            raise invalid(f"NestedFilters of {name} must name members of it: {condition['Name']}.")
    elements = next((m for key, m in document.items() if _same(key, name)), None)
    # Without an element the filters are evaluated too, so that their names are checked.
    listed = elements if isinstance(elements, list) else []
    results = [
        [_filter(properties, condition, {name: element}) for condition in nested["Filters"]]
        for element in listed or [{}]
    ]
    return bool(listed) and any(map(all, results))


def _comparison(shape: Any | None, name: str, operator: str, value: str) -> Callable[[Any], bool]:
    """Return whether an actual value satisfies a filter; NotEquals compares as Equals does."""
    kind = None if shape is None else shape.type_name
    fold: Callable[[str], str] = str
    if shape is not None and shape.name == _NAME:  # upper and lower case are the same in it
        value, fold = value.lower(), str.lower
    if operator in _TEXT:
        if kind not in (None, "string", *_CONTAINERS):
            raise invalid(f"Filter {name}: the operator {operator} is for text properties alone.")
        choices = [choice.strip() for choice in value.split(",")]
        if operator == "In":
            return lambda actual: fold(str(actual)) in choices
        return lambda actual: value in fold(str(actual))
    if kind in _CONTAINERS:
        raise invalid(f"Filter {name}: the property has no single value; name a member of it.")
    if operator in _ORDER and kind in ("string", "boolean"):
        raise invalid(f"Filter {name}: the operator {operator} is not for text properties.")
    order = _ORDER.get(operator, lambda actual, value: bool(actual == value))
    if kind is None and operator in _ORDER:
        _number(name, value)
    if kind is None:
        return lambda actual: _compare_free(order, actual, value)
    if kind == "string":
        return lambda actual: fold(actual) == value
    wanted = _CONVERSIONS.get(kind, _number)(name, value)
    return lambda actual: order(actual, wanted)


def _compare_free(order: Callable[[Any, Any], bool], actual: Any, value: str) -> bool:
    """Compare a hyperparameter or a metric with a value: as numbers if both are."""
    try:
        number, wanted = float(actual), float(value)
    except ValueError:
        return order not in _ORDER.values() and order(str(actual), value)
    # A decimal hyperparameter is compared with an integer as an integer, as on AWS.
    if isinstance(actual, str) and value.lstrip("+-").isdigit():
        number = float(int(number))
    return order(number, wanted)


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise invalid(f"Filter {name}: the Value must be a number; got {value!r}.") from error


def _boolean(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise invalid(f"Filter {name}: the Value must be true or false; got {value!r}.")
    return value.lower() == "true"


_CONVERSIONS: Mapping[str, Callable[[str, str], Any]] = {
    "boolean": _boolean,
    "timestamp": lambda name, value: timestamp(value),
}


def _key(value: Any) -> tuple[int, float, str]:
    """Return what a value is sorted by: numbers before texts."""
    if isinstance(value, datetime.datetime):
        value = value.timestamp()
    try:
        return 0, float(value), ""
    except ValueError:
        return 1, 0.0, str(value)


def _same(one: str, other: str) -> bool:
    return one.lower() == other.lower()


def _element(shape: Any) -> Any:
    """Return a shape, or that of the elements if it is a list."""
    while shape is not None and shape.type_name == "list":
        shape = shape.member
    return shape


def _paths(members: Mapping[str, Any], parents: tuple[str, ...]) -> Iterator[str]:
    for name, shape in members.items():
        yield ".".join((*parents, name))
        element = _element(shape)
        if element.type_name == "structure" and len(parents) < _DEPTH:
            yield from _paths(element.members, (*parents, name))
