"""Batch transform's splitting, joining and JSONPath expressions."""

import pytest

from local_sagemaker.errors import ServiceError
from local_sagemaker.jobs.data_processing import DataProcessing
from local_sagemaker.jobs.json_path import Selector
from local_sagemaker.jobs.splitting import ObjectError, assemble, payloads, records
from support.recordio import frame, split

RECORD = {"id": 1, "n": {"a": 2, "b": 3}, "SageMakerOutput": {"score": 0.5}, "list": []}
ROW = ["a", "b", "c"]


def test_batches_fill_up_to_the_limit() -> None:
    lines = list(records(b"aa\nbb\n\ncc\n", "Line"))
    assert lines == [b"aa\n", b"bb\n", b"cc\n"]
    assert list(payloads(iter(lines), "MultiRecord", 6)) == [b"aa\nbb\n", b"cc\n"]
    assert list(payloads(iter(lines), "MultiRecord", 0)) == [b"aa\nbb\ncc\n"]
    assert list(payloads(iter(lines), "SingleRecord", 6)) == lines
    with pytest.raises(ObjectError, match="larger than MaxPayloadInMB"):
        list(payloads(iter(lines), "MultiRecord", 2))


def test_only_a_newline_ends_a_line() -> None:
    assert list(records(b"a\rb\x0bc\r\nd", "Line")) == [b"a\rb\x0bc\r\n", b"d"]


@pytest.mark.parametrize("how", ["None", "Line", "RecordIO"])
def test_an_empty_object_has_no_records(how: str) -> None:
    assert list(records(b"", how)) == []


def test_recordio_is_cut_between_whole_records() -> None:
    whole, parts = frame(b"abc"), split(b"0123456789")
    assert list(records(whole + parts + whole, "RecordIO")) == [whole, parts, whole]
    with pytest.raises(ObjectError, match="cut off"):
        list(records(whole[:-4], "RecordIO"))
    with pytest.raises(ObjectError, match="at byte 0"):
        list(records(b"not a record", "RecordIO"))


def test_answers_are_put_together_without_empty_lines() -> None:
    assert assemble([b"a", b"b\n", b"", b"c"], "Line") == b"a\nb\nc\n"
    assert assemble([b"a", b"b"], "None") == b"ab"


@pytest.mark.parametrize(
    ("expression", "value", "part"),
    [
        ("$", RECORD, RECORD),
        ("$.id", RECORD, 1),
        ("$.n.a", RECORD, 2),
        ("$['n']['a']", RECORD, 2),
        ("$['id','SageMakerOutput']", RECORD, {"id": 1, "SageMakerOutput": {"score": 0.5}}),
        ("$.n.['a','b']", RECORD, {"a": 2, "b": 3}),
        ("$.n.*", RECORD, [2, 3]),
        ("$.list.*", RECORD, []),
        ("$[0]", ROW, "a"),
        ("$[-1]", ROW, "c"),
        ("$[0,-1]", ROW, ["a", "c"]),
        ("$[1:]", ROW, ["b", "c"]),
        ("$[:2]", ROW, ["a", "b"]),
        ("$[0,2:]", ROW, ["a", "c"]),
        ("$[*]", ROW, ROW),
    ],
)
def test_the_part_that_an_expression_selects(expression: str, value: object, part: object) -> None:
    assert Selector(expression)(value) == part


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("$.missing", RECORD),
        ("$['id','missing']", RECORD),
        ("$[3]", ROW),
        ("$[-4]", ROW),
        ("$[0,5:]", ROW),
        ("$['a','b']", ROW),
    ],
)
def test_a_part_that_a_value_does_not_have(expression: str, value: object) -> None:
    with pytest.raises(ValueError, match="there is no "):
        Selector(expression)(value)


@pytest.mark.parametrize(
    "expression",
    ["id", "$..id", "$[?(@.a)]", "$[0:4:2]", "$['a','b.c']", "$.`parent`", "$[0,]", "$['a'", "@"],
)
def test_expressions_that_are_not_supported(expression: str) -> None:
    with pytest.raises(ValueError, match="must be a JSONPath of "):
        Selector(expression)


def processing(kind: str, split_type: str = "Line", **settings: str) -> DataProcessing:
    how = {"AssembleWith": split_type}
    return DataProcessing(
        {
            "TransformInput": {"ContentType": kind, "SplitType": split_type},
            "TransformOutput": {"Accept": kind, **how},
            "DataProcessing": settings,
        }
    )


def test_json_that_is_no_object_is_joined_under_a_key() -> None:
    joined = processing("application/jsonlines", JoinSource="Input")
    assert joined.output([b"[1,2]\n", b'{"a":1}\n'], [b'{"score":1}\n{"score":2}\n']) == (
        b'{"SageMakerInput":[1,2],"SageMakerOutput":{"score":1}}\n'
        b'{"a":1,"SageMakerOutput":{"score":2}}\n'
    )


def test_an_output_filter_without_a_join() -> None:
    scores = processing("application/jsonlines", OutputFilter="$.score")
    assert scores.output([b"{}\n"] * 2, [b'{"score":1,"x":2}\n{"score":2,"x":3}\n']) == b"1\n2\n"


def test_cells_of_csv_keep_their_text() -> None:
    joined = processing("text/csv", InputFilter="$[1:]", JoinSource="Input")
    row = b'"a, ""b""",1.50,00\r\n'
    assert joined.model_input(row) == b"1.50,00\n"
    assert joined.output([row], [b"0.5,1.0\n"]) == b'"a, ""b""",1.50,00,0.5,1.0\n'


def test_a_whole_document_is_one_record() -> None:
    joined = processing("application/json", "None", InputFilter="$.body", JoinSource="Input")
    document = b'{\n "body": {"instances": []},\n "id": 12345678901234567890123}'
    assert joined.model_input(document) == b'{"instances":[]}\n'
    assert joined.output([document], [b'{"predictions":\n[]}\n']) == (
        b'{"body":{"instances":[]},"id":12345678901234567890123,'
        b'"SageMakerOutput":{"predictions":[]}}'
    )


@pytest.mark.parametrize(
    ("record", "response", "message"),
    [
        (b"no json\n", b"{}\n", "the input is not JSON: .* in 'no json"),
        (b"{}\n", b"\xff\n", "the output is not JSON: "),
        (b"{}\n", b"{}\n{}\n", "the output is not JSON: "),
        (b"{}\n", b"{}\n", "there is no [$].id in "),
    ],
)
def test_records_that_cannot_be_joined(record: bytes, response: bytes, message: str) -> None:
    joined = processing("application/jsonlines", JoinSource="Input", OutputFilter="$.id")
    with pytest.raises(ObjectError, match=message):
        joined.output([record], [response])
    with pytest.raises(ObjectError, match="2 lines for 3 records"):
        joined.output([b"{}\n"] * 3, [b"{}\n{}\n"])


def test_json_lines_cannot_be_one_record() -> None:
    with pytest.raises(ServiceError, match="application/jsonlines needs SplitType Line"):
        processing("application/jsonlines", "None", JoinSource="Input")
