"""Summarizes a model in numbers."""

from typing import Any

import numpy as np

from factorization_machines.artifact import Model
from factorization_machines.errors import printable
from factorization_machines.parameters import Float32

_ROWS = 1 << 16


def summary(model: Model) -> dict[str, Any]:
    """Return a model's type, dimensions, norms, training parameters and notes, for JSON.

    For the linear weights and the factors: the Euclidean norm, the largest absolute value, and the
    number of features with only zeros.
    """
    parameters = model.parameters
    return {
        "predictor_type": model.predictor_type,
        "feature_dim": parameters.feature_dim,
        "num_factors": parameters.num_factors,
        "bias": float(parameters.w0[0]),
        "linear": _statistics(parameters.w[:, None]),
        "factors": _statistics(parameters.v),
        "training_parameters": dict(model.training_parameters),
        "notes": dict(model.notes),
    }


def _statistics(array: Float32) -> dict[str, float | int]:
    squares, largest, zeros = 0.0, 0.0, 0
    for start in range(0, len(array), _ROWS):  # in blocks, to limit the memory needed
        block = array[start : start + _ROWS]
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
