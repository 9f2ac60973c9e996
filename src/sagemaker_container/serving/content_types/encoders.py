"""Encodes a response: a score for each instance, and the label of a classifier."""

from collections.abc import Iterable, Iterator

import numpy as np
import orjson

from factorization_machines.instances import Float32
from factorization_machines.recordio.framing import frame

_BLOCK = 10_000  # predictions


def predictions(scores: Float32, labels: Float32 | None) -> list[dict[str, float]]:
    """Return `{"score": …, "predicted_label": …}` for each score; a regressor has no label."""
    if labels is None:
        return [{"score": score} for score in scores.tolist()]
    pairs = zip(scores.tolist(), labels.tolist(), strict=True)
    return [{"score": score, "predicted_label": label} for score, label in pairs]


def encode_json(scores: Float32, labels: Float32 | None) -> bytes:
    """Return `{"predictions": […]}`."""
    blocks = [orjson.dumps(predictions(*block))[1:-1] for block in _blocks(scores, labels)]
    return b'{"predictions":[' + b",".join(blocks) + b"]}"


def encode_json_lines(scores: Float32, labels: Float32 | None) -> bytes:
    """Return one prediction on each line; the last line has no newline."""
    return b"\n".join(to_json_lines(predictions(*block)) for block in _blocks(scores, labels))


def to_json(items: Iterable[object]) -> bytes:
    """Return predictions as one JSON object."""
    return orjson.dumps({"predictions": items})


def to_json_lines(items: Iterable[object]) -> bytes:
    """Return predictions as one JSON object on each line; the last line has no newline."""
    return b"\n".join(map(orjson.dumps, items))


def encode_csv(scores: Float32, labels: Float32 | None) -> bytes:
    """Return `score,predicted_label` or `score` on each line, with the digits of JSON."""
    return b"\n".join(_csv_block(*block) for block in _blocks(scores, labels))


def _csv_block(scores: Float32, labels: Float32 | None) -> bytes:
    columns = [scores] if labels is None else [scores, labels]
    rows = np.stack(columns, axis=1).tolist()
    return b"\n".join(orjson.dumps(row)[1:-1] for row in rows)


def _blocks(scores: Float32, labels: Float32 | None) -> Iterator[tuple[Float32, Float32 | None]]:
    """Yield parts of the columns, of which only one at a time is in memory as Python's objects."""
    for start in range(0, max(1, scores.size), _BLOCK):
        part = slice(start, start + _BLOCK)
        yield scores[part], None if labels is None else labels[part]


def encode_records(scores: Float32, labels: Float32 | None) -> bytes:
    """Return a framed record for each score, with `score` and `predicted_label` as labels."""
    columns = {"score": scores} if labels is None else {"score": scores, "predicted_label": labels}
    message, offsets = b"", []
    for name in columns:
        # A map entry: the key, and a Value with a Float32Tensor of one packed number.
        entry = b"\x0a" + bytes([len(name)]) + name.encode() + b"\x12\x08\x12\x06\x0a\x04"
        offsets.append(8 + len(message) + 2 + len(entry))
        message += b"\x12" + bytes([len(entry) + 4]) + entry + bytes(4)
    record = frame(message)
    # All records are the same except for their numbers.
    records = np.tile(np.frombuffer(record, np.uint8), (scores.size, 1))
    for offset, column in zip(offsets, columns.values(), strict=True):
        records[:, offset : offset + 4] = column.astype("<f4")[:, None].view(np.uint8)
    return records.tobytes()
