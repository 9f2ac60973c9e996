"""Errors, classified by who can fix them: the caller, the environment, or the authors."""


def printable(text: str, keep: str = "") -> str:
    """Return a text with its control characters and lone surrogates as escape sequences.

    For names and values from outside: raw, they could change a terminal or end a line of a log.

    Args:
        text: the text.
        keep: control characters that stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in text)


class FactorizationMachinesError(Exception):
    """Base class of every error that this package raises on purpose."""

    def failure_text(self) -> str:
        """Return the class name and the message, as the file output/failure has them.

        Only the ends of the message's lines remain of its control characters.
        """
        return printable(f"{type(self).__name__}: {self}", keep="\n")


class UserError(FactorizationMachinesError):
    """The caller can fix it: a hyperparameter, a channel, a record, a request."""


class CheckpointError(UserError):
    """The checkpoints in the job's folder were written by another job."""


class DataError(UserError):
    """A record or a request body is malformed, or its values cannot be used."""


class PlatformError(FactorizationMachinesError):
    """The environment can fix it: a missing mount, a full disk, a folder without permission."""


class ArtifactError(PlatformError):
    """The model artifact is missing, cut short, or not a factorization machine."""


class AlgorithmError(FactorizationMachinesError):
    """The authors can fix it: an invariant of this package does not hold."""


class DivergedError(AlgorithmError):
    """A loss or a parameter is not finite."""
