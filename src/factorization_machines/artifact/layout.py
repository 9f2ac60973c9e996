"""The arrays of a factorization machine, by whichever names and in whichever orientation."""

from collections.abc import Mapping

import numpy as np

from factorization_machines.artifact import other_algorithms
from factorization_machines.errors import ArtifactError
from factorization_machines.parameters import Float32, Parameters

_DENSE = "Linear_Plus_Bias_weight"
# The names of the sparse network, then those of the dense one, where v is (num_factors,
# feature_dim) and the linear weights are a row.
_NAMES = {
    "v": ("v",),
    "w": ("w1_weight", _DENSE),
    "w0": ("w0_weight", "Linear_Plus_Bias_bias"),
}
_SWITCHES = {"w": "use_linear", "w0": "use_bias"}


def parameters(arrays: Mapping[str, Float32], training: Mapping[str, str]) -> Parameters:
    """Return the parameters among the arrays of an artifact, as views of them where they lie well.

    Args:
        arrays: by name, with or without MXNet's prefix `arg:`.
        training: the training parameters. A term that they switch off may be absent: it is zero.

    Raises: ArtifactError if this is no factorization machine, or one of other dimensions than the
        training parameters say.
    """
    held = {term: _held(arrays, term, training) for term in _NAMES}
    found = {name: arrays[name] for name in held.values() if name}
    v, w, w0 = found[held["v"]], found.get(held["w"]), found.get(held["w0"])
    if w0 is None:
        w0 = np.zeros(1, np.float32)
    if w is None:
        w = np.zeros(_given(training, "feature_dim", max(v.shape[:1], default=0)), np.float32)
    if v.ndim != 2 or w0.size != 1 or w.size != max(w.shape, default=1):
        raise _misfit(found)
    upright = _oriented(v, w.size, dense=held["w"].endswith(_DENSE))
    if upright is None or upright.size == 0:
        raise _misfit(found)
    for name, size in zip(("feature_dim", "num_factors"), upright.shape, strict=True):
        if _given(training, name, size) != size:
            raise ArtifactError(
                f"{name} must be {size}, as the arrays have it; got {training[name]!r}"
            )
    return Parameters(_sound(w0.reshape(1)), _sound(w.reshape(w.size)), _sound(upright))


def _sound(array: Float32) -> Float32:
    """Return the array as kernels take it; itself where it is so."""
    return np.require(array, np.float32, ("C", "A", "W"))


def _held(arrays: Mapping[str, Float32], term: str, training: Mapping[str, str]) -> str:
    """Return the name of the array of a term, an empty one for a term that is rightly absent."""
    names = _NAMES[term]
    held = [name for name in arrays if name.removeprefix("arg:") in names]
    if len(held) > 1:
        raise ArtifactError(f"two arrays for one: {' and '.join(held)}")
    if held:
        return held[0]
    if term in _SWITCHES and training.get(_SWITCHES[term], "").lower() == "false":
        return ""
    raise ArtifactError(
        f"no factorization machine: no array {' or '.join(map(repr, names))} among "
        f"{', '.join(arrays) or 'none'}{other_algorithms.of_arrays(arrays)}"
    )


def _oriented(v: Float32, d: int, dense: bool) -> Float32 | None:
    """Return v as (d, num_factors), or None. A square one is by the network that it comes from."""
    upright, across = v.shape[0] == d, v.shape[1] == d
    if across and (dense or not upright):
        turned: Float32 = v.transpose()
        return turned
    return v if upright else None


def _given(training: Mapping[str, str], name: str, default: int) -> int:
    text = training.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else default


def _misfit(found: Mapping[str, Float32]) -> ArtifactError:
    shapes = ", ".join(f"{name.removeprefix('arg:')} {a.shape}" for name, a in found.items())
    return ArtifactError(f"shapes that do not fit: {shapes}")
