"""Parses the member `top_k` of a JSON request: the features to rank, and how many to return."""

from typing import Any

import numpy as np

from factorization_machines.errors import DataError
from factorization_machines.top_k import TopK
from sagemaker_container.serving.content_types.json_body import as_json, keys_below, whole_numbers

_NO_KEYS = np.empty(0, np.int64)


def parse(content: Any, feature_dim: int) -> TopK:
    """Return the options in `{"from": [first, last], "k": 10, "exclude": [keys]}`.

    `from` is an inclusive range of features, which may have fewer than k; `exclude` is optional.

    Raises: DataError that names what is wrong.
    """
    try:
        if not isinstance(content, dict):
            raise ValueError(f"it must be an object; got {as_json(content)}")
        unknown = content.keys() - {"from", "k", "exclude"}
        if unknown:
            raise ValueError(f'it has "from", "k" and "exclude"; got {as_json(min(unknown))}')
        bounds = content.get("from")
        if not isinstance(bounds, list) or list(map(type, bounds)) != [int, int]:
            raise ValueError(f'"from" must be [first, last], two keys; got {as_json(bounds)}')
        first, last = bounds
        if not 0 <= first <= last < feature_dim:
            raise ValueError(
                f'"from" must be [first, last] with 0 <= first <= last < {feature_dim}; '
                f"got {as_json(bounds)}"
            )
        k = content.get("k")
        if type(k) is not int or k < 1:
            raise ValueError(f'"k" must be a whole number >= 1; got {as_json(k)}')
        keys = _NO_KEYS
        if "exclude" in content:
            keys = keys_below(whole_numbers(content["exclude"], '"exclude"'), feature_dim)
    except ValueError as error:
        raise DataError(f"top_k: {error}") from None
    if keys.size:
        keys = np.unique(keys[(first <= keys) & (keys <= last)] - first)
    return TopK(k, first, last, keys)
