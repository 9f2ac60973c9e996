"""Each encoder's exact bytes."""

import io
import struct

import numpy as np
import pytest

from sagemaker_container.serving.content_types.encoders import (
    encode_csv,
    encode_json,
    encode_json_lines,
    encode_records,
)
from support.recordio import MAGIC, Record

SCORES = np.array([0.5895045399665833, 0.25], np.float32)
LABELS = np.array([1, 0], np.float32)


def test_json() -> None:
    assert encode_json(SCORES, LABELS) == (
        b'{"predictions":[{"score":0.5895045399665833,"predicted_label":1.0},'
        b'{"score":0.25,"predicted_label":0.0}]}'
    )
    assert encode_json(SCORES, None) == (
        b'{"predictions":[{"score":0.5895045399665833},{"score":0.25}]}'
    )
    assert encode_json(SCORES[:0], LABELS[:0]) == b'{"predictions":[]}'


def test_json_lines() -> None:
    assert encode_json_lines(SCORES, LABELS) == (
        b'{"score":0.5895045399665833,"predicted_label":1.0}\n{"score":0.25,"predicted_label":0.0}'
    )
    assert encode_json_lines(SCORES, None) == b'{"score":0.5895045399665833}\n{"score":0.25}'
    assert encode_json_lines(SCORES[:0], None) == b""


def test_csv() -> None:
    assert encode_csv(SCORES, LABELS) == b"0.5895045399665833,1.0\n0.25,0.0"
    assert encode_csv(SCORES, None) == b"0.5895045399665833\n0.25"
    assert encode_csv(SCORES[:0], None) == b""


@pytest.mark.parametrize("labels", [LABELS, None])
def test_records(labels: np.ndarray | None) -> None:
    stream = io.BytesIO(encode_records(SCORES, labels))
    records = []
    while head := stream.read(8):
        magic, length = struct.unpack("<II", head)
        assert magic == MAGIC
        record = Record.FromString(stream.read(length))
        stream.read(-length % 4)
        assert not record.features
        records.append({name: list(value.float32_tensor.values)
                      for name, value in record.label.items()})  # fmt: skip
    want = [{"score": [score]} for score in SCORES.tolist()]
    if labels is not None:
        for one, label in zip(want, labels.tolist(), strict=True):
            one["predicted_label"] = [label]
    assert records == want
    assert encode_records(SCORES[:0], labels if labels is None else labels[:0]) == b""
