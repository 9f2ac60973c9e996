"""What is answered, in each format: a score for each instance, and a classifier's label."""

from collections.abc import Iterable

import numpy as np
import orjson

from factorization_machines.instances import Float32
from factorization_machines.recordio.framing import frame


def predictions(scores: Float32, labels: Float32 | None) -> list[dict[str, float]]:
    """Return `{"score": …, "predicted_label": …}` for each score; a regressor has no label."""
    if labels is None:
        return [{"score": score} for score in scores.tolist()]
    pairs = zip(scores.tolist(), labels.tolist(), strict=True)
    return [{"score": score, "predicted_label": label} for score, label in pairs]


def write_json(scores: Float32, labels: Float32 | None) -> bytes:
    """Return `{"predictions": […]}`."""
    return json_of(predictions(scores, labels))


def write_json_lines(scores: Float32, labels: Float32 | None) -> bytes:
    """Return a prediction a line. The last line has no end, see `json_lines_of`."""
    return json_lines_of(predictions(scores, labels))


def json_of(answers: Iterable[object]) -> bytes:
    """Return answers as one JSON object."""
    return orjson.dumps({"predictions": answers})


def json_lines_of(answers: Iterable[object]) -> bytes:
    """Return answers as one JSON object a line.

    A newline is between two lines and not after the last: batch transform adds that itself, with
    AssembleWith Line.
    """
    return b"\n".join(map(orjson.dumps, answers))


def write_csv(scores: Float32, labels: Float32 | None) -> bytes:
    """Return `score,predicted_label` a line, or the score alone, digits as in JSON."""
    columns = [scores] if labels is None else [scores, labels]
    rows = np.stack(columns, axis=1).tolist()
    return b"\n".join(orjson.dumps(row)[1:-1] for row in rows)


def write_records(scores: Float32, labels: Float32 | None) -> bytes:
    """Return a framed record for each score: `score` and `predicted_label` in its label map."""
    columns = {"score": scores} if labels is None else {"score": scores, "predicted_label": labels}
    message, places = b"", []
    for name in columns:
        # A map entry: its key, and a Value of a Float32Tensor that has one packed number.
        entry = b"\x0a" + bytes([len(name)]) + name.encode() + b"\x12\x08\x12\x06\x0a\x04"
        places.append(8 + len(message) + 2 + len(entry))
        message += b"\x12" + bytes([len(entry) + 4]) + entry + bytes(4)
    record = frame(message)
    # Each record is the same but for its numbers.
    records = np.tile(np.frombuffer(record, np.uint8), (scores.size, 1))
    for place, column in zip(places, columns.values(), strict=True):
        records[:, place : place + 4] = column.astype("<f4")[:, None].view(np.uint8)
    return records.tobytes()
