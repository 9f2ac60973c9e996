"""Decodes JSON: `{"instances": […]}`.

orjson parses the text. The instances of a request are then decoded together, by a few passes over
whole lists. Where one of them is unusual or wrong they are decoded one by one, which also finds
the message of the error. Both ways give the same rows.
"""

from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from factorization_machines.errors import DataError
from factorization_machines.instances import Float32, Instances, Int64, stack, summed

Item = TypeVar("Item")
Result = TypeVar("Result")

_EXAMPLE = '{"instances": [{"features": […]}]}'
_NUMBERS = {int, float}
_MAX_VALUE = float(np.finfo(np.float32).max)


def decode_json(body: bytes, feature_dim: int) -> Instances:
    """Return the rows of `{"instances": […]}`.

    An instance is dense, `{"features": [0, 1.5, …]}`, or sparse, `{"features": {"keys": […],
    "values": […]}}`. Either may be inside `{"data": …}`; a `shape` is optional,
    and must be `[feature_dim]`.

    Raises: DataError that names the instance and what is wrong with it.
    """
    return rows_of(load(body)["instances"], body, feature_dim)


def load(body: bytes) -> dict[str, Any]:
    """Return the body as an object with a list of instances.

    Raises: DataError if the body is not such an object.
    """
    if not body:
        raise DataError(f"the body is empty; send {_EXAMPLE}")
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise DataError(f"the body is not JSON: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("instances"), list):
        raise DataError('the body must be an object with a list: {"instances": […]}')
    return content


def decode_each(
    items: Iterable[Item], decode: Callable[[Item], Result], first: int = 0
) -> list[Result]:
    """Return the result for each instance; `first` is the number of the first one.

    Raises: DataError that names the instance, for a ValueError.
    """
    results = []
    for index, item in enumerate(items, first):
        try:
            results.append(decode(item))
        except ValueError as error:
            raise DataError(f"instance {index} (the first is 0): {error}") from None
    return results


def rows_of(instances: Sequence[Any], body: bytes, feature_dim: int, first: int = 0) -> Instances:
    """Return the rows of instances that orjson parsed from `body`.

    Raises: DataError that names the instance, by its number from `first` on.
    """
    # array() accepts true as 1, and _rows_together ignores "top_k", so it is only used where the
    # text has no such word.
    if not any(word in body for word in (b"true", b"false", b'"top_k"')):
        rows = _rows_together(instances, feature_dim)
        if rows is not None:
            return rows
    return stacked(decode_each(instances, lambda instance: _row(instance, feature_dim), first))


def stacked(rows: Sequence[tuple[Int64, Float32]]) -> Instances:
    """Return rows, each of which has its keys and its values in two arrays."""
    keys = np.concatenate([np.empty(0, np.int64), *(keys for keys, _ in rows)])
    values = np.concatenate([np.empty(0, np.float32), *(values for _, values in rows)])
    return stack((keys.size for keys, _ in rows), keys, values)


def _rows_together(instances: Sequence[Any], feature_dim: int) -> Instances | None:
    """Return the rows of instances in the usual layouts, None if one is unusual or wrong."""
    keys: list[Any] = []
    values: list[Any] = []
    shape = [feature_dim]
    try:
        for instance in instances:
            features = (instance["data"] if "data" in instance else instance)["features"]
            if type(features) is dict:
                if features.get("shape", shape) != shape:
                    return None
                keys.append(features.get("keys"))
                values.append(features["values"])
            else:
                keys.append(None)
                values.append(features)
        if len(keys) == 1 and type(keys[0]) is type(values[0]) is list:
            return _single_row(keys[0], values[0], feature_dim)
        kinds = set(map(type, keys))
        if not set(map(type, values)) <= {list} or not kinds <= {list, type(None)}:
            return None
        rows = (
            _sparse_rows(keys, values)
            if kinds == {list}
            else _mixed_rows(keys, values, feature_dim)
        )
    except (KeyError, TypeError, OverflowError):
        return None
    # As unsigned integers, negative keys are larger than every valid key.
    in_range = rows.keys.view(np.uint64).max(initial=0) < feature_dim
    return rows if in_range and np.isfinite(rows.values).all() else None


def _single_row(keys: list[int], values: list[float], feature_dim: int) -> Instances | None:
    """Return one sparse row, None if a key or value is out of range.

    Raises: TypeError, OverflowError if the lists hold other things than numbers.
    """
    if len(keys) != len(values):
        return None
    indptr = np.array((0, len(keys)), np.int64)
    rows = summed(Instances(indptr, _int64(keys), _float32(values)))
    # For a few numbers Python's min and max are faster than NumPy's. JSON has no NaN.
    if keys and not (min(keys) >= 0 and max(keys) < feature_dim):
        return None
    return (
        rows if not values or (min(values) >= -_MAX_VALUE and max(values) <= _MAX_VALUE) else None
    )


def _sparse_rows(keys: Sequence[list[int]], values: Sequence[list[float]]) -> Instances:
    """Return sparse rows. Raises: TypeError, OverflowError for lists that are not rows."""
    sizes = list(map(len, keys))
    if sizes != list(map(len, values)):
        raise TypeError
    all_keys, all_values = chain.from_iterable(keys), chain.from_iterable(values)
    return stack(sizes, _int64(list(all_keys)), _float32(list(all_values)))


def _mixed_rows(
    keys: Sequence[list[int] | None], values: Sequence[list[float]], feature_dim: int
) -> Instances:
    """Return rows of which some are dense, by one array for each row."""
    rows = []
    for row_keys, row_values in zip(keys, values, strict=True):
        numbers = _float32(row_values)
        if numbers.size != (feature_dim if row_keys is None else len(row_keys)):
            raise TypeError
        if row_keys is None:
            nonzero = numbers.nonzero()[0]
            rows.append((nonzero, numbers[nonzero]))
        else:
            rows.append((_int64(row_keys), numbers))
    return stacked(rows)


def _int64(numbers: list[int]) -> Int64:
    # array() is as fast as NumPy, and accepts neither 1.0 as a key nor "1" as a number.
    return np.frombuffer(array("q", numbers), np.int64)


def _float32(numbers: list[float]) -> Float32:
    return np.frombuffer(array("f", numbers), np.float32)  # infinite beyond float32


def _row(instance: Any, feature_dim: int) -> tuple[Int64, Float32]:
    """Return keys and values of an instance. Raises: ValueError that says what is wrong."""
    outer = instance
    if isinstance(instance, dict) and "data" in instance:
        instance = instance["data"]
    if not isinstance(instance, dict) or "features" not in instance:
        raise ValueError('no "features"')
    if "top_k" in outer or "top_k" in instance:
        raise ValueError('"top_k" must be beside "instances" in a body of application/json')
    features = instance["features"]
    if isinstance(features, list):
        features = {"values": features}
    if not isinstance(features, dict) or "values" not in features:
        raise ValueError('"features" must be a list of numbers, or an object with "values"')
    shape = features.get("shape")
    if shape is not None and (shape != [feature_dim] or type(shape[0]) is not int):
        raise ValueError(
            f'"shape" must be [{feature_dim}], the model\'s feature_dim; got {as_json(shape)}'
        )
    keys = features.get("keys")
    if keys is None:
        return dense_row(features["values"], feature_dim)
    values = _values(features["values"])
    indices = whole_numbers(keys, '"keys"')
    if len(indices) != values.size:
        raise ValueError(f"{len(indices)} keys for {values.size} values")
    return keys_below(indices, feature_dim), values


def dense_row(numbers: Any, feature_dim: int) -> tuple[Int64, Float32]:
    """Return the keys and values of the numbers in a list that are not zero.

    Raises: ValueError if it is not a list of feature_dim numbers that fit float32.
    """
    values = _values(numbers)
    if values.size != feature_dim:
        raise ValueError(f"{values.size} features; the model's feature_dim is {feature_dim}")
    nonzero = np.flatnonzero(values)
    return nonzero, values[nonzero]


def _values(values: Any) -> Float32:
    if not isinstance(values, list):
        raise ValueError('"values" must be a list of numbers')
    # Types are checked because float() accepts "1", and NumPy accepts true.
    if not set(map(type, values)) <= _NUMBERS:
        place = next(i for i, value in enumerate(values) if type(value) not in _NUMBERS)
        raise ValueError(f"value {place} must be a number; got {as_json(values[place])}")
    with np.errstate(over="ignore"):
        numbers = np.array(values, np.float64).astype(np.float32)
    if not np.isfinite(numbers).all():
        place = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise ValueError(f"value {place} does not fit float32; got {as_json(values[place])}")
    return numbers


def whole_numbers(value: Any, name: str) -> list[int]:
    """Return a list of integers. Raises: ValueError if `value` is something else."""
    if not isinstance(value, list) or not set(map(type, value)) <= {int}:
        raise ValueError(f"{name} must be a list of whole numbers; got {as_json(value)}")
    return value


def keys_below(keys: Sequence[int], bound: int) -> NDArray[np.int64]:
    """Return keys as an array. Raises: ValueError for a key that is not in [0, bound)."""
    for key in keys:
        if not 0 <= key < bound:
            raise ValueError(f"key {key} must be from 0 to {bound - 1}")
    return np.array(keys, np.int64)


def as_json(value: Any) -> str:
    """Return a value as JSON, cut to 40 characters for a message."""
    text = orjson.dumps(value).decode()
    return text if len(text) <= 40 else text[:37] + "..."
