"""What an artifact holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from factorization_machines.parameters import Parameters

FILE_NAME = "model_algo-1"
PREDICTOR_TYPES = ("binary_classifier", "regressor")


@dataclass(frozen=True)
class Model:
    """What an artifact holds: the parameters, and the training parameters as strings."""

    parameters: Parameters
    training_parameters: Mapping[str, str]
    notes: Mapping[str, str] = field(default_factory=dict)
    """What stands beside the training parameters in meta.json; ours says what trained it."""

    @property
    def predictor_type(self) -> str:
        """Return one of PREDICTOR_TYPES, by the training parameters."""
        return self.training_parameters["predictor_type"]

    @property
    def classifier(self) -> bool:
        """Return whether scores are probabilities."""
        return self.predictor_type == "binary_classifier"
