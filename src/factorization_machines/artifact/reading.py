"""An artifact, read and checked, from wherever and in whichever form it lies."""

import gzip
import json
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from factorization_machines.artifact import layout, ndarrays, other_algorithms, sources
from factorization_machines.artifact.model import PREDICTOR_TYPES, Model
from factorization_machines.artifact.sources import META, PARAMS, SYMBOL, Parts
from factorization_machines.errors import ArtifactError
from factorization_machines.parameters import Float32, Parameters

_LARGEST_JSON = 1 << 20
_BLOCK = 1 << 20  # values that are checked at once
_OUTPUTS = {
    "LogisticRegressionOutput": "binary_classifier",
    "LinearRegressionOutput": "regressor",
    "MAERegressionOutput": "regressor",
}
# The words of gzip, tarfile, zipfile and zlib for damage: their own errors, a lying checksum, size
# or flag.
_DAMAGE = (
    *(gzip.BadGzipFile, zipfile.BadZipFile, tarfile.TarError, zlib.error),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError),
)


def read(path: Path, predictor_type: str | None = None) -> Model:
    """Return the model at a path.

    Args:
        path: a model_algo-1, a model.tar.gz, or a folder, such as /opt/ml/model, that holds either
            or what is in them.
        predictor_type: of an artifact that does not say it, and instead of what it says.

    Cost: what this package wrote is mapped into memory and read once; of anything else a copy is in
    memory, of what is deflated and turned two for a while. A model.tar.gz goes to a temporary file.

    Raises: ArtifactError if there is none, or it is cut short, damaged, or no factorization
        machine.
    """
    where = sources.find(path)
    try:
        return _model(sources.parts(where), predictor_type)
    except ArtifactError as error:
        raise ArtifactError(f"{where}: {str(error):.500}") from None
    except EOFError as error:
        what = str(error) or "there is more to come"
        end = f"{where} is cut short at byte {where.stat().st_size}"
        raise ArtifactError(f"{end}: {what}") from None
    except _DAMAGE as error:
        kind = "tar archive" if isinstance(error, tarfile.TarError) else "zip"
        # Some of these quote the archive: a name as long as a header says, 64 KB.
        raise ArtifactError(f"{where} is no {kind}, or a damaged one: {str(error):.200}") from None
    except OSError as error:
        raise ArtifactError(f"{where} cannot be read: {error.strerror or error}") from error
    except MemoryError:
        raise ArtifactError(f"{where}: not enough memory for its parameters") from None


def _model(source: Parts, predictor_type: str | None) -> Model:
    content = sources.take(source, PARAMS)
    if content is None:
        held = ", ".join(source.names[:5]) or "nothing"
        what = other_algorithms.of_names(source.names)
        raise ArtifactError(f"no {PARAMS} inside; it holds {held}{what}")
    meta = _json(source, META)
    training = meta.pop("training_parameters", {})
    if not isinstance(training, dict):
        raise ArtifactError(f"{META}: training_parameters must be an object; got {training!r:.60}")
    if predictor_type:
        training["predictor_type"] = predictor_type
    return assemble(ndarrays.read(content), training, meta, _json(source, SYMBOL))


def assemble(
    arrays: Mapping[str, Float32],
    training: Mapping[str, Any],
    notes: Mapping[str, Any],
    graph: Mapping[str, Any] | None = None,
) -> Model:
    """Return a model of its parts; the training parameters get what the others tell.

    Args:
        arrays: by MXNet's names, of any float type, in any orientation.
        training: the training parameters.
        notes: what stands beside them.
        graph: symbol.json, whose output tells the predictor type where `training` does not.

    Raises: ArtifactError if they are no factorization machine, or do not fit together.
    """
    texts = {name: _text(value) for name, value in training.items()}
    parameters = layout.parameters(arrays, texts)
    if not _finite(parameters):
        raise ArtifactError("a parameter is NaN or infinite")
    texts.setdefault("feature_dim", str(parameters.feature_dim))
    texts.setdefault("num_factors", str(parameters.num_factors))
    texts["predictor_type"] = _predictor_type(texts, graph or {})
    return Model(parameters, texts, {name: _text(value) for name, value in notes.items()})


def _json(source: Parts, name: str) -> dict[str, Any]:
    """Return the object in a part, an empty one where there is no such part."""
    raw = sources.take(source, name)
    if raw is None:
        return {}
    if len(raw) > _LARGEST_JSON:
        raise ArtifactError(f"{name} has {len(raw)} bytes; at most {_LARGEST_JSON}")
    try:
        content = json.loads(bytes(raw))
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{name} is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise ArtifactError(f"{name} must be an object; got {content!r:.60}")
    return content


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _predictor_type(training: Mapping[str, str], graph: Mapping[str, Any]) -> str:
    given = training.get("predictor_type")
    if given in PREDICTOR_TYPES:
        return str(given)
    choice = " or ".join(repr(name) for name in PREDICTOR_TYPES)
    if given is not None:
        raise ArtifactError(f"predictor_type must be {choice}; got {given!r}")
    nodes = graph.get("nodes")
    operators = {node.get("op") for node in nodes or () if isinstance(node, dict)}
    told = {_OUTPUTS[op] for op in _OUTPUTS if op in operators}
    if len(told) != 1:
        raise ArtifactError(
            f"nothing says the predictor type (training_parameters in {META}, the output of "
            f"{SYMBOL}): give `fm-model import` a --predictor-type, {choice}"
        )
    return told.pop()


def _finite(parameters: Parameters) -> bool:
    """Return whether no parameter is NaN or infinite, a block of rows at a time."""

    def whole(array: Float32) -> bool:
        rows = max(1, _BLOCK // (array.size // len(array)))
        blocks = (array[at : at + rows] for at in range(0, len(array), rows))
        return all(bool(np.isfinite(block).all()) for block in blocks)

    return all(whole(array) for array in (parameters.w0, parameters.w, parameters.v))
