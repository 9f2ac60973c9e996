"""Factorization machines as a Python library: train, score, save and load models.

Knows nothing of /opt/ml, HTTP, AWS or Docker, and reads no environment variable. Importing it
loads none of torch, Numba, SciPy and scikit-learn: the estimators are loaded when they are used.
"""

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = [
    "FactorizationMachineClassifier",
    "FactorizationMachineEstimator",
    "FactorizationMachineRegressor",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("factorization_machines.estimator"), name)
