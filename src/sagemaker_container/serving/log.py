"""The log of the endpoint: lines on standard error."""

import contextlib
import os


def log(text: str) -> None:
    """Write lines to standard error in one system call, so that workers do not mix them."""
    with contextlib.suppress(OSError):  # a closed standard error must not fail a request
        os.write(2, f"{text}\n".encode(errors="backslashreplace"))
