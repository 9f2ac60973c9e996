"""RecordIO files as the SDK's write_spmatrix_to_sparse_tensor writes them."""

import struct
from pathlib import Path

from factorization_machines.recordio.decoder import Rows
from factorization_machines.recordio.framing import frame


def write_records(rows: Rows, file: Path) -> Path:
    """Write rows with float32 values and labels; return the file."""
    x, y = rows.x, rows.y
    shape = _field(3, _varint(x.shape[1]))
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        for row, label in enumerate(y.tolist()):
            begin, end = x.indptr[row], x.indptr[row + 1]
            values = _field(1, x.data[begin:end].tobytes())
            keys = _field(2, b"".join(map(_varint, x.indices[begin:end].tolist())))
            message = _entry(1, values + keys + shape)
            message += _entry(2, _field(1, struct.pack("<f", label)))
            stream.write(frame(message))
    return file


def _entry(number: int, tensor: bytes) -> bytes:
    """Return an entry `values` of the map with this number; field 2 is a float32 tensor."""
    return _field(number, _field(1, b"values") + _field(2, _field(2, tensor)))


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
