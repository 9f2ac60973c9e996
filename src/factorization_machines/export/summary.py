"""Summarizes a model in numbers."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from factorization_machines.artifact import Model
from factorization_machines.errors import printable
from factorization_machines.parameters import Float32

_ROWS = 1 << 16
_BINS = 40


def summary(model: Model) -> dict[str, Any]:
    """Return a model's type, dimensions, norms, training parameters and notes, for JSON.

    For the linear weights and the factors: the Euclidean norm, the largest absolute value, and the
    number of features with only zeros. `factor_norms` is a histogram of the Euclidean norms of the
    features' factors, with the number of features in each bin and the bins' edges.
    """
    parameters = model.parameters
    return {
        "predictor_type": model.predictor_type,
        "feature_dim": parameters.feature_dim,
        "num_factors": parameters.num_factors,
        "bias": float(parameters.w0[0]),
        "linear": _statistics(parameters.w[:, None]),
        "factors": _statistics(parameters.v),
        "factor_norms": _histogram(parameters.v),
        "training_parameters": dict(model.training_parameters),
        "notes": dict(model.notes),
    }


def _blocks(array: Float32) -> Iterator[Float32]:
    """Yield the rows in blocks, to limit the memory that is needed."""
    return (array[start : start + _ROWS] for start in range(0, len(array), _ROWS))


def _histogram(array: Float32) -> dict[str, list[float] | list[int]]:
    largest = max(float(_norms(block).max()) for block in _blocks(array))
    counts, edges = np.histogram([], _BINS, (0.0, largest or 1.0))
    for block in _blocks(array):
        counts += np.histogram(_norms(block), edges)[0]
    return {"counts": counts.tolist(), "edges": edges.tolist()}


def _norms(block: Float32) -> NDArray[np.float64]:
    """Return the Euclidean norm of each row."""
    norms: NDArray[np.float64] = np.sqrt(np.square(block, dtype=np.float64).sum(axis=1))
    return norms


def _statistics(array: Float32) -> dict[str, float | int]:
    squares, largest, zeros = 0.0, 0.0, 0
    for block in _blocks(array):
        squares += float(np.square(block, dtype=np.float64).sum())
        largest = max(largest, float(block.max()), -float(block.min()))
        zeros += int(np.count_nonzero(~block.any(axis=1)))
    return {"norm": squares**0.5, "largest": largest, "zeros": zeros}


def lines(content: dict[str, Any]) -> list[str]:
    """Return a summary as lines of text."""
    rows = [
        ("predictor_type", content["predictor_type"]),
        ("feature_dim", content["feature_dim"]),
        ("num_factors", content["num_factors"]),
        ("bias", f"{content['bias']:.6g}"),
    ]
    for name in ("linear", "factors"):
        part = content[name]
        text = f"norm {part['norm']:.6g}, largest {part['largest']:.6g}"
        rows.append((name, f"{text}, {part['zeros']} features without"))
    result = [f"{name:<16}{value}" for name, value in rows]
    for name in ("training_parameters", "notes"):
        if content[name]:
            result += [name.replace("_", " ")]
            result += [
                f"  {printable(key):<32}{printable(value)}"
                for key, value in sorted(content[name].items())
            ]
    return result
