"""Our RecordIO-protobuf decoder against google.protobuf, and every error it can tell."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from factorization_machines.errors import DataError, PlatformError
from factorization_machines.recordio.decoder import Decoder, Rows, read
from support import encodings, recordio
from support.examples import examples

DIM = 5
MAGIC = struct.pack("<I", recordio.MAGIC)


def decode(content: bytes, feature_dim: int = DIM, *, labelled: bool = True) -> Rows:
    decoder = Decoder(feature_dim, labelled=labelled)
    decoder.feed(np.frombuffer(content, np.uint8), "train/a")
    return decoder.rows()


def problem(content: bytes, feature_dim: int = DIM) -> str:
    with pytest.raises(DataError) as caught:
        decode(content, feature_dim)
    return str(caught.value)


def assert_rows(rows: Rows, messages: list[bytes], feature_dim: int = DIM) -> None:
    """Assert that rows are canonical, and what google.protobuf reads from the messages."""
    x, y = recordio.expected(messages, feature_dim)
    assert rows.x.shape == x.shape
    assert (rows.x.dtype, rows.y.dtype) == (np.float32, np.float32)
    np.testing.assert_array_equal(rows.x.toarray(), x)
    np.testing.assert_array_equal(rows.y, y)
    assert np.count_nonzero(rows.x.data) == rows.x.data.size
    for i in range(len(rows)):
        keys = rows.x.indices[rows.x.indptr[i] : rows.x.indptr[i + 1]]
        assert (np.diff(keys) > 0).all()


@examples(60)
@given(st.lists(encodings.messages(DIM), min_size=1, max_size=4))
def test_every_legal_encoding_is_read_as_protobuf_reads_it(messages: list[bytes]) -> None:
    content = b"".join(recordio.frame(message) for message in messages)
    assert_rows(decode(content), messages)


@examples(60)
@given(st.lists(encodings.messages(DIM), min_size=1, max_size=3), st.integers(1, 9))
def test_a_record_split_anywhere(messages: list[bytes], size: int) -> None:
    # The parts of a split record are joined by the magic number: put it between the pieces.
    content = b""
    joined = []
    for message in messages:
        message += encodings.field(99, 2, MAGIC * (size % 3) + b"x" + MAGIC)
        joined.append(message)
        content += recordio.split(message)
    assert_rows(decode(content), joined)


@pytest.mark.parametrize("kind", ["float32", "float64", "int32"])
@pytest.mark.parametrize("keys", [None, [0, 1, 2, 3, 4], [4, 0, 2, 1, 3], [1, 1, 1, 0, 0]])
def test_kinds_dense_and_sparse(kind: str, keys: list[int] | None) -> None:
    values = [1, -2, 0, 3, -(2**31)]
    message = recordio.message(values, 1, keys=keys, shape=[DIM], kind=kind, label_kind=kind)
    assert_rows(decode(recordio.frame(message)), [message])


def test_a_value_with_the_bytes_of_the_magic_number_comes_in_parts() -> None:
    magic = encodings.magic_float()
    message = recordio.message([magic, 1.0, magic, magic, 2.0], 1.0)
    content = recordio.split(message)
    assert content.count(MAGIC) == 4  # of four parts
    assert_rows(decode(content + recordio.split(message)), [message, message])


def test_empty_rows_and_an_explicit_zero() -> None:
    messages = [
        recordio.message([], 1.0),
        recordio.message([], 0.0, shape=[DIM]),
        recordio.message([0.0, 2.0, -0.0], 0.0, keys=[0, 1, 2]),
        recordio.message([0.0] * DIM, 0.0),
        recordio.message([1.0, -1.0], 0.0, keys=[3, 3]),
    ]
    rows = decode(b"".join(map(recordio.frame, messages)))
    assert_rows(rows, messages)
    assert rows.x.nnz == 1


def test_the_padding_of_the_last_record_may_be_missing() -> None:
    messages = [recordio.message([1.0], 1.0, keys=[i], shape=[100]) for i in (1, 99)]
    assert len(messages[1]) % 4
    content = recordio.frame(messages[0]) + recordio.frame(messages[1], padded=False)
    assert_rows(decode(content, 100), messages, 100)


def test_a_label_may_be_missing_where_none_is_asked_for() -> None:
    messages = [recordio.message([1.0], None, keys=[0]), recordio.message([1.0], 1.0, keys=[0])]
    rows = decode(b"".join(map(recordio.frame, messages)), labelled=False)
    assert np.isnan(rows.y[0]) and rows.y[1] == 1
    assert_rows(rows, messages)


def test_no_data_is_no_rows() -> None:
    assert len(decode(b"")) == 0


def test_arrays_grow(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    few = [recordio.message([1], 1, keys=[0], kind="int32", label_kind="int32")]
    # Small records: far more rows to the byte than a decoder makes room for at first.
    many = [recordio.message([], i, kind="int32", label_kind="int32") for i in range(2000)]
    # Two bytes a non-zero: far more of them as well.
    wide = [
        recordio.message([1] * 120, 0, keys=rng.permutation(120).tolist(), kind="int32")
        for _ in range(50)
    ]
    for name, messages in (("a", few), ("b", many), ("c", wide), ("d", few)):
        (tmp_path / name).write_bytes(b"".join(map(recordio.frame, messages)))
    rows = read([tmp_path / name for name in "abcd"], 120, tmp_path)
    assert_rows(rows, [*few, *many, *wide, *few], 120)


def test_files_are_read_in_the_given_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).write_bytes(
            recordio.frame(recordio.message([1.0], float(ord(name)), keys=[0]))
        )
    rows = read([tmp_path / "b", tmp_path / "a"], DIM, tmp_path)
    assert rows.y.tolist() == [ord("b"), ord("a")]


def test_the_number_and_the_offset_are_those_in_the_file(tmp_path: Path) -> None:
    good = recordio.frame(recordio.message([1.0], 1.0, keys=[0]))
    bad = recordio.frame(recordio.message([1.0], 1.0, keys=[7]))
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_bytes(good * 3)
    (tmp_path / "sub" / "b").write_bytes(good * 2 + bad + good)
    with pytest.raises(DataError) as caught:
        read([tmp_path / "a", tmp_path / "sub" / "b"], DIM, tmp_path)
    assert str(caught.value) == (
        f"sub/b: record 3 at byte {2 * len(good)}: key 7 is not below feature_dim 5"
    )


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="No such file or directory"):
        read([tmp_path / "a"], DIM, tmp_path)


INF, NAN = float("inf"), float("nan")
REASONS = {
    "no label: the map 'label' has no key 'values'": recordio.message([1.0], None, keys=[0]),
    "no features: the map 'features' has no key 'values'": encodings.field(
        2,
        2,
        encodings.field(1, 2, b"values")
        + encodings.field(2, 2, encodings.field(2, 2, encodings.field(1, 5, b"\0\0\x80?"))),
    ),
    "the label must be one number; got 2 numbers": recordio.message([1.0], [0.0, 1.0], keys=[0]),
    "the label must be one number; got 0 numbers": recordio.message([1.0], None, keys=[0])
    + encodings.field(2, 2, encodings.field(1, 2, b"values")),
    "a sparse row needs as many keys as values; got 1 keys": recordio.message([1.0, 2.0], keys=[0]),
    "a sparse row needs as many keys as values; got 3 keys": recordio.message([], keys=[0, 1, 2]),
    "key 5 is not below feature_dim 5": recordio.message([1.0], keys=[5]),
    "key 9223372036854775807 is not below feature_dim 5": recordio.message([1], keys=[2**64 - 1]),
    "a dense row must have feature_dim 5 values; got 4": recordio.message([1.0] * 4),
    "a dense row must have feature_dim 5 values; got 6": recordio.message([1.0] * 6),
    "the value of feature 3 is not a finite float32": recordio.message([1, NAN], keys=[0, 3]),
    "the value of feature 1 is not a finite float32": recordio.message([1, -INF, 1, 1, 1]),
    "the value of feature 0 is not a finite float32": recordio.message(
        [1e39], keys=[0], kind="float64"
    ),
    "the label is not a finite float32": recordio.message([1.0], NAN, keys=[0]),
    "a Value of type bytes cannot be read; send float32_tensor": encodings.field(
        1, 2, encodings.field(1, 2, b"values") + encodings.field(2, 2, encodings.field(9, 2, b""))
    ),
    "keys and values do not fit the record's own shape, 3": recordio.message(
        [1.0], keys=[4], shape=[3]
    ),
    "keys and values do not fit the record's own shape, 6": recordio.message([1.0] * 5, shape=[6]),
    "the content is not an aialgs.data.Record protobuf message": b"\x0a\x7f",
}


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("before", [0, 2])
def test_each_thing_that_can_be_wrong_with_a_message(reason: str, before: int) -> None:
    good = recordio.frame(recordio.message([1.0], 1.0, keys=[0]))
    content = good * before + recordio.frame(REASONS[reason]) + good
    where = f"train/a: record {before + 1} at byte {before * len(good)}"
    assert problem(content) == f"{where}: {reason}"


@pytest.mark.parametrize(
    "content",
    [
        b"\x0a\x80",  # a length that is cut
        b"\x0a" + b"\xff" * 10,  # a varint of more than ten bytes
        b"\x02\x00",  # field number 0
        b"\x0b\x0c",  # a group
        b"\x0f",  # a wire type that does not exist
        b"\x09\0\0\0",  # 64 bits cut
        b"\x0d\0\0",  # 32 bits cut
        b"\x08",  # a varint that is missing
        encodings.field(1, 2, encodings.field(1, 2, b"values") + b"\x12\x05"),
        recordio.message([1.0], keys=[0])[:-1],
    ],
)
def test_a_message_that_is_none(content: bytes) -> None:
    assert problem(recordio.frame(content)) == (
        "train/a: record 1 at byte 0: the content is not an aialgs.data.Record protobuf message"
    )


GOOD = recordio.frame(recordio.message([1.0], 1.0, keys=[0]))


@pytest.mark.parametrize(
    ("content", "where", "reason"),
    [
        (b"\x1f\x8b\x08\0" * 4, (1, 0), "expected a RecordIO header, 0a 23 d7 ce; got 1f 8b 08 00"
         ": this is gzip; set the channel's CompressionType to 'Gzip', or upload it unpacked"),
        (b"1,2.5,3\n4,5,6\n", (1, 0), "expected a RecordIO header, 0a 23 d7 ce; got 31 2c 32 2e"
         ": this is text (CSV?); write it with write_spmatrix_to_sparse_tensor"),
        (b"1,2", (1, 0), "the data ends inside the record: only 3 bytes are left"
         ": this is text (CSV?); write it with write_spmatrix_to_sparse_tensor"),
        (b"\0" * 16, (1, 0), "expected a RecordIO header, 0a 23 d7 ce; got 00 00 00 00"),
        (GOOD + b"1,2.5,3\n", (2, len(GOOD)),
         "expected a RecordIO header, 0a 23 d7 ce; got 31 2c 32 2e"),
        (GOOD + GOOD[:4], (2, len(GOOD)), "the data ends inside the record: only 4 bytes are left"),
        (GOOD + b"\0\0\0\0", (2, len(GOOD)),
         "expected a RecordIO header, 0a 23 d7 ce; got 00 00 00 00"),
        (GOOD + recordio.frame(b"", 2), (2, len(GOOD)),
         "the parts of a split record are missing or out of order"),
        (recordio.frame(b"", 3), (1, 0), "the parts of a split record are missing or out of order"),
        (recordio.frame(b"", 1) + recordio.frame(b"", 1), (1, 0),
         "the parts of a split record are missing or out of order"),
        (recordio.frame(b"", 1) + GOOD, (1, 0),
         "the parts of a split record are missing or out of order"),
        (recordio.frame(b"", 1) + b"12345678", (1, 0),
         "the parts of a split record are missing or out of order"),
        (recordio.frame(b"", 1) + recordio.frame(b"", 2), (1, 0),
         "the data ends inside the record: only 16 bytes are left"),
        (recordio.frame(b"", 5) + GOOD, (1, 0),
         "the parts of a split record are missing or out of order"),
    ],
)  # fmt: skip
def test_frames_that_are_none(content: bytes, where: tuple[int, int], reason: str) -> None:
    record, byte = where
    assert problem(content) == f"train/a: record {record} at byte {byte}: {reason}"


def test_a_file_cut_at_any_byte() -> None:
    messages = [
        recordio.message([1.0, 2.0], 1.0, keys=[0, 4], shape=[DIM]),
        recordio.message([1.0] * DIM, 0.0, kind="float64"),
        recordio.message([300], 1.0, keys=[2], kind="int32"),
        recordio.message([encodings.magic_float()], 1.0, keys=[2]),
    ]
    frames = [recordio.split(message) for message in messages]
    content = b"".join(frames)
    whole = {0: 0}  # where a record is complete, to the number of records up to there
    end = 0
    for number, (message, framed) in enumerate(zip(messages, frames, strict=True), 1):
        end += len(framed)
        padding = -len(message.split(MAGIC)[-1]) % 4  # of its last part
        whole |= dict.fromkeys(range(end - padding, end + 1), number)
    for size in range(len(content) + 1):
        if size in whole:
            assert len(decode(content[:size])) == whole[size]
        else:
            assert "the data ends inside the record" in problem(content[:size])


def tolerant(content: bytes) -> Rows | None:
    try:
        return decode(content)
    except DataError as error:
        assert str(error).startswith("train/a: record ")
        return None


@given(st.binary(max_size=200))
@example(struct.pack("<II", recordio.MAGIC, 0x1FFFFFFF))
def test_bytes_of_any_kind_are_an_error_or_rows(content: bytes) -> None:
    tolerant(content)
    tolerant(recordio.frame(content))
    tolerant(recordio.frame(encodings.field(1, 2, content)))


@given(encodings.messages(DIM), st.data())
def test_a_changed_byte_of_a_file_is_an_error_or_rows(message: bytes, data: st.DataObject) -> None:
    changed = bytearray(recordio.split(message) * 2)
    place = data.draw(st.integers(0, len(changed) - 1))
    changed[place] = data.draw(st.integers(0, 255))
    tolerant(bytes(changed))
