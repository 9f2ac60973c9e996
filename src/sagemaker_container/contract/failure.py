"""output/failure: why a job failed, in the words that the service shows its user."""

from pathlib import Path

LONGEST = 1024  # characters; the service shows no more


def write(path: Path, text: str) -> str | None:
    """Write the failure text, cut to what the service shows; return why it could not be, or None.

    It never raises: a failure file that cannot be written must not hide the failure itself.
    """
    if len(text) > LONGEST:
        text = text[: LONGEST - 3] + "..."
    # The limit is on characters, the file holds bytes: what UTF-8 cannot hold is replaced.
    data = text.encode("utf-8", errors="replace")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        return f"{path} could not be written: {error.strerror or error}"
    return None
