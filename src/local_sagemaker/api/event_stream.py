"""Writes AWS's event stream encoding (application/vnd.amazon.eventstream)."""

import struct
import zlib
from collections.abc import Mapping

_STRING = 7  # the type of a header's value


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return a message: lengths, their checksum, headers, payload, and the checksum of all."""
    head = b"".join(_header(name, value) for name, value in headers.items())
    lengths = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    content = lengths + struct.pack(">I", zlib.crc32(lengths)) + head + payload
    return content + struct.pack(">I", zlib.crc32(content))


def event(name: str, payload: bytes) -> bytes:
    """Return the message of an event whose payload is bytes."""
    headers = {
        ":event-type": name,
        ":content-type": "application/octet-stream",
        ":message-type": "event",
    }
    return message(headers, payload)


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return struct.pack("B", len(key)) + key + struct.pack(">BH", _STRING, len(text)) + text
