"""Instances as CSV and as libsvm lines: what is read, and what is refused and why."""

import pytest

from factorization_machines.errors import DataError
from sagemaker_container.serving.content_types.text import decode_csv, decode_libsvm
from support.rows import dense

DIM = 4


def csv(text: str, label_size: int = 0) -> list[list[float]]:
    rows: list[list[float]] = dense(decode_csv(text.encode(), DIM, label_size), DIM).tolist()
    return rows


def libsvm(text: str) -> list[list[float]]:
    rows: list[list[float]] = dense(decode_libsvm(text.encode(), DIM), DIM).tolist()
    return rows


def test_csv() -> None:
    assert csv("0,1.5,-2,0\n1,0,0,1e-3") == [[0, 1.5, -2, 0], [1, 0, 0, pytest.approx(1e-3)]]
    assert csv("\n0,0,0,0\r\n\r\n 1 , 2 ,\t3 ,4\r\n") == [[0] * 4, [1, 2, 3, 4]]
    assert csv("") == []


def test_csv_numbers_that_json_does_not_know() -> None:
    assert csv("+1,.5,2.,007") == [[1, 0.5, 2, 7]]


def test_csv_with_labels() -> None:
    assert csv("1,0,1,2,3\n0,4,5,6,7", label_size=1) == [[0, 1, 2, 3], [4, 5, 6, 7]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,3", "3 features; the model's feature_dim is 4"),
        ("1,2,3,4,5", "5 features; the model's feature_dim is 4"),
        ("a,b,c,d", 'value 0 must be a number; got "a"'),
        ("1,2,,4", 'value 2 must be a number; got ""'),
        ("1,2,3,", 'value 3 must be a number; got ""'),
        ("1,2,nan,4", 'value 2 must be a number; got "nan"'),
        ("1,2,inf,4", 'value 2 must be a number; got "inf"'),
        ("1,2,1_0,4", 'value 2 must be a number; got "1_0"'),
        ("1,2,true,4", "value 2 must be a number; got true"),
        ("1,2,null,4", "value 2 must be a number; got null"),
        ('1,"2",3,4', 'value 1 must be a number; got "2"'),
        ("[1,2,3,4]", "value 0 must be a number; got [1,2,3,4]"),
        ("1,2],[3,4", 'value 1 must be a number; got "2]"'),
        ("1,2,3,1e39", "value 3 does not fit float32; got 1e39"),
        ("1;2;3;4", 'value 0 must be a number; got "1;2;3;4"'),
    ],
)
def test_csv_lines_that_are_no_instance(line: str, message: str) -> None:
    for place, text in enumerate((line, f"0,0,0,0\n{line}\n1,1,1,1")):
        with pytest.raises(DataError) as caught:
            csv(text)
        said = str(caught.value).replace("e+", "e")
        assert said == f"instance {place} (the first is 0): {message}"


def test_libsvm() -> None:
    assert libsvm("1 0:1 3:0.5\n-1 2:-2e0 # a comment\n0:1 1:+2\n0\n") == [
        [1, 0, 0, 0.5],
        [0, 0, -2, 0],
        [1, 2, 0, 0],
        [0, 0, 0, 0],
    ]
    assert libsvm("1 3:1 0:2 3:1") == [[2, 0, 0, 2]]  # any order; a repeated key is added
    assert libsvm("") == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 4:1", "key 4 must be from 0 to 3"),
        ("1 99999999999999999999:1", 'expected key:value; got "99999999999999999999:1"'),
        ("1 -1:1", 'expected key:value; got "-1:1"'),
        ("1 2", 'expected key:value; got "2"'),
        ("good 1:2", 'the label must be a number; got "good"'),
        ("1 qid:3 1:2", 'expected key:value; got "qid:3"'),
        ("1 1:x", 'the value of key 1 must be a number; got "x"'),
        ("1 1:", 'the value of key 1 must be a number; got ""'),
        ("1 1:nan", 'the value of key 1 must be a number; got "nan"'),
        ("1 1:1e39", "value 0 does not fit float32; got 1e39"),
        ("1 ¹:1", 'expected key:value; got "¹:1"'),
    ],
)
def test_libsvm_lines_that_are_no_instance(line: str, message: str) -> None:
    for place, text in enumerate((line, f"1 0:1\n{line}\n0 1:1")):
        with pytest.raises(DataError) as caught:
            libsvm(text)
        said = str(caught.value).replace("e+", "e")
        assert said == f"instance {place} (the first is 0): {message}"
