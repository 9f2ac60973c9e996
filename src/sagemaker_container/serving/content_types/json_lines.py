"""Decodes texts with one instance on each line, such as JSON Lines."""

from collections.abc import Callable
from typing import Any

import orjson

from factorization_machines.errors import DataError
from factorization_machines.instances import Instances, concatenate
from sagemaker_container.serving.content_types.json_body import decode_each, rows_of

MAX_LINES = 1_000_000  # of a request, whose response then has 53 MB
_BLOCK = 10_000  # lines decoded at a time


def decode_json_lines(body: bytes, feature_dim: int) -> Instances:
    """Return the rows of a text with one instance on each line; empty lines are skipped.

    An instance may also be the value of "features" alone, which is what the filter `$.features`
    of a batch transform job leaves of it.

    Raises: DataError that names the instance and what is wrong with it.
    """
    return rows_of_lines(body, feature_dim, _parse_line)


def _parse_line(line: bytes) -> Any:
    try:
        instance = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    sparse = isinstance(instance, dict) and "values" in instance
    dense = isinstance(instance, list) and instance
    return {"features": instance} if sparse or dense else instance


def rows_of_lines(body: bytes, feature_dim: int, parse: Callable[[bytes], Any]) -> Instances:
    """Return the rows of a text with one instance on each line; empty lines are skipped.

    `parse` returns the instance of a line as an object of JSON, or raises ValueError. The objects
    of a block of lines are in memory at a time.

    Raises: DataError that names the instance and what is wrong with it.
    """
    lines = lines_of(body)
    parts = []
    for start in range(0, max(1, len(lines)), _BLOCK):
        block = lines[start : start + _BLOCK]
        instances = decode_each(block, parse, start)
        parts.append(rows_of(instances, b"\n".join(block), feature_dim, start))
    return parts[0] if len(parts) == 1 else concatenate(parts)


def lines_of(body: bytes) -> list[bytes]:
    """Return the lines of a text that are not blank, without LF or CR LF.

    Raises: DataError if there are more than MAX_LINES.
    """
    text = body.replace(b"\r\n", b"\n")
    if text.count(b"\n") > MAX_LINES:
        raise DataError(f"{text.count(10)} lines; at most {MAX_LINES} in a request")
    return [line for line in text.split(b"\n") if line.strip()]
