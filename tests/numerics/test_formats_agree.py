"""Any instances, in any format, whatever else is in the request: the same scores."""

import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_container.serving.content_types.negotiation import (
    CSV,
    JSON,
    JSON_LINES,
    LIBSVM,
    RECORDS,
)
from sagemaker_container.serving.inference import answer
from support import fm
from support.recordio import frame, message
from support.scoring import predictor

DIM = 7
MODEL = predictor(fm.parameters(11, DIM, 5, scale=0.3))
Row = dict[int, float]

rows = st.lists(
    st.dictionaries(
        st.integers(0, DIM - 1),
        st.floats(-2, 2, width=32) | st.sampled_from([0.0, 1.0, 1.0]),
        max_size=DIM,
    ),
    max_size=12,
)


def dense(row: Row) -> list[float]:
    return [row.get(key, 0.0) for key in range(DIM)]


def sparse(row: Row) -> Any:
    return {"keys": list(row), "values": list(row.values())}


def bodies(given: list[Row]) -> list[tuple[str, bytes]]:
    """Return the same instances in every format and form."""
    forms = [
        [{"features": dense(row)} for row in given],
        [{"data": {"features": {"values": dense(row)}}} for row in given],
        [{"features": sparse(row)} for row in given],
        [{"data": {"features": {**sparse(row), "shape": [DIM]}}} for row in given],
        # Mixed, and with a word that makes each be read by itself.
        [{"features": dense(row) if i % 2 else sparse(row), "x": True}
         for i, row in enumerate(given)],
    ]  # fmt: skip
    made = [(JSON, json.dumps({"instances": form}).encode()) for form in forms]
    made += [(JSON_LINES, "\n".join(map(json.dumps, form)).encode()) for form in forms]
    made.append((CSV, "\n".join(",".join(map(repr, dense(row))) for row in given).encode()))
    made.append(
        (
            f"{CSV};label_size=2",
            "\r\n".join(",".join(map(repr, [1, 2, *dense(row)])) for row in given).encode(),
        )
    )
    lines = (" ".join(f"{key}:{value!r}" for key, value in row.items()) for row in given)
    made.append((LIBSVM, "\n".join(f"0 {line}" for line in lines).encode()))
    if given:
        for kind in ("float32", "float64"):
            for label in (None, 1.0):
                records = [
                    [message(dense(row), label, kind=kind) for row in given],
                    [message(list(row.values()), label, keys=list(row), shape=[DIM], kind=kind)
                     if row else message([], label, shape=[DIM], kind=kind) for row in given],
                ]  # fmt: skip
                made += [(RECORDS, b"".join(map(frame, some))) for some in records]
    return made


@given(rows)
def test_in_every_format(given: list[Row]) -> None:
    found = []
    for content_type, body in bodies(given):
        for accept in (JSON, JSON_LINES, CSV):
            kind, content = answer(MODEL, body, content_type, accept, batch=False)
            assert kind == accept
            if accept == JSON:
                predictions = json.loads(content)["predictions"]
                scores = [(one["score"], one["predicted_label"]) for one in predictions]
            elif accept == JSON_LINES:
                scores = [tuple(json.loads(line).values()) for line in content.splitlines()]
            else:
                scores = [tuple(map(float, line.split(b","))) for line in content.splitlines()]
            found.append(scores)
    assert len(found[0]) == len(given)
    # But for rounding: a format may have the keys in another order, and leaves zeros out or not.
    for scores in found[1:]:
        np.testing.assert_allclose(
            np.reshape(scores, (-1, 2))[:, 0], np.reshape(found[0], (-1, 2))[:, 0], rtol=0,
            atol=1e-5,
        )  # fmt: skip


@given(rows)
def test_one_at_a_time(given: list[Row]) -> None:
    whole = [{"features": sparse(row)} for row in given]
    together = json.loads(ask(whole))["predictions"]
    assert together == [json.loads(ask([one]))["predictions"][0] for one in whole]


def ask(instances: Any) -> bytes:
    return answer(MODEL, json.dumps({"instances": instances}).encode(), JSON, None, batch=False)[1]
