"""Errors by who can fix them: the caller, the environment, or the authors of this package."""


class FactorizationMachinesError(Exception):
    """Base of every error that this package raises on purpose."""

    def failure_text(self) -> str:
        """Return the error as one text, class name and message, fit for output/failure."""
        return f"{type(self).__name__}: {self}"


class UserError(FactorizationMachinesError):
    """The caller can fix it: a hyperparameter, a channel, a record, a request."""


class CheckpointError(UserError):
    """The checkpoints that a job is to go on from are of another job."""


class DataError(UserError):
    """A record or a request body is malformed, or its values cannot be used."""


class PlatformError(FactorizationMachinesError):
    """The environment can fix it: a missing mount, a full disk, a folder without permission."""


class ArtifactError(PlatformError):
    """The model artifact is missing, cut short, or not a factorization machine."""


class AlgorithmError(FactorizationMachinesError):
    """We must fix it: an invariant of this package does not hold."""


class DivergedError(AlgorithmError):
    """Training reached a loss or a parameter that is not finite."""
