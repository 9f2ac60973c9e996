"""The lines of a text body."""


def lines_of(body: bytes) -> list[bytes]:
    """Return the lines of a text that hold something, without their ends (LF or CR LF)."""
    return [line for line in body.replace(b"\r\n", b"\n").split(b"\n") if line.strip()]
