"""Content-Type and Accept: what is read, what is answered, and what is refused."""

import pytest

from sagemaker_container.serving.content_types.json_body import decode_json
from sagemaker_container.serving.content_types.json_lines import decode_json_lines
from sagemaker_container.serving.content_types.negotiation import (
    CSV,
    DECODERS,
    ENCODERS,
    JSON,
    JSON_LINES,
    LIBSVM,
    RECORDS,
    find_decoder,
    response_type,
)
from sagemaker_container.serving.content_types.recordio import read_records
from sagemaker_container.serving.content_types.text import decode_csv, decode_libsvm
from sagemaker_container.serving.errors import NotAcceptable, UnsupportedMediaType


@pytest.mark.parametrize(
    ("header", "name", "read"),
    [
        ("application/json", JSON, decode_json),
        ("application/json; charset=utf-8", JSON, decode_json),
        ('Application/JSON;Charset="UTF-8"', JSON, decode_json),
        (" application/json ;odd;verbose=true", JSON, decode_json),
        ("application/jsonlines", JSON_LINES, decode_json_lines),
        ("application/x-recordio-protobuf; charset=latin-1", RECORDS, read_records),
        ("text/csv", CSV, decode_csv),
        ("text/libsvm", LIBSVM, decode_libsvm),
    ],
)
def test_content_types_that_are_read(header: str, name: str, read: object) -> None:
    assert find_decoder(header) == (name, read)


def test_label_size() -> None:
    name, read = find_decoder("text/csv; label_size=1")
    assert name == CSV
    assert read(b"7,0,2", 2).values.tolist() == [2]


@pytest.mark.parametrize(
    ("header", "got"),
    [
        ("text/html", "got 'text/html'"),
        ("application/jsonx", "got 'application/jsonx'"),
        ("", "the request has none"),
        (None, "the request has none"),
        ("application/json; charset=utf-16", "charset must be utf-8; got 'utf-16'"),
        ("text/csv; label_size=one", "label_size must be a whole number; got 'one'"),
        ("text/csv; label_size=-1", "label_size must be a whole number; got '-1'"),
    ],
)
def test_content_types_that_are_not(header: str | None, got: str) -> None:
    with pytest.raises(UnsupportedMediaType) as caught:
        find_decoder(header)
    assert str(caught.value).endswith(got)
    if "must be utf-8" not in got and "label_size" not in got:
        assert all(name in str(caught.value) for name in DECODERS)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/json", JSON),
        ("application/jsonlines", JSON_LINES),
        ("application/x-recordio-protobuf", RECORDS),
        ("text/csv", CSV),
        ("text/*", CSV),
        ("application/*", JSON),
        ("Text/CSV; header=absent", CSV),
        ("text/html, text/csv", CSV),
        ("text/csv, application/json", JSON),  # equal: what is preferred
        ("application/json;q=0.5, text/csv", CSV),
        ("application/json;q=0.5, text/csv;q=0.4, */*;q=0.1", JSON),
        ("*/*, application/json;q=0", JSON_LINES),
        ("text/csv;q=0.001, text/html", CSV),
        ("application/json;q=hot", JSON),
        ("application/json; q=0.3; charset=utf-8, text/csv;q=0.2", JSON),
        (", ,text/csv,", CSV),
    ],
)
def test_what_is_answered(header: str | None, name: str) -> None:
    assert response_type(header, JSON) == name


def test_another_preference() -> None:
    assert response_type(None, JSON_LINES) == JSON_LINES
    assert response_type("*/*", JSON_LINES) == JSON_LINES
    assert response_type("application/json", JSON_LINES) == JSON


@pytest.mark.parametrize(
    "header", ["text/html", "image/*", "application/json;q=0", "text/libsvm", "*/*;q=0", "nonsense"]
)
def test_what_is_not_answered(header: str) -> None:
    with pytest.raises(NotAcceptable) as caught:
        response_type(header, JSON)
    assert str(caught.value).endswith(f"; got {header!r}")
    assert all(name in str(caught.value) for name in ENCODERS)


def test_only_some_are_made() -> None:
    assert response_type("text/csv;q=1, application/jsonlines;q=0.1", JSON, (JSON, JSON_LINES)) == (
        JSON_LINES
    )
    with pytest.raises(NotAcceptable, match="must allow application/json or application/jsonlines"):
        response_type("text/csv", JSON, (JSON, JSON_LINES))
