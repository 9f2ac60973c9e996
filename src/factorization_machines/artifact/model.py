"""The content of an artifact."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from factorization_machines.parameters import Parameters

FILE_NAME = "model_algo-1"
LARGEST_JSON = 1 << 20  # bytes of meta.json and of symbol.json
PREDICTOR_TYPES = ("binary_classifier", "regressor")


@dataclass(frozen=True)
class Model:
    """The content of an artifact: the parameters, and the training parameters as strings."""

    parameters: Parameters
    training_parameters: Mapping[str, str]
    notes: Mapping[str, str] = field(default_factory=dict)
    """The other entries of meta.json, such as the program that trained the model."""

    @property
    def predictor_type(self) -> str:
        """Return the predictor type in the training parameters, one of PREDICTOR_TYPES."""
        return self.training_parameters["predictor_type"]

    @property
    def classifier(self) -> bool:
        """Return whether scores are probabilities."""
        return self.predictor_type == "binary_classifier"
