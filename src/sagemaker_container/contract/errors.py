"""Errors of a container, and the exit code of each kind of error.

Exit codes: 2 if the caller can fix the error, 3 if the environment can, 1 if the authors must.
SageMaker only distinguishes zero from the others.
"""

from factorization_machines.errors import (
    FactorizationMachinesError,
    PlatformError,
    UserError,
)


class HyperparameterError(UserError):
    """A hyperparameter is missing, unknown, out of range, or in conflict with another."""


class ConfigurationError(UserError):
    """A file in input/config is missing or violates the contract."""


class ChannelError(UserError):
    """A channel is missing, empty, or delivered in an unsupported way."""


def exit_code(error: FactorizationMachinesError) -> int:
    """Return the exit code of `train` for an error."""
    if isinstance(error, UserError):
        return 2
    return 3 if isinstance(error, PlatformError) else 1
