"""The JSONPath expressions of a batch transform job: the subset that SageMaker documents."""

import re
from typing import Any

from jsonpath_ng import Child, Fields, Index, JSONPath, Root, Slice
from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.parser import parse

_LIST = re.compile(r"(.*)\[([-\d\s:]+(?:,[-\d\s:]+)+)\]")
_OPERATORS = "$, .name, *, ['name','name'], [index,index] and [start:end]"


class Selector:
    """Selects a part of a JSON value.

    The part is a value if the expression names a single place, an object if it ends with several
    names, and else a list.
    """

    def __init__(self, expression: str):
        """Take the expression. Raises: ValueError that says what is allowed."""
        self._expression = expression
        # jsonpath-ng has no list of indexes and slices, so [0,5:] is selected as [0] and [5:].
        listed = _LIST.fullmatch(expression)
        texts = (
            [f"{listed[1]}[{part}]" for part in listed[2].split(",")] if listed else [expression]
        )
        try:
            self._paths = [parse(text) for text in texts]
        except JSONPathError:
            self._paths = []
        steps = [_steps(path) for path in self._paths]
        if not expression.startswith("$") or not steps or not all(map(_supported, sum(steps, []))):
            raise ValueError(f"must be a JSONPath of {_OPERATORS}; got {expression!r}")
        self._names: tuple[str, ...] = ()
        path, last = self._paths[0], steps[0][-1]
        if isinstance(path, Child) and isinstance(last, Fields) and len(last.fields) > 1:
            self._names = last.fields
            self._paths, steps = [path.left], [steps[0][:-1]]
        self._is_list = len(steps) > 1 or not all(map(_is_single, steps[0]))
        self._may_be_empty = _is_wildcard(steps[-1][-1])
        self.is_root = expression == "$"
        self.selects_columns = not self._names and all(map(_is_column, steps))
        """Whether it is `$`, or indexes or slices of a list."""

    def __call__(self, value: Any) -> Any:
        """Return the part of a value. Raises: ValueError if there is none."""
        missing = ValueError(f"there is no {self._expression}")
        parts = []
        try:
            for path in self._paths:
                found = [match.value for match in path.find(value)]
                if not found and not self._may_be_empty:
                    raise missing
                parts += found
            if self._names:
                parts = [{name: part[name] for name in self._names} for part in parts]
        except (LookupError, TypeError):
            raise missing from None
        return parts if self._is_list else parts[0]


def _steps(path: JSONPath) -> list[JSONPath]:
    return [*_steps(path.left), *_steps(path.right)] if isinstance(path, Child) else [path]


def _supported(step: JSONPath) -> bool:
    if isinstance(step, Fields):
        return len(step.fields) == 1 or not any("." in name for name in step.fields)
    if isinstance(step, Slice):
        return step.step is None
    return isinstance(step, Root | Index) or _is_wildcard(step)


def _is_single(step: JSONPath) -> bool:
    if isinstance(step, Index):
        return len(step.indices) == 1
    if isinstance(step, Fields):
        return len(step.fields) == 1 and not _is_wildcard(step)
    return isinstance(step, Root)


def _is_column(steps: list[JSONPath]) -> bool:
    last = steps[-1]
    return len(steps) == 1 or (
        len(steps) == 2 and (isinstance(last, Index | Slice) or _is_wildcard(last))
    )


def _is_wildcard(step: JSONPath) -> bool:
    return str(step).strip("'") == "*"  # the class depends on the version of jsonpath-ng
