"""RecordIO-protobuf in the body of a request: framed records, or the bare message of one.

A body that SageMaker's SDK wrote is decoded by `batch`, all records at once. Any other is decoded
record by record, with the functions that decode channels, here run as Python.
"""

from array import array

import numpy as np

from factorization_machines.errors import DataError
from factorization_machines.instances import Instances, stack
from factorization_machines.recordio import batch, decode_errors, parser
from factorization_machines.recordio.layout import HEADER_SIZE, MAGIC_BYTES
from factorization_machines.recordio.record import DETAIL, IGNORED, NEW_STATE, POSITION, ROWS, Rows

# From so many bytes on, the fixed cost of `batch` is less than that of one record after the other.
_BATCH_BYTES = 256


def read_records(body: bytes, feature_dim: int) -> Instances:
    """Return the rows of framed records, or of one record's message without its frame.

    Labels are ignored.

    Raises: DataError that names the instance and what is wrong with it.
    """
    if not body:
        raise DataError("the body is empty; send RecordIO-protobuf records")
    if len(body) >= _BATCH_BYTES and body.startswith(MAGIC_BYTES):
        decoded = batch.decode(body, feature_dim)
        if decoded is not None:
            return decoded
    return _decode_each(body, feature_dim)


def _decode_each(body: bytes, feature_dim: int) -> Instances:
    data, framed = memoryview(body), body.startswith(MAGIC_BYTES)
    # A number takes at least one byte, and a record its header.
    numbers, records = len(body), 1 + len(body) // HEADER_SIZE
    rows = Rows(
        array("f", bytes(4 * numbers)),
        array("i", bytes(4 * numbers)),
        array("q", bytes(8 * (records + 1))),
        array("f", bytes(4 * records)),
        list(NEW_STATE),
    )
    if framed:
        code = parser.parse(data, feature_dim, IGNORED, rows)
    else:
        code = parser.append(data, 0, len(body), feature_dim, IGNORED, rows)
    if code != decode_errors.OK:
        raise DataError(_explain(code, body, feature_dim, rows, framed=framed))
    ends = np.frombuffer(rows.indptr, np.int64)[: rows.state[ROWS] + 1]
    keys = np.frombuffer(rows.keys, np.int32)[: ends[-1]].astype(np.int64)
    return stack(np.diff(ends), keys, np.frombuffer(rows.values, np.float32)[: ends[-1]])


def _explain(code: int, body: bytes, feature_dim: int, rows: Rows, *, framed: bool) -> str:
    at, detail = rows.state[POSITION], rows.state[DETAIL]
    head, left = body[at : at + 16], len(body) - at
    if not framed and code == decode_errors.CUT_MESSAGE:
        reason = decode_errors.explain(decode_errors.BAD_MAGIC, 0, 0, head, left, 0)
        return f"the body is neither RecordIO nor a bare record: {reason}"
    reason = decode_errors.explain(code, detail, feature_dim, head, left, at)
    return f"instance {rows.state[ROWS]} (the first is 0), at byte {at}: {reason}"
