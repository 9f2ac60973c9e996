"""Errors of the container, with the exit code of train and the HTTP status for each class of error.

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


class UnsupportedMediaType(UserError):
    """The content type of a request has no decoder."""

    http_status = 415


class NotAcceptable(UserError):
    """No format that a request accepts is available."""

    http_status = 406


class PayloadTooLarge(UserError):
    """The body of a request exceeds the server's limit."""

    http_status = 413


def exit_code(error: FactorizationMachinesError) -> int:
    """Return the exit code of `train` for an error."""
    if isinstance(error, UserError):
        return 2
    return 3 if isinstance(error, PlatformError) else 1


def http_status(error: FactorizationMachinesError) -> int:
    """Return the status of the response to a request that failed with an error."""
    status: int | None = getattr(error, "http_status", None)
    if status is not None:
        return status
    if isinstance(error, UserError):
        return 400
    return 503 if isinstance(error, PlatformError) else 500
