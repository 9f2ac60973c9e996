"""RecordIO in requests: what google.protobuf and training read, together and one by one."""

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorization_machines.errors import DataError
from factorization_machines.recordio import batch
from factorization_machines.recordio.decoder import Decoder
from sagemaker_container.serving.content_types import recordio
from sagemaker_container.serving.content_types.recordio import read_records
from support import encodings, fm
from support.recordio import dense_file, expected, frame, message, sparse_file, split
from support.rows import dense, instances

DIM = 6


def trained(body: bytes, dim: int = DIM) -> np.ndarray:
    """Return what training makes of a file with this content."""
    decoder = Decoder(dim, labelled=False)
    decoder.feed(np.frombuffer(body, np.uint8), "file")
    x: np.ndarray = decoder.rows().x.toarray()
    return x


@given(st.lists(encodings.messages(DIM), max_size=12))
def test_every_legal_encoding(messages: Sequence[bytes]) -> None:
    body = b"".join(map(split, messages))
    if not body:
        return
    want, _ = expected(messages, DIM)
    np.testing.assert_array_equal(dense(read_records(body, DIM), DIM), want)
    np.testing.assert_array_equal(trained(body), want)
    for one, row in zip(messages, want, strict=True):
        np.testing.assert_array_equal(dense(read_records(one, DIM), DIM), [row])


@st.composite
def alike(draw: st.DrawFn) -> tuple[bytes, int, np.ndarray]:
    """Return a body as the SDK writes it, its feature_dim and its rows."""
    dim = draw(st.sampled_from([1, 2, 100, 200, 20_000, 3_000_000]))
    kind = draw(st.sampled_from(list(encodings.KINDS)))
    whole = draw(st.booleans()) and dim < 1000
    labelled = draw(st.booleans())
    number = st.integers(0, 2**31 - 1) if kind == "int32" else st.floats(width=32, allow_nan=False,
                                                               allow_infinity=False)  # fmt: skip
    rows, contents = [], []
    for _ in range(draw(st.integers(1, 12))):
        keys = sorted(draw(st.sets(st.integers(0, dim - 1), min_size=1, max_size=5)))
        if whole:
            keys = list(range(dim))
        values = draw(st.lists(number, min_size=len(keys), max_size=len(keys)))
        rows.append(dict(zip(keys, values, strict=True)))
        label = 1.0 if labelled else None
        more = {} if whole else {"keys": keys, "shape": [dim]}
        contents.append(message(values, label, kind=kind, label_kind="float32", **more))
    return b"".join(map(frame, contents)), dim, rows


@given(alike())
def test_what_the_sdk_writes_is_read_together(given: tuple[bytes, int, list[dict]]) -> None:
    body, dim, want = given
    together = batch.decode(body, dim)
    assert together is not None
    for index, row in enumerate(want):
        keys, values = together.row(index)
        found = dict(zip(keys.tolist(), values.tolist(), strict=True))
        assert {k: v for k, v in found.items() if v} == {
            k: float(np.float32(v)) for k, v in row.items() if np.float32(v)
        }


def test_the_sdks_files_of_both_kinds() -> None:
    x, y = fm.rows(3, 40, DIM)
    for kind in ("float32", "float64"):
        for body in (sparse_file(x, y, kind), dense_file(x.toarray(), y, kind)):
            np.testing.assert_array_equal(dense(read_records(body, DIM), DIM), x.toarray())
            np.testing.assert_array_equal(trained(body), x.toarray())
    assert batch.decode(sparse_file(x[2:30], y[2:30]), DIM) is not None
    assert batch.decode(dense_file(x.toarray(), y), DIM) is not None


def test_the_magic_number_is_written_once() -> None:
    root = Path(__file__).parents[2]
    literal = re.compile("0x" + "ced7230a", re.IGNORECASE)
    files = [
        path for top in ("src", "bench", "tests") for path in (root / top).rglob("*.py")
        if literal.search(path.read_text())
    ]  # fmt: skip
    assert [path.name for path in files] == ["layout.py"]


def test_the_padding_of_the_last_record_may_be_missing() -> None:
    content = message([1, 2], keys=[0, 300], shape=[400])
    assert len(content) % 4
    body = frame(content) * 19 + frame(content, padded=False)
    assert len(read_records(body, 400)) == 20


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(9, 20))
def test_damage_is_told_and_nothing_else_happens(junk: bytes, at: int, count: int) -> None:
    body = sparse_file(*fm.rows(1, count, DIM))
    damaged = body[:at] + junk + body[at + len(junk) :]
    try:
        rows = read_records(damaged, DIM)
    except DataError as error:
        assert "instance" in str(error) or "body" in str(error)
        return
    # What is read in spite of it is what training reads, where it does not refuse the label.
    with contextlib.suppress(DataError):
        np.testing.assert_array_equal(trained(damaged), dense(rows, DIM))


@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    try:
        dense(read_records(body, DIM), DIM)
    except DataError:
        pass


GOOD = message([1, 2], keys=[0, 3], shape=[DIM])


@pytest.mark.parametrize("before", [0, 1, 20])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (message([1], keys=[6]), "key 6 is not below feature_dim 6"),
        (message([1], keys=[2**63 - 1]), f"key {2**63 - 1} is not below feature_dim 6"),
        (message([1, 2], keys=[1]), "a sparse row needs as many keys as values; got 1 keys"),
        (message([1, 2]), "a dense row must have feature_dim 6 values; got 2"),
        (message([np.nan], keys=[1]), "the value of feature 1 is not a finite float32"),
        (message([1e300], keys=[1], kind="float64"), "the value of feature 1 is not a finite"),
        (b"", "no features: the map 'features' has no key 'values'"),
        (b"\x0a\xff", "the content is not an aialgs.data.Record protobuf message"),
        (
            encodings.field(1, 2, b"\x0a\x06values\x12\x02\x4a\x00"),
            "a Value of type bytes cannot be read; send float32_tensor",
        ),
    ],
)
def test_records_that_are_no_row(content: bytes, reason: str, before: int) -> None:
    start = frame(GOOD) * before
    with pytest.raises(DataError) as caught:
        read_records(start + frame(content) + frame(GOOD), DIM)
    where = f"instance {before} (the first is 0), at byte {len(start)}: "
    assert str(caught.value).startswith(where + reason)
    with pytest.raises(DataError, match="record 1 at byte 0") as training:
        trained(frame(content))
    assert str(training.value).startswith(f"file: record 1 at byte 0: {reason}")


@pytest.mark.parametrize("shape", [5, 7])
def test_a_request_must_have_the_shape_of_the_model(shape: int) -> None:
    content = message([1], keys=[3], shape=[shape])
    for body in (content, frame(content), frame(GOOD) * 20 + frame(content)):
        with pytest.raises(DataError, match=f"shape must be feature_dim 6; got {shape}"):
            read_records(body, DIM)
    assert len(trained(frame(content))) == 1  # a channel may have other rows


@pytest.mark.parametrize(
    ("content", "shape"), [(message([1], keys=[3], shape=[2]), 2), (message([1] * 6, shape=[7]), 7)]
)
def test_a_channel_must_fit_its_own_shape(content: bytes, shape: int) -> None:
    with pytest.raises(DataError, match=f"do not fit the record's own shape, {shape}"):
        trained(frame(content))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is empty; send RecordIO-protobuf records"),
        (b"1,2,3\n", "the body is neither RecordIO nor a bare record: expected a RecordIO header, "
                     "0a 23 d7 ce; got 31 2c 32 2c: this is text"),
        (b"\x1f\x8b\x08\x00", "the body is neither RecordIO nor a bare record: .*: this is gzip"),
        (frame(GOOD)[:-9], "instance 0 (the first is 0), at byte 0: the data ends inside"),
        (frame(GOOD) + b"\x0a\x23", "instance 1 (the first is 0), at byte 60: the data ends"),
        (frame(GOOD) + b"junk", "instance 1 (the first is 0), at byte 60: expected a RecordIO"),
        (frame(GOOD, part=2), "instance 0 (the first is 0), at byte 0: the parts of a split"),
        (frame(GOOD, part=1) + frame(GOOD), "instance 0 (the first is 0), at byte 0: the parts"),
    ],
)  # fmt: skip
def test_bodies_that_are_no_records(body: bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_records(body, DIM)
    pattern = re.escape(message).replace(r"\.\*", ".*")
    assert re.match(pattern, str(caught.value)), str(caught.value)


def test_a_record_that_holds_the_magic_number_and_is_not_split() -> None:
    magic = encodings.magic_float()
    content = message([magic, magic, 1], keys=[0, 1, 2], shape=[DIM])
    body = frame(content) * 20
    rows = dense(read_records(body, DIM), DIM)
    assert rows.shape == (20, DIM)
    np.testing.assert_array_equal(rows[:, 0], np.full(20, magic, np.float32))


def test_many_are_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = fm.rows(5, 50, DIM, density=1.0)
    monkeypatch.setattr(recordio, "_decode_each", None)
    rows = read_records(sparse_file(x[2:], y[2:]), DIM)
    np.testing.assert_array_equal(dense(rows, DIM), dense(instances(x[2:]), DIM))
