"""Decodes lines of text: dense rows as CSV, sparse rows as libsvm's `key:value`."""

import re

import orjson

from factorization_machines.instances import Instances
from sagemaker_container.serving.content_types.json_body import (
    as_json,
    decode_each,
    dense_row,
    stacked,
)
from sagemaker_container.serving.content_types.json_lines import lines_of, rows_of_lines

# float() also accepts "1_000", "١", "nan" and "infinity".
_NUMBER = re.compile(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def decode_csv(body: bytes, feature_dim: int, label_size: int = 0) -> Instances:
    """Return the rows of a CSV text without a header, one instance on each line.

    The first `label_size` columns are labels, which are ignored.

    Raises: DataError that names the instance and what is wrong with it.
    """
    rows = decode_each(
        lines_of(body), lambda line: dense_row(_cells(line)[label_size:], feature_dim)
    )
    return stacked(rows)


def decode_libsvm(body: bytes, feature_dim: int) -> Instances:
    """Return the rows of a text with `label key:value key:value …` on each line.

    Keys count from 0, as in every other format here. The label is optional and ignored. A comment
    starts at `#`.

    Raises: DataError that names the instance and what is wrong with it.
    """
    return rows_of_lines(body, feature_dim, lambda line: {"features": _pairs(line)})


def _cells(line: bytes) -> list[float]:
    """Return the numbers of a line. Raises: ValueError for a cell that is not a number."""
    try:
        # JSON has nearly every notation of numbers, and orjson is faster than float().
        cells: list[float] = orjson.loads(b"[" + line + b"]")
        return cells
    except orjson.JSONDecodeError:
        return [_number(cell, f"value {place}") for place, cell in enumerate(line.split(b","))]


def _pairs(line: bytes) -> dict[str, list[int] | list[float]]:
    tokens = line.partition(b"#")[0].split()
    if tokens and b":" not in tokens[0]:
        _number(tokens.pop(0), "the label")
    keys, values = [], []
    for token in tokens:
        key, colon, value = token.partition(b":")
        if not colon or not key.isdigit() or len(key) > 18:
            raise ValueError(f"expected key:value; got {_text(token)}")
        keys.append(int(key))
        values.append(_number(value, f"the value of key {int(key)}"))
    return {"keys": keys, "values": values}


def _number(text: bytes, name: str) -> float:
    if not _NUMBER.fullmatch(text.strip()):
        raise ValueError(f"{name} must be a number; got {_text(text)}")
    return float(text)


def _text(raw: bytes) -> str:
    return as_json(raw.decode("utf-8", errors="replace"))
