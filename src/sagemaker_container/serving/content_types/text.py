"""Instances as lines of text: dense rows as CSV, sparse ones as libsvm's `key:value`."""

import re

import numpy as np
import orjson

from factorization_machines.errors import DataError
from factorization_machines.instances import Instances, stack
from sagemaker_container.serving.content_types.json_body import dense_row, lines_of, rows_of, shown

# float() also takes "1_000", "١", "nan" and "infinity".
_NUMBER = re.compile(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def decode_csv(body: bytes, feature_dim: int, label_size: int = 0) -> Instances:
    """Return the rows of a text with the numbers of an instance in each line, without a header.

    The first `label_size` columns are not features.

    Raises: DataError that names the instance and what is wrong with it.
    """
    places, numbers = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    for index, line in enumerate(lines_of(body)):
        try:
            cells = _cells(line)[label_size:]
            keys, values = dense_row(cells, feature_dim)
        except ValueError as error:
            raise DataError(f"instance {index} (the first is 0): {error}") from None
        places.append(keys)
        numbers.append(values)
    sizes = [piece.size for piece in places[1:]]
    return stack(sizes, np.concatenate(places), np.concatenate(numbers))


def decode_libsvm(body: bytes, feature_dim: int) -> Instances:
    """Return the rows of a text with `label key:value key:value …` in each line.

    Keys count from 0, as in every other format here. A label may be missing and is not used; what
    follows a `#` is a comment.

    Raises: DataError that names the instance and what is wrong with it.
    """
    instances = []
    for index, line in enumerate(lines_of(body)):
        try:
            instances.append({"features": _pairs(line)})
        except ValueError as error:
            raise DataError(f"instance {index} (the first is 0): {error}") from None
    return rows_of(instances, b"", feature_dim)


def _cells(line: bytes) -> list[float]:
    """Return the numbers of a line. Raises: ValueError for what is none."""
    try:
        # Nearly every number is as JSON has it too.
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
    return shown(raw.decode("utf-8", errors="replace"))
