"""Writes output/failure, the reason of a failed job that the service shows to its user."""

import os
from pathlib import Path

LONGEST = 1024  # characters; the service shows no more


def write(path: Path, text: str) -> str | None:
    """Write the text, cut to 1,024 characters; return why that failed, or None.

    It never raises, because an unwritable failure file must not hide the failure itself.
    """
    if len(text) > LONGEST:
        text = text[: LONGEST - 3] + "..."
    # Lone surrogates cannot be encoded.
    data = text.encode("utf-8", errors="replace")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # O_NONBLOCK: a FIFO without a reader is an error instead of a wait.
        with open(path, "wb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as f:
            f.write(data)
    except OSError as error:
        return f"{path} could not be written: {error.strerror or error}"
    return None
