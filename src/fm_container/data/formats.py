"""What requests and answers look like: one table from content type to decoder, one to encoder."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fm_container.errors import DataError, UnsupportedMediaType

JSON = "application/json"

Float32 = NDArray[np.float32]
Decoder = Callable[[bytes, int], csr_array]
Encoder = Callable[[Float32, Float32 | None], bytes]
_NUMBERS = {int, float}


def decoder(content_type: str | None) -> Decoder:
    """Return what decodes a content type; its parameters, as in `; charset=utf-8`, do not count.

    Raises: UnsupportedMediaType that names what can be decoded.
    """
    name = (content_type or "").split(";")[0].strip().lower()
    if name not in DECODERS:
        got = f"got {name!r}" if name else "the request has none"
        raise UnsupportedMediaType(f"Content-Type must be {' or '.join(DECODERS)}; {got}")
    return DECODERS[name]


def decode_json(body: bytes, feature_dim: int) -> csr_array:
    """Return the rows of `{"instances": […]}` in canonical form, (n, feature_dim) float32.

    An instance is dense, `{"features": [0, 1.5, …]}`, or sparse, `{"features": {"keys": […],
    "values": […]}}`, and either may be within `{"data": …}`; a `shape` is optional.

    Raises: DataError that names the instance and what is wrong with it.
    """
    if not body:
        raise DataError('the body is empty; send {"instances": [{"features": […]}]}')
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise DataError(f"the body is not JSON: {error}") from None
    instances = content.get("instances") if isinstance(content, dict) else None
    if not isinstance(instances, list):
        raise DataError('the body must be an object with a list: {"instances": […]}')
    rows = []
    for index, instance in enumerate(instances):
        try:
            rows.append(_row(instance, feature_dim))
        except ValueError as error:
            raise DataError(f"instance {index} (the first is 0): {error}") from None
    return _stack(rows, feature_dim)


def encode_json(scores: Float32, labels: Float32 | None) -> bytes:
    """Return `{"predictions": [{"score": …, "predicted_label": …}]}`; a regressor has no label."""
    return orjson.dumps({"predictions": _predictions(scores, labels)})


def _predictions(scores: Float32, labels: Float32 | None) -> list[dict[str, float]]:
    if labels is None:
        return [{"score": score} for score in scores.tolist()]
    pairs = zip(scores.tolist(), labels.tolist(), strict=True)
    return [{"score": score, "predicted_label": label} for score, label in pairs]


def _row(instance: Any, feature_dim: int) -> tuple[NDArray[np.int64], Float32]:
    """Return keys and values of an instance. Raises: ValueError that says what is wrong."""
    if isinstance(instance, dict) and "data" in instance:
        instance = instance["data"]
    if not isinstance(instance, dict) or "features" not in instance:
        raise ValueError('no "features"')
    features = instance["features"]
    if isinstance(features, list):
        features = {"values": features}
    if not isinstance(features, dict) or "values" not in features:
        raise ValueError('"features" must be a list of numbers, or an object with "values"')
    values = _values(features["values"])
    keys = features.get("keys")
    if keys is None:
        if values.size != feature_dim:
            raise ValueError(f"{values.size} features; the model's feature_dim is {feature_dim}")
        nonzero = np.flatnonzero(values)
        return nonzero, values[nonzero]
    indices = _keys(keys, values.size, _bound(features.get("shape"), feature_dim))
    return indices, values


def _values(values: Any) -> Float32:
    if not isinstance(values, list):
        raise ValueError('"values" must be a list of numbers')
    # By type and not by conversion: float() would take "1", and numpy true.
    if not set(map(type, values)) <= _NUMBERS:
        place = next(i for i, value in enumerate(values) if type(value) not in _NUMBERS)
        raise ValueError(f"value {place} must be a number; got {_shown(values[place])}")
    with np.errstate(over="ignore"):
        array = np.array(values, np.float64).astype(np.float32)
    if not np.isfinite(array).all():
        place = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(f"value {place} does not fit float32; got {_shown(values[place])}")
    return array


def _keys(keys: Any, count: int, bound: int) -> NDArray[np.int64]:
    if not isinstance(keys, list) or not set(map(type, keys)) <= {int}:
        raise ValueError(f'"keys" must be a list of whole numbers; got {_shown(keys)}')
    if len(keys) != count:
        raise ValueError(f"{len(keys)} keys for {count} values")
    for key in keys:
        if not 0 <= key < bound:
            raise ValueError(f"key {key} must be from 0 to {bound - 1}")
    return np.array(keys, np.int64)


def _bound(shape: Any, feature_dim: int) -> int:
    """Return what keys must be below, by the model and by the instance's own shape."""
    if shape is None:
        return feature_dim
    if not isinstance(shape, list) or len(shape) != 1 or type(shape[0]) is not int or shape[0] < 1:
        raise ValueError(f'"shape" must be a list of one number, [{feature_dim}]')
    return min(feature_dim, shape[0])


def _shown(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 40 else text[:37] + "..."


def _stack(rows: Sequence[tuple[NDArray[np.int64], Float32]], feature_dim: int) -> csr_array:
    indptr = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([keys.size for keys, _ in rows], out=indptr[1:])
    keys = np.concatenate([np.empty(0, np.int64), *(keys for keys, _ in rows)])
    values = np.concatenate([np.empty(0, np.float32), *(values for _, values in rows)])
    x: Any = csr_array((values, keys, indptr), shape=(len(rows), feature_dim))
    x.sum_duplicates()  # a repeated key stands for the sum of its values, as in training
    return x


DECODERS: Mapping[str, Decoder] = {JSON: decode_json}
ENCODERS: Mapping[str, Encoder] = {JSON: encode_json}
