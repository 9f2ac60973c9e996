"""Errors of a container, and the exit code of each kind of error.

Exit codes: 2 the caller can fix it, 3 the environment can, 1 the authors must. SageMaker only
distinguishes zero from others.
"""

from factorization_machines.errors import (
    FactorizationMachinesError,
    PlatformError,
    UserError,
)


class HyperparameterError(UserError):
    """A hyperparameter is missing, unknown, out of range, or at odds with another."""


class ConfigurationError(UserError):
    """A file under input/config is missing or is not what the contract says."""


class ChannelError(UserError):
    """A channel is missing, empty, or of a kind that this container cannot read."""


def exit_code(error: FactorizationMachinesError) -> int:
    """Return the exit code of a train that ends with this error."""
    if isinstance(error, UserError):
        return 2
    return 3 if isinstance(error, PlatformError) else 1
