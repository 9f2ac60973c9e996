"""The decoder gives the same outcome compiled, for channels, and as Python, for requests."""

from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorization_machines.errors import DataError
from factorization_machines.recordio import compiled, decoder, parser, record
from factorization_machines.recordio.decode_errors import KEY_RANGE, OK, SHAPE_SIZE
from factorization_machines.recordio.decoder import Decoder
from support import encodings
from support.examples import examples
from support.recordio import frame, message, split

DIM = 300
INF, NAN = float("inf"), float("nan")


def as_array(content: bytes) -> Any:
    return np.frombuffer(content, np.uint8)


def outcome(code: int, rows: record.Rows) -> tuple[object, ...]:
    """Return code, where and why parsing ended, and the bytes of all rows."""
    state = [int(slot) for slot in rows.state]
    n, nnz = state[record.ROWS], state[record.NNZ]
    detail = None if code == OK else state[record.DETAIL]
    arrays = rows.values[:nnz], rows.keys[:nnz], rows.indptr[: n + 1], rows.labels[:n]
    ascending = state[record.SORTED] if code == OK else None
    return (code, state[record.POSITION], detail, ascending, *(part.tobytes() for part in arrays))


def both(content: bytes, feature_dim: int = DIM, label: int = record.REQUIRED) -> int:
    """Parse framed records in both ways, assert that the outcome is the same; return the code."""
    size = len(content)
    arrays = record.Rows(
        np.zeros(size, np.float32),
        np.zeros(size, np.int32),
        np.zeros(size + 2, np.int64),
        np.zeros(size + 1, np.float32),
        np.array(record.NEW_STATE),
    )
    lists = record.Rows(
        array("f", bytes(4 * size)),
        array("i", bytes(4 * size)),
        array("q", bytes(8 * size + 16)),
        array("f", bytes(4 * size + 4)),
        list(record.NEW_STATE),
    )
    code = int(compiled.parse(as_array(content), feature_dim, label, arrays))
    again = parser.parse(memoryview(content), feature_dim, label, lists)
    assert outcome(code, arrays) == outcome(again, lists)
    return code


@pytest.mark.parametrize(
    ("content", "feature_dim"),
    [
        (message([1.0, 1.0], 1.0, keys=[0, 299], shape=[300]), 300),
        (message([1.0] * 40, 0.0, keys=range(160, 200), shape=[300]), 300),
        (message([1.0] * 5000, 1.0, keys=range(20000, 25000), shape=[30000]), 30000),
        (message([1.0], 1.0, keys=[2**28 - 1]), 2**28),
        (message([1.0], 1.0, keys=[2**31 - 1]), 2**31),
        (message([0.0, -0.0, -2.5], 1.0, keys=[0, 1, 2], shape=[3]), 300),
        (message([], 1.0, shape=[300]), 300),
        (message([], -1.5), 300),
        (message([0.5] * 300, 3.0), 300),
        (message([0.5] * 300, 3.0, shape=[300]), 300),
        (message([1e-300] * 300, 3.0, kind="float64"), 300),
        (message([-(2**31), 2**31 - 1], 1, keys=[1, 0], kind="int32", label_kind="int32"), 300),
        (message([1.0, 1.0], 1.0, keys=[1, 1]), 300),
        (message([1.0], 1.0, keys=[2], shape=[20, 15]), 300),
        (message([1.0], 1.0, keys=[2], shape=[2**63, 2**63]), 300),
    ],
)
def test_legal_messages(content: bytes, feature_dim: int) -> None:
    assert both(frame(content) + split(content), feature_dim) == OK


@pytest.mark.parametrize(
    "content",
    [
        message([1.0], 1.0, keys=[300]),
        message([1.0], 1.0, keys=[2**32]),
        message([1.0], 1.0, keys=[2**64 - 1]),
        message([1.0], 1.0, keys=[200], shape=[200]),
        message([1.0], 1.0, keys=[1, 2]),
        message([1.0, 1.0], 1.0, keys=[1]),
        message([1.0] * 299, 1.0),
        message([1.0] * 300, 1.0, shape=[299]),
        message([1.0] * 300, 1.0, shape=[2**63, 2**63]),
        message([NAN], 1.0, keys=[1]),
        message([INF] * 300, 1.0),
        message([1e39], 1.0, keys=[1], kind="float64"),
        message([1.0], NAN, keys=[1]),
        message([1.0], 1e39, keys=[1], label_kind="float64"),
        message([1.0], None, keys=[1]),
        message([1.0], [1.0, 2.0], keys=[1]),
        message([1.0], 1.0, keys=[1])[:-1],
        b"",
    ],
)
def test_errors(content: bytes) -> None:
    assert both(frame(message([1.0], 1.0, keys=[3])) + frame(content)) != OK


def test_the_first_key_out_of_range_is_the_one_that_is_named() -> None:
    keys = [5, 400, 2**40, 2**50]
    for first, detail in ((0, 400), (2, 2**40), (3, 2**50)):
        content = frame(message([1.0] * (4 - first), 1.0, keys=keys[first:]))
        assert both(content) == KEY_RANGE
        with pytest.raises(DataError, match=f"key {detail} is not below feature_dim 300"):
            Decoder(DIM).feed(as_array(content), "a")
    assert both(frame(message([1.0] * 2, 1.0, keys=[5, 2**40], shape=[6])), 2**41) == SHAPE_SIZE


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
def test_what_the_sdk_writes_and_what_is_close_to_it(
    row: list[tuple[int, float]], ascending: bool, shape: list[int], data: st.DataObject
) -> None:
    pairs = sorted(row) if ascending else row
    content = message([v for _, v in pairs], 1.0, keys=[k for k, _ in pairs], shape=shape)
    both(frame(content))
    both(frame(changed(content, data)))
    both(changed(frame(content) * 2, data), label=data.draw(st.sampled_from([0, 1, 2])))


@examples(200)
@given(encodings.messages(5), st.data())
def test_any_legal_encoding_and_what_is_close_to_it(content: bytes, data: st.DataObject) -> None:
    dense = message(data.draw(st.lists(st.floats(-9, 9, width=32), max_size=6)), 0.0)
    both(split(content) + frame(dense), 5)
    both(frame(changed(content, data)) + changed(split(content), data), 5)


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
