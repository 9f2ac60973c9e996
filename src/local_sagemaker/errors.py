"""Errors that reach a user: on the command line, in a job's record, or as an AWS error response."""

import contextlib
import sys


class LocalError(Exception):
    """An error that the user can fix; the message says what is wrong and how to fix it."""


class ServiceError(Exception):
    """An AWS error response: its code, its message and its HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400, **members: object):
        """Take the code and the message; `members` are further members of the response."""
        super().__init__(message)
        self.code, self.message, self.status, self.members = code, message, status, members


def invalid(message: str) -> ServiceError:
    """Return a ValidationException."""
    return ServiceError("ValidationException", message)


def in_use(message: str) -> ServiceError:
    """Return a ResourceInUse."""
    return ServiceError("ResourceInUse", message)


def conflict(message: str) -> ServiceError:
    """Return a ConflictException."""
    return ServiceError("ConflictException", message)


def not_found(message: str) -> ServiceError:
    """Return a ResourceNotFound."""
    return ServiceError("ResourceNotFound", message)


def write_log(text: str) -> None:
    """Write a line to the service's log, unless its disk is full: that must not fail a request."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{text.rstrip()}\n")
