"""Errors by who can fix them; a class has the exit code of train and the status of HTTP."""


class ContainerError(Exception):
    """Base of every error that this package raises on purpose."""

    exit_code = 1
    http_status = 500

    def failure_text(self) -> str:
        """Return the error as one text, class name and message, fit for output/failure."""
        return f"{type(self).__name__}: {self}"


class UserError(ContainerError):
    """The caller can fix it: a hyperparameter, a channel, a record, a request."""

    exit_code = 2
    http_status = 400


class HyperparameterError(UserError):
    """A hyperparameter is missing, unknown, out of range, or at odds with another."""


class ConfigurationError(UserError):
    """A file under input/config is missing or is not what the contract says."""


class ChannelError(UserError):
    """A channel is missing, empty, or of a kind that this container cannot read."""


class CheckpointError(UserError):
    """The checkpoints that a job is to go on from are of another job."""


class DataError(UserError):
    """A record or a request body is malformed, or its values cannot be used."""


class UnsupportedMediaType(UserError):
    """The content type of a request has no decoder."""

    http_status = 415


class NotAcceptable(UserError):
    """A request wants its answer in formats of which none is made."""

    http_status = 406


class PayloadTooLarge(UserError):
    """The body of a request is larger than the server takes."""

    http_status = 413


class PlatformError(ContainerError):
    """The environment can fix it: a missing mount, a full disk, a folder without permission."""

    exit_code = 3
    http_status = 503


class ArtifactError(PlatformError):
    """The model artifact is missing, cut short, or not a factorization machine."""


class AlgorithmError(ContainerError):
    """We must fix it: an invariant of this package does not hold."""


class DivergedError(AlgorithmError):
    """Training reached a loss or a parameter that is not finite."""
