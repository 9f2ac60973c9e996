"""AWS's errors, as the service raises them and the wire carries them."""


class ServiceError(Exception):
    """An error that the caller sees: its code, its message, its HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400, **fields: object):
        """Take the code and the message; fields are further members of the answer."""
        super().__init__(message)
        self.code, self.message, self.status, self.fields = code, message, status, fields


def invalid(message: str) -> ServiceError:
    """Return a ValidationException."""
    return ServiceError("ValidationException", message)


def in_use(message: str) -> ServiceError:
    """Return a ResourceInUse."""
    return ServiceError("ResourceInUse", message)


def not_found(message: str) -> ServiceError:
    """Return a ResourceNotFound."""
    return ServiceError("ResourceNotFound", message)
