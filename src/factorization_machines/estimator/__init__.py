"""Factorization machines with scikit-learn's interface, over the same trainer as the container.

Needs scikit-learn (the extra `sklearn`). Nothing else in the library imports this package.
"""

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError as error:
    raise ImportError(
        "the estimators need scikit-learn: pip install 'local-factorization-machines[sklearn]'"
    ) from error

from factorization_machines.estimator.estimators import (
    FactorizationMachineClassifier,
    FactorizationMachineEstimator,
    FactorizationMachineRegressor,
)

__all__ = [
    "FactorizationMachineClassifier",
    "FactorizationMachineEstimator",
    "FactorizationMachineRegressor",
]
