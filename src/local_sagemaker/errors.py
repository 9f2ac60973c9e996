"""The one error that ends a command with one line instead of a traceback."""


class LocalError(Exception):
    """Something that the user can put right; the message says what, and how."""
