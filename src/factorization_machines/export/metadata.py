"""The content that all formats share: three arrays, and three texts of metadata."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from factorization_machines import artifact
from factorization_machines.artifact import Model
from factorization_machines.errors import PlatformError
from factorization_machines.parameters import Float32

_TEXTS = ("training_parameters", "notes")
# Our names of arrays, and those in MXNet's files.
_TO_MXNET = {"w": "w1_weight", "w0": "w0_weight"}


@dataclass(frozen=True)
class Content:
    """The arrays of a file, and those of the texts in `texts()` that the file has."""

    arrays: Mapping[str, Any]
    texts: Mapping[str, str] = field(default_factory=dict)


def arrays(model: Model) -> dict[str, Float32]:
    """Return the parameters with the names and shapes of our torch module.

    `w0` (1,), `w` (feature_dim, 1), `v` (feature_dim, num_factors), all float32.
    """
    parameters = model.parameters
    return {"w0": parameters.w0, "w": parameters.w[:, None], "v": parameters.v}


def texts(model: Model) -> dict[str, str]:
    """Return `predictor_type`, and `training_parameters` and `notes` as JSON."""
    return {
        "predictor_type": model.predictor_type,
        "training_parameters": json.dumps(dict(model.training_parameters)),
        "notes": json.dumps(dict(model.notes)),
    }


def model(content: Content, predictor_type: str | None) -> Model:
    """Return the model of a file's content.

    Args:
        content: of the file.
        predictor_type: overrides the file's; needed if the file has none.

    Raises: ArtifactError if the content is not that of a factorization machine.
    """
    training, notes = (
        artifact.json_object(content.texts.get(name) or "{}", name) for name in _TEXTS
    )
    predictor_type = predictor_type or content.texts.get("predictor_type")
    if predictor_type:
        training["predictor_type"] = predictor_type
    named = {_TO_MXNET.get(name, name): array for name, array in content.arrays.items()}
    return artifact.assemble(named, training, notes)


def missing(library: str, error: ImportError) -> PlatformError:
    """Return the error for a library of the extra `export` that is not installed."""
    return PlatformError(
        f"{library} is not installed ({error}): pip install 'local-factorization-machines[export]'"
    )
