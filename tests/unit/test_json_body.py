"""Instances in JSON and JSON Lines: what is read, and what is refused and why."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorization_machines.errors import DataError
from sagemaker_container.serving.content_types import json_body
from sagemaker_container.serving.content_types.json_body import decode_json
from sagemaker_container.serving.content_types.json_lines import decode_json_lines
from support.rows import dense

DIM = 4


def decode(*instances: object) -> list[list[float]]:
    """Return dense rows, read together and one by one, as JSON and as JSON Lines."""
    body = json.dumps({"instances": list(instances)}).encode()
    rows = dense(decode_json(body, DIM), DIM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_body, "_rows_together", lambda *_: None)
        np.testing.assert_array_equal(dense(decode_json(body, DIM), DIM), rows)
    lines = b"\n".join(json.dumps(instance).encode() for instance in instances)
    np.testing.assert_array_equal(dense(decode_json_lines(lines, DIM), DIM), rows)
    assert rows.shape == (len(instances), DIM)
    found: list[list[float]] = rows.tolist()
    return found


def sparse(keys: object, values: object, **more: object) -> dict[str, object]:
    return {"features": {"keys": keys, "values": values, **more}}


def problem(body: bytes) -> str:
    with pytest.raises(DataError) as caught:
        decode_json(body, DIM)
    return str(caught.value)


def test_dense_in_all_its_nestings() -> None:
    row = [0, 1.5, -2, 0]
    assert (
        decode(
            {"features": row},
            {"data": {"features": row}},
            {"features": {"values": row}},
            {"data": {"features": {"values": row}}},
        )
        == [row] * 4
    )


def test_sparse_in_all_its_nestings() -> None:
    row = [0, 0, 0.5, 1]
    assert (
        decode(
            sparse([2, 3], [0.5, 1]),
            sparse([3, 2], [1, 0.5], shape=[DIM]),
            {"data": sparse([2, 3], [0.5, 1], shape=[DIM])},
            {"data": sparse([2, 3, 0], [0.5, 1, 0], shape=None)},
        )
        == [row] * 4
    )


def test_mixed_empty_and_repeated() -> None:
    assert decode(
        {"features": [1, 2, 3, 4]},
        {"data": sparse([], [], shape=[DIM])},
        sparse([1, 0, 1], [1, 7, 2]),
        {"features": [0, 0, 0, 0]},
    ) == [[1, 2, 3, 4], [0, 0, 0, 0], [7, 3, 0, 0], [0, 0, 0, 0]]


def test_no_instances_is_no_rows() -> None:
    assert decode() == []


@given(
    st.lists(
        st.lists(
            st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=DIM, max_size=DIM
        )
    )
)
def test_dense_and_sparse_say_the_same(rows: list[list[float]]) -> None:
    whole = decode(*({"features": row} for row in rows))
    assert whole == rows
    assert decode(*({"data": sparse(list(range(DIM)), row)} for row in rows)) == rows


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", 'the body is empty; send {"instances": [{"features": […]}]}'),
        (b"{}", 'the body must be an object with a list: {"instances": […]}'),
        (b"[]", 'the body must be an object with a list: {"instances": […]}'),
        (b"1", 'the body must be an object with a list: {"instances": […]}'),
        (b'{"instances": {}}', 'the body must be an object with a list: {"instances": […]}'),
    ],
)
def test_bodies_that_are_no_request(body: bytes, message: str) -> None:
    assert problem(body) == message


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances": [{"features": [1',
        b'{"instances": [{"features": [NaN, 1, 2, 3]}]}',
        b'{"instances": [{"features": [Infinity, 1, 2, 3]}]}',
        b"1,2,3",
        b"\xff\xfe",
        b"[" * 100_000,
        b"\xef\xbb\xbf{}",
    ],
)
def test_bodies_that_are_no_json(body: bytes) -> None:
    assert re.match(r"the body is not JSON: .+", problem(body))


NO_VALUES = '"features" must be a list of numbers, or an object with "values"'
WHOLE = '"keys" must be a list of whole numbers'
SHAPE = '"shape" must be [4], the model\'s feature_dim; got '


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        (None, 'no "features"'),
        ([1, 2, 3, 4], 'no "features"'),
        ({}, 'no "features"'),
        ({"data": [1]}, 'no "features"'),
        ({"data": {}}, 'no "features"'),
        ({"features": "1,2"}, NO_VALUES),
        ({"features": None}, NO_VALUES),
        ({"features": {"keys": [1]}}, NO_VALUES),
        ({"features": {"values": 1}}, '"values" must be a list of numbers'),
        ({"features": {"values": None}}, '"values" must be a list of numbers'),
        ({"features": []}, "0 features; the model's feature_dim is 4"),
        ({"features": [1, 2, 3]}, "3 features; the model's feature_dim is 4"),
        ({"data": {"features": {"values": [1] * 5}}}, "5 features; the model's feature_dim is 4"),
        ({"features": [1, "2", 3, 4]}, 'value 1 must be a number; got "2"'),
        ({"features": [1, 2, True, 4]}, "value 2 must be a number; got true"),
        ({"features": [1, 2, 3, None]}, "value 3 must be a number; got null"),
        ({"features": [[1], 2, 3, 4]}, "value 0 must be a number; got [1]"),
        ({"features": ["x" * 99, 2, 3, 4]}, f'value 0 must be a number; got "{"x" * 36}...'),
        ({"features": [1, 1e39, 3, 4]}, "value 1 does not fit float32; got 1e39"),
        (sparse([0], [-1e300]), "value 0 does not fit float32; got -1e300"),
        (sparse([0], [1e39]), "value 0 does not fit float32; got 1e39"),
        (sparse([4], [1]), "key 4 must be from 0 to 3"),
        (sparse([-1], [1]), "key -1 must be from 0 to 3"),
        (sparse([2**63], [1]), f"key {2**63} must be from 0 to 3"),
        (sparse([2], [1], shape=[2]), SHAPE + "[2]"),
        (sparse([2], [1], shape=[5]), SHAPE + "[5]"),
        ({"features": {"values": [1, 2, 3, 4], "shape": [3]}}, SHAPE + "[3]"),
        (sparse([0, 1], [1]), "2 keys for 1 values"),
        (sparse([], [1]), "0 keys for 1 values"),
        (sparse([0.0], [1]), f"{WHOLE}; got [0.0]"),
        (sparse(["0"], [1]), f'{WHOLE}; got ["0"]'),
        (sparse([True], [1]), f"{WHOLE}; got [true]"),
        (sparse(0, [1]), f"{WHOLE}; got 0"),
        (sparse({"0": 1}, [1]), f'{WHOLE}; got {{"0":1}}'),
        (sparse([0], [1], shape=4), SHAPE + "4"),
        (sparse([0], [1], shape=[1, 4]), SHAPE + "[1,4]"),
        (sparse([0], [1], shape=["4"]), SHAPE + '["4"]'),
        (sparse([0], [1], shape=[0]), SHAPE + "[0]"),
    ],
)
def test_instances_that_are_none(instance: object, message: str) -> None:
    good = {"features": [0, 0, 0, 0]}
    for place, instances in enumerate(([instance], [good, instance, good])):
        body = json.dumps({"instances": instances}).encode()
        # How a large number is written, 1e39 or 1e+39, is the encoder's own affair.
        assert problem(body).replace("e+", "e") == f"instance {place} (the first is 0): {message}"


@pytest.mark.parametrize(
    "instances",
    [
        [sparse([0, 2], [1, 0.5]), {"data": sparse([3], [2], shape=[DIM])}],
        [{"features": [1, 0, 2.5, 0]}, sparse([], [])],
        [sparse([2, 0], [1, -3e38])],
        [sparse([], [])],
        [],
    ],
)
def test_common_instances_are_read_together(
    instances: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_body, "_row", None)
    decode_json(json.dumps({"instances": instances}).encode(), DIM)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"features": [1', "not JSON: "),
        (b'{"features": [1, 2, 3, 4]}, {"features": [1, 2, 3, 4]}', "not JSON: "),
        (b"[]", 'no "features"'),
        (b'{"features": [1, 2]}', "2 features; the model's feature_dim is 4"),
    ],
)
def test_lines_that_are_no_instance(line: bytes, message: str) -> None:
    good = b'{"features": [0, 0, 0, 0]}'
    for place, lines in enumerate(([line, good], [good, line])):
        with pytest.raises(DataError) as caught:
            decode_json_lines(b"\r\n".join(lines), DIM)
        assert str(caught.value).startswith(f"instance {place} (the first is 0): {message}")


def test_a_line_may_be_the_value_of_features() -> None:
    lines = b'[0, 1, 0, 2]\n{"keys": [1, 3], "values": [1, 2]}\n{"values": [0, 1, 0, 2]}'
    assert dense(decode_json_lines(lines, DIM), DIM).tolist() == [[0, 1, 0, 2]] * 3


def test_empty_lines_are_no_instances() -> None:
    line = b'{"features": [0, 1, 0, 0]}'
    assert len(decode_json_lines(b"\n" + line + b"\n \r\n" + line + b"\n\n", DIM)) == 2
    assert len(decode_json_lines(b"", DIM)) == 0
