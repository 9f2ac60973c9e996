"""The fast path of the decoder takes what the SDK writes, and nothing that it would misread."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorization_machines.errors import DataError
from factorization_machines.recordio import decoder, framing
from factorization_machines.recordio.decode_errors import OK
from factorization_machines.recordio.decoder import Decoder
from factorization_machines.recordio.sdk_layout import sdk_record
from support import encodings
from support.examples import examples
from support.recordio import frame, message

DIM = 300
INF, NAN = float("inf"), float("nan")
Row = tuple[list[float], list[int], float]


def as_array(content: bytes) -> Any:
    return np.frombuffer(content, np.uint8)


def fast(content: bytes, feature_dim: int = DIM) -> Row | None:
    """Return values, keys and label of a message; None if it is left to the general path."""
    values, keys = np.empty(len(content), np.float32), np.empty(len(content), np.int32)
    labels = np.empty(1, np.float32)
    nnz = sdk_record(as_array(content), 0, len(content), feature_dim, values, keys, 0, labels, 0)
    return None if nnz < 0 else (values[:nnz].tolist(), keys[:nnz].tolist(), float(labels[0]))


def general(content: bytes, feature_dim: int = DIM) -> tuple[int, bool, Row]:
    """Return the code of the general path, whether keys ascend, and the row."""
    size = len(content)
    values, keys = np.empty(size, np.float32), np.empty(size, np.int32)
    labels, state = np.empty(1, np.float32), np.zeros(5, np.int64)
    state[framing.SORTED] = 1
    scratch = np.empty(size, np.float32), np.empty(size, np.int64), np.empty(2, np.int64)
    code = framing.record(
        as_array(content), 0, size, feature_dim, True, *scratch, values, keys, labels, state
    )
    nnz = int(state[framing.NNZ])
    row = values[:nnz].tolist(), keys[:nnz].tolist(), float(labels[0])
    return int(code), bool(state[framing.SORTED]), row


@pytest.mark.parametrize(
    ("content", "feature_dim"),
    [
        (message([1.0, 1.0], 1.0, keys=[0, 299], shape=[300]), 300),
        (message([1.0] * 40, 0.0, keys=range(160, 200), shape=[300]), 300),
        (message([1.0] * 5000, 1.0, keys=range(20000, 25000), shape=[30000]), 30000),
        (message([1.0], 1.0, keys=[2**28 - 1]), 2**28),
        (message([0.0, -0.0, -2.5], 1.0, keys=[0, 1, 2], shape=[3]), 300),
        (message([], 1.0, shape=[300]), 300),
        (message([], -1.5), 300),
        (message([0.5] * 300, 3.0), 300),
        (message([0.5] * 300, 3.0, shape=[300]), 300),
    ],
)
def test_what_the_sdk_writes_is_taken(content: bytes, feature_dim: int) -> None:
    row = fast(content, feature_dim)
    assert row is not None
    assert general(content, feature_dim) == (OK, True, row)


@pytest.mark.parametrize(
    "content",
    [
        message([1.0, 1.0], 1.0, keys=[1, 0]),  # legal, but must be sorted
        message([1.0, 1.0], 1.0, keys=[1, 1]),  # and added
        message([1.0], 1.0, keys=[300]),
        message([1.0], 1.0, keys=[2**32]),  # no int32
        message([1.0], 1.0, keys=[2**64 - 1]),
        message([1.0], 1.0, keys=[200], shape=[200]),
        message([1.0], 1.0, keys=[2], shape=[20, 15]),
        message([1.0], 1.0, keys=[1, 2]),
        message([1.0, 1.0], 1.0, keys=[1]),
        message([1.0] * 299, 1.0),
        message([1.0] * 300, 1.0, shape=[299]),
        message([NAN], 1.0, keys=[1]),
        message([INF] * 300, 1.0),
        message([1.0], NAN, keys=[1]),
        message([1.0], -INF, keys=[1]),
        message([1.0], None, keys=[1]),
        message([1.0], [1.0, 2.0], keys=[1]),
        message([1.0], 1.0, keys=[1], kind="float64"),
        message([1.0], 1, keys=[1], label_kind="int32"),
        message([1.0], 1.0, keys=[1]) + encodings.field(3, 2, b"uid"),
        message([1.0], 1.0, keys=[1])[:-1],
        b"",
    ],
)
def test_all_else_is_left_to_the_general_path(content: bytes) -> None:
    assert fast(content) is None


def changed(content: bytes, data: st.DataObject) -> bytes:
    """Return the message with a few bytes replaced, left out, doubled or put in."""
    for _ in range(data.draw(st.integers(1, 3))):
        first = data.draw(st.integers(0, len(content)))
        last = min(len(content), first + data.draw(st.integers(0, 3)))
        part = data.draw(st.just(content[first:last] * 2) | st.binary(max_size=3))
        content = content[:first] + part + content[last:]
    return content


rows = st.lists(
    st.tuples(
        st.integers(0, DIM + 3), st.floats(width=32, allow_nan=False) | st.sampled_from([0.0, NAN])
    ),
    max_size=6,
    unique_by=lambda pair: pair[0],
)


@examples(300)
@given(rows, st.booleans(), st.sampled_from([[], [DIM], [DIM - 2], [DIM, 2]]), st.data())
def test_the_fast_path_takes_only_what_it_reads_as_the_general_one(
    row: list[tuple[int, float]], ascending: bool, shape: list[int], data: st.DataObject
) -> None:
    pairs = sorted(row) if ascending else row
    content = message([v for _, v in pairs], 1.0, keys=[k for k, _ in pairs], shape=shape)
    for candidate in (content, changed(content, data)):
        taken = fast(candidate)
        if taken is not None:
            assert general(candidate) == (OK, True, taken)


@given(encodings.messages(5), st.data())
def test_legal_encodings_and_dense_rows(content: bytes, data: st.DataObject) -> None:
    dense = message(data.draw(st.lists(st.floats(-9, 9, width=32), max_size=6)), 0.0)
    for candidate in (content, dense, changed(dense, data)):
        taken = fast(candidate, 5)
        if taken is not None:
            assert general(candidate, 5) == (OK, True, taken)


def test_a_record_that_is_left_halfway_leaves_nothing() -> None:
    sdk = message([1.0, 2.0], 1.0, keys=[3, 4], shape=[DIM])
    halfway = message([5.0, 6.0, 0.0], 0.0, keys=[7, 2, 1], shape=[DIM])
    decoding = Decoder(DIM)
    decoding.feed(as_array(frame(sdk) + frame(halfway) + frame(sdk)), "a")
    got = decoding.rows()
    assert got.x.indptr.tolist() == [0, 2, 4, 6]
    assert got.x.indices.tolist() == [3, 4, 2, 7, 3, 4]
    assert got.x.data.tolist() == [1, 2, 6, 5, 1, 2]
    assert got.y.tolist() == [1, 0, 1]


def test_keys_and_row_pointers_are_not_widened() -> None:
    decoding = Decoder(DIM)
    decoding.feed(as_array(frame(message([1.0], 1.0, keys=[3]))), "a")
    x = decoding.rows().x
    assert (x.indices.dtype, x.indptr.dtype) == (np.int32, np.int32)


def test_a_file_is_read_a_buffer_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "BUFFER", 5000)
    good = frame(message([1.0, 2.0], 1.0, keys=[3, 4], shape=[DIM]))
    bad = frame(message([1.0], 1.0, keys=[DIM]))
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "a").write_bytes(good * 1000)
    (tmp_path / "b").write_bytes(good * 999 + bad)
    (tmp_path / "c").write_bytes(good * 1000 + good[:20])
    files = [tmp_path / name for name in ("empty", "a", "a")]
    assert decoder.read(files, DIM, tmp_path).x.sum() == 6000
    with pytest.raises(DataError, match=f"^b: record 1000 at byte {999 * len(good)}: key {DIM} "):
        decoder.read([*files, tmp_path / "b"], DIM, tmp_path)
    with pytest.raises(DataError, match=f"^c: record 1001 at byte {1000 * len(good)}: .* only 20 "):
        decoder.read([*files, tmp_path / "c"], DIM, tmp_path)
