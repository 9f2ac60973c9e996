"""Errors of a request, and the HTTP status of each error. Flask raises 404 and 405 itself."""

from factorization_machines.errors import FactorizationMachinesError, PlatformError, UserError


class UnsupportedMediaType(UserError):
    """The content type of a request has no decoder."""

    http_status = 415


class NotAcceptable(UserError):
    """The Accept header of a request allows no format that has an encoder."""

    http_status = 406


class PayloadTooLarge(UserError):
    """The body of a request is larger than the limit."""

    http_status = 413


class RequestTimeout(UserError):
    """The body of a request did not arrive in time, or its client disconnected."""

    http_status = 408


class Loading(PlatformError):
    """The model is not loaded yet."""


class Busy(PlatformError):
    """Other requests take what a request needs. A client may send it again."""


def http_status(error: FactorizationMachinesError) -> int:
    """Return the status of a response to a request that ends with this error."""
    own: int | None = getattr(error, "http_status", None)
    if own is not None:
        return own
    if isinstance(error, UserError):
        return 400
    return 503 if isinstance(error, PlatformError) else 500
