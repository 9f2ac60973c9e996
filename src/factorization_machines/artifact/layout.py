"""Finds a model's parameters among the arrays of an artifact, by either set of names."""

from collections.abc import Mapping

import numpy as np

from factorization_machines.artifact import other_algorithms
from factorization_machines.errors import ArtifactError
from factorization_machines.parameters import Float32, Parameters

_DENSE = "Linear_Plus_Bias_weight"
# The names in the sparse network, then in the dense one, where v has the shape (num_factors,
# feature_dim) and the linear weights are a row.
_NAMES = {
    "v": ("v",),
    "w": ("w1_weight", _DENSE),
    "w0": ("w0_weight", "Linear_Plus_Bias_bias"),
}
_USE_TERM = {"w": "use_linear", "w0": "use_bias"}


def parameters(arrays: Mapping[str, Float32], training: Mapping[str, str]) -> Parameters:
    """Return the parameters among the arrays of an artifact, as views if their layout allows it.

    Args:
        arrays: by name, with or without MXNet's prefix `arg:`.
        training: the training parameters. The array of a disabled term may be absent; the term is
            zero then.

    Raises: ArtifactError if the arrays are not those of a factorization machine, or their shapes
        contradict the training parameters.
    """
    names = {term: _array_name(arrays, term, training) for term in _NAMES}
    selected = {name: arrays[name] for name in names.values() if name}
    v, w, w0 = selected[names["v"]], selected.get(names["w"]), selected.get(names["w0"])
    if w0 is None:
        w0 = np.zeros(1, np.float32)
    if w is None:
        w = np.zeros(_number(training, "feature_dim", max(v.shape[:1], default=0)), np.float32)
    if v.ndim != 2 or w0.size != 1 or w.size != max(w.shape, default=1):
        raise _mismatch(selected)
    oriented = _oriented(v, w.size, dense=names["w"].endswith(_DENSE))
    if oriented is None or oriented.size == 0:
        raise _mismatch(selected)
    for name, size in zip(("feature_dim", "num_factors"), oriented.shape, strict=True):
        if _number(training, name, size) != size:
            raise ArtifactError(
                f"{name} must be {size}, as the arrays have it; got {training[name]!r}"
            )
    return Parameters(
        _contiguous(w0.reshape(1)), _contiguous(w.reshape(w.size)), _contiguous(oriented)
    )


def _contiguous(array: Float32) -> Float32:
    """Return the array in the memory layout that the kernels need, without a copy if it has it."""
    return np.require(array, np.float32, ("C", "A", "W"))


def _array_name(arrays: Mapping[str, Float32], term: str, training: Mapping[str, str]) -> str:
    """Return the name of a term's array; empty if the term is disabled and has no array."""
    names = _NAMES[term]
    present = [name for name in arrays if name.removeprefix("arg:") in names]
    if len(present) > 1:
        raise ArtifactError(f"two arrays for one: {' and '.join(present)}")
    if present:
        return present[0]
    if term in _USE_TERM and training.get(_USE_TERM[term], "").lower() == "false":
        return ""
    raise ArtifactError(
        f"no factorization machine: no array {' or '.join(map(repr, names))} among "
        f"{', '.join(arrays) or 'none'}{other_algorithms.of_arrays(arrays)}"
    )


def _oriented(v: Float32, d: int, dense: bool) -> Float32 | None:
    """Return v as (d, num_factors); None if no axis has d features.

    The orientation of a square array depends on the network that it comes from.
    """
    rows_match, columns_match = v.shape[0] == d, v.shape[1] == d
    if columns_match and (dense or not rows_match):
        transposed: Float32 = v.transpose()
        return transposed
    return v if rows_match else None


def _number(training: Mapping[str, str], name: str, default: int) -> int:
    text = training.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else default


def _mismatch(arrays: Mapping[str, Float32]) -> ArtifactError:
    shapes = ", ".join(f"{name.removeprefix('arg:')} {a.shape}" for name, a in arrays.items())
    return ArtifactError(f"shapes that do not fit: {shapes}")
