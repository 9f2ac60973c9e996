"""Reads and checks an artifact, whether packed in archives or extracted."""

import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from factorization_machines.artifact import layout, ndarrays, sources
from factorization_machines.artifact.archives import DAMAGE
from factorization_machines.artifact.model import LARGEST_JSON, PREDICTOR_TYPES, Model
from factorization_machines.artifact.sources import META, PARAMS, SYMBOL, Parts
from factorization_machines.errors import ArtifactError, printable
from factorization_machines.parameters import Float32, Parameters

_BLOCK = 1 << 20  # values checked at a time
_OUTPUTS = {
    "LogisticRegressionOutput": "binary_classifier",
    "LinearRegressionOutput": "regressor",
    "MAERegressionOutput": "regressor",
}


def read(path: Path, predictor_type: str | None = None) -> Model:
    """Return the model at a path.

    Args:
        path: a model_algo-1, a model.tar.gz, or a folder, such as /opt/ml/model, with one of them
            or with the extracted files.
        predictor_type: overrides the artifact's; needed if the artifact has none.

    Cost: an artifact of this package is mapped into memory and read once; any other is copied,
    twice if it is deflated and transposed. A model.tar.gz is extracted to a temporary file.

    Raises: ArtifactError if there is no artifact, or it is truncated, damaged, or not a
        factorization machine.
    """
    location = sources.find(path)
    try:
        return _model(sources.parts(location), predictor_type)
    except ArtifactError as error:
        raise ArtifactError(f"{location}: {printable(str(error)):.500}") from None
    except EOFError as error:
        detail = str(error) or "its end is missing"
        start = f"{location} is cut short at byte {location.stat().st_size}"
        raise ArtifactError(f"{start}: {detail}") from None
    except DAMAGE as error:
        kind = "tar archive" if isinstance(error, tarfile.TarError) else "zip archive"
        # Some of these errors quote a name in the archive, which can be 64 KB long.
        raise ArtifactError(
            f"{location} is not a {kind}, or it is damaged: {printable(str(error)):.200}"
        ) from None
    except OSError as error:
        raise ArtifactError(f"{location} cannot be read: {error.strerror or error}") from error
    except MemoryError:
        raise ArtifactError(f"{location}: not enough memory for its parameters") from None


def _model(source: Parts, predictor_type: str | None) -> Model:
    content = sources.take(source, PARAMS)
    if content is None:
        raise ArtifactError(f"no {PARAMS} inside; {sources.description(source.names)}")
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
    """Return a model of its parts, and complete the training parameters from the other parts.

    Args:
        arrays: by MXNet's names, of any float type, in any orientation.
        training: the training parameters.
        notes: the other entries of meta.json.
        graph: symbol.json, whose output determines the predictor type if `training` has none.

    Raises: ArtifactError if the parts are not those of a factorization machine or are inconsistent.
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
    """Return the JSON object in a part; an empty one if there is no such part."""
    raw = sources.take(source, name)
    if raw is None:
        return {}
    if len(raw) > LARGEST_JSON:
        raise ArtifactError(f"{name} has {len(raw)} bytes; at most {LARGEST_JSON}")
    return json_object(bytes(raw), name)


def json_object(text: bytes | str, name: str) -> dict[str, Any]:
    """Return the JSON object in a text. Raises: ArtifactError, by the text's name."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{name} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ArtifactError(f"{name} must be an object; got {content!r:.60}")
    return content


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _predictor_type(training: Mapping[str, str], graph: Mapping[str, Any]) -> str:
    name = training.get("predictor_type")
    if name in PREDICTOR_TYPES:
        return str(name)
    choice = " or ".join(map(repr, PREDICTOR_TYPES))
    if name is not None:
        raise ArtifactError(f"predictor_type must be {choice}; got {name!r}")
    nodes = graph.get("nodes")
    operators = [
        node.get("op")
        for node in (nodes if isinstance(nodes, list) else ())
        if isinstance(node, dict)
    ]
    types = {_OUTPUTS[op] for op in _OUTPUTS if op in operators}
    if len(types) != 1:
        raise ArtifactError(
            f"nothing says the predictor type (training_parameters in {META}, the output of "
            f"{SYMBOL}): give `fm-model import` a --predictor-type, {choice}"
        )
    return types.pop()


def _finite(parameters: Parameters) -> bool:
    """Return whether no parameter is NaN or infinite; blocks of rows limit the memory needed."""

    def all_finite(array: Float32) -> bool:
        rows = max(1, _BLOCK // (array.size // len(array)))
        blocks = (array[start : start + rows] for start in range(0, len(array), rows))
        return all(bool(np.isfinite(block).all()) for block in blocks)

    return all(all_finite(array) for array in (parameters.w0, parameters.w, parameters.v))
