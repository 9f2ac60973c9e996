"""The member `top_k` of a JSON request: which features are ranked, and how many are returned."""

from typing import Any

import numpy as np

from factorization_machines.errors import DataError
from factorization_machines.top_k import TopK
from sagemaker_container.serving.content_types.json_body import keys_below, shown, whole_numbers

_NONE = np.empty(0, np.int64)


def parse(content: Any, feature_dim: int) -> TopK:
    """Return what `{"from": [first, last], "k": 10, "exclude": [keys]}` asks for.

    `from` is a range of features, both ends in it; `exclude` may be left out. There may be fewer
    than k features in the range.

    Raises: DataError that names what is wrong.
    """
    try:
        if not isinstance(content, dict):
            raise ValueError(f"it must be an object; got {shown(content)}")
        unknown = content.keys() - {"from", "k", "exclude"}
        if unknown:
            raise ValueError(f'it has "from", "k" and "exclude"; got {shown(min(unknown))}')
        block = content.get("from")
        if not isinstance(block, list) or list(map(type, block)) != [int, int]:
            raise ValueError(f'"from" must be [first, last], two keys; got {shown(block)}')
        first, last = block
        if not 0 <= first <= last < feature_dim:
            raise ValueError(
                f'"from" must be [first, last] with 0 <= first <= last < {feature_dim}; '
                f"got {shown(block)}"
            )
        k = content.get("k")
        if type(k) is not int or k < 1:
            raise ValueError(f'"k" must be a whole number >= 1; got {shown(k)}')
        keys = _NONE
        if "exclude" in content:
            keys = keys_below(whole_numbers(content["exclude"], '"exclude"'), feature_dim)
    except ValueError as error:
        raise DataError(f"top_k: {error}") from None
    if keys.size:
        keys = np.unique(keys[(first <= keys) & (keys <= last)] - first)
    return TopK(k, first, last, keys)
