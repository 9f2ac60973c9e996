"""Errors of a container, and what train and serve answer to each kind of error.

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


class UnsupportedMediaType(UserError):
    """The content type of a request has no decoder."""

    http_status = 415


class NotAcceptable(UserError):
    """A request wants its answer in formats of which none is made."""

    http_status = 406


class PayloadTooLarge(UserError):
    """The body of a request is larger than the server takes."""

    http_status = 413


def exit_code(error: FactorizationMachinesError) -> int:
    """Return the exit code of a train that ends with this error."""
    if isinstance(error, UserError):
        return 2
    return 3 if isinstance(error, PlatformError) else 1


def http_status(error: FactorizationMachinesError) -> int:
    """Return the status of a response to a request that ends with this error."""
    own: int | None = getattr(error, "http_status", None)
    if own is not None:
        return own
    if isinstance(error, UserError):
        return 400
    return 503 if isinstance(error, PlatformError) else 500
