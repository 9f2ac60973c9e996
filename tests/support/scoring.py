"""Small models as serving holds them."""

import numpy as np

from factorization_machines.artifact import Model
from factorization_machines.parameters import Parameters
from factorization_machines.scoring import Predictor


def predictor(parameters: Parameters, predictor_type: str = "binary_classifier") -> Predictor:
    """Return the predictor of a model with these parameters."""
    return Predictor(Model(parameters, {"predictor_type": predictor_type}))


def known(predictor_type: str = "binary_classifier", v: float = 0.5) -> Predictor:
    """Return a predictor of three features, whose scores can be worked out by hand."""
    w0, w = np.array([0.25], np.float32), np.array([1, 2, 3], np.float32)
    return predictor(Parameters(w0, w, np.full((3, 2), v, np.float32)), predictor_type)
