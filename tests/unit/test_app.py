"""The application without a server: routes, formats, limits, and each error as JSON."""

import io
import re
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from gunicorn.http.body import Body, ChunkedReader
from gunicorn.http.unreader import IterUnreader

from factorization_machines.errors import (
    AlgorithmError,
    ArtifactError,
    DataError,
    FactorizationMachinesError,
    PlatformError,
)
from factorization_machines.scoring import Predictor
from sagemaker_container.contract.paths import OptMl
from sagemaker_container.serving import app as application
from sagemaker_container.serving import loading, request_log
from sagemaker_container.serving.app import create_app
from sagemaker_container.serving.content_types import encoders, json_lines
from sagemaker_container.serving.errors import PayloadTooLarge, RequestTimeout
from sagemaker_container.serving.request_body import BodyReader
from sagemaker_container.serving.settings import Settings
from support.scoring import known
from support.serving import error, invoke

ONE = {"instances": [{"features": [1, 0, 2]}]}
Z = 0.25 + 1 * 1 + 2 * 3 + 0.5 * 0.5 * 2 * (1 * 2)
P = float(np.float32(1 / (1 + np.exp(-Z))))


def app(model: Predictor | FactorizationMachinesError | None = None, **environ: str) -> Flask:
    return create_app(model or known(), Settings.from_environment(environ))


@pytest.fixture(autouse=True)
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the log."""
    written: list[str] = []
    monkeypatch.setattr(application, "log", written.append)
    monkeypatch.setattr(request_log, "log", written.append)
    return written


def test_ping(lines: list[str]) -> None:
    for method in ("GET", "HEAD"):
        answer = app().test_client().open("/ping", method=method)
        assert (answer.status_code, answer.data) == (200, b"")
    assert lines == []  # a health check is not logged


def test_execution_parameters() -> None:
    answer = app(SAGEMAKER_MAX_PAYLOAD_IN_MB="9").test_client().get("/execution-parameters")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.get_json()["MaxPayloadInMB"] == 9


def test_responses_of_a_classifier_and_a_regressor() -> None:
    answer = invoke(app(), ONE)
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.get_json() == {
        "predictions": [{"score": pytest.approx(P), "predicted_label": 1.0}]
    }
    answer = invoke(app(known("regressor")), ONE)
    assert answer.get_json() == {"predictions": [{"score": pytest.approx(Z)}]}


LINE = b'{"features": [1, 0, 2]}'


@pytest.mark.parametrize(
    ("content_type", "body", "accept", "kind"),
    [
        ("application/json", b'{"instances": [%b]}' % LINE, None, "application/json"),
        ("application/jsonlines", LINE, None, "application/jsonlines"),
        ("application/jsonlines", LINE, "application/json", "application/json"),
        ("text/csv", b"1,0,2", "*/*", "application/json"),
        ("text/csv;label_size=1", b"5,1,0,2", "text/csv", "text/csv"),
        ("text/libsvm", b"1 0:1 2:2", "application/jsonlines", "application/jsonlines"),
    ],
)
def test_the_type_of_the_response(
    content_type: str, body: bytes, accept: str | None, kind: str
) -> None:
    answer = invoke(app(), body, content_type, accept)
    assert (answer.status_code, answer.content_type) == (200, kind)
    (score,) = re.findall(rb"0\.99\d+", answer.data)
    assert float(score) == pytest.approx(P)


def test_batch_transform_gets_json_lines() -> None:
    batch = app(SAGEMAKER_BATCH="true")
    for content_type, body in (
        ("text/csv", b"1,0,2\n0,0,0\n"),
        ("application/json", b'{"instances": [%b, {"features": [0, 0, 0]}]}' % LINE),
    ):
        answer = invoke(batch, body, content_type)
        assert answer.content_type == "application/jsonlines"
        assert [line[:8] for line in answer.data.splitlines()] == [b'{"score"'] * 2
        assert answer.data.endswith(b"}\n")


@pytest.mark.parametrize("accept", ["text/csv", "application/json", "application/jsonlines"])
def test_the_texts_of_batch_transform_end_with_a_newline(accept: str) -> None:
    online, batch = (
        invoke(app(SAGEMAKER_BATCH=batch), LINE, "application/jsonlines", accept).data
        for batch in ("", "true")
    )
    assert batch == online + b"\n"
    assert not online.endswith(b"\n")


def test_what_batch_transform_leaves_as_it_is() -> None:
    batch, records = app(SAGEMAKER_BATCH="true"), "application/x-recordio-protobuf"
    online = invoke(app(), LINE, "application/jsonlines", records).data
    assert invoke(batch, LINE, "application/jsonlines", records).data == online
    assert invoke(batch, b"\n", "application/jsonlines").data == b""


def test_without_a_model_both_respond_with_the_reason() -> None:
    without = app(ArtifactError("there is none"))
    for answer in (without.test_client().get("/ping"), invoke(without, ONE)):
        assert answer.status_code == 503
        assert error(answer) == ("ArtifactError", "there is none")


def test_a_score_beyond_float32_is_an_error() -> None:
    body = {"instances": [{"features": [0, 0, 0]}, {"features": [3e38, 3e38, 3e38]}]}
    answer = invoke(app(known("regressor", v=1e10)), body)
    assert answer.status_code == 400
    assert error(answer) == (
        "DataError",
        "instance 1 (the first is 0): its score is beyond float32",
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "allow"),
    [
        ("GET", "/invocations", 405, "MethodNotAllowed", "POST"),
        ("HEAD", "/invocations", 405, None, "POST"),
        ("POST", "/ping", 405, "MethodNotAllowed", "GET, HEAD"),
        ("DELETE", "/execution-parameters", 405, "MethodNotAllowed", "GET, HEAD"),
        ("GET", "/", 404, "NotFound", None),
        ("POST", "/invocations/", 404, "NotFound", None),
    ],
)
def test_unknown_paths_and_methods(
    method: str, path: str, status: int, code: str | None, allow: str | None
) -> None:
    answer = app().test_client().open(path, method=method)
    assert answer.status_code == status
    assert answer.headers.get("allow") == allow
    assert error(answer)[0] == code if code else answer.data == b""


@pytest.mark.parametrize(
    ("content_type", "accept", "status", "code"),
    [
        ("text/html", None, 415, "UnsupportedMediaType"),
        (None, None, 415, "UnsupportedMediaType"),
        ("application/json", "text/html", 406, "NotAcceptable"),
    ],
)
def test_unknown_types(
    content_type: str | None, accept: str | None, status: int, code: str
) -> None:
    answer = invoke(app(), ONE, content_type, accept)
    assert answer.status_code == status
    assert error(answer)[0] == code


@pytest.mark.parametrize(
    ("header", "coding"), [("Content-Encoding", "gzip"), ("Transfer-Encoding", "gzip, chunked")]
)
def test_a_compressed_body(header: str, coding: str) -> None:
    environ = {f"HTTP_{header.upper().replace('-', '_')}": coding}
    answer = invoke(app(), ONE, environ_overrides=environ)
    assert answer.status_code == 415
    assert error(answer) == (
        "UnsupportedMediaType",
        "Content-Encoding must be identity, which means no compression; got 'gzip'",
    )
    assert invoke(app(), ONE, environ_overrides={"HTTP_CONTENT_ENCODING": "Identity"}).status == (
        "200 OK"
    )


@pytest.mark.parametrize("line", [b"5", b"1.5", b"true", b"null", b'"values"', b"[]", b"{}"])
def test_a_line_that_is_no_instance(line: bytes) -> None:
    answer = invoke(app(), line, "application/jsonlines")
    assert answer.status_code == 400
    assert error(answer)[1] == 'instance 0 (the first is 0): no "features"'


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/jsonlines", b'{"features": [1, 0, 2], "top_k": {"from": [0, 2], "k": 1}}'),
        ("application/json", b'{"instances": [{"data": {"features": [1, 0, 2], "top_k": 1}}]}'),
        ("application/json", b'{"instances": [{"features": [1, 0, 2], "top_k": 1}]}'),
    ],
)
def test_top_k_inside_an_instance(content_type: str, body: bytes) -> None:
    answer = invoke(app(), body, content_type)
    assert answer.status_code == 400
    assert error(answer)[1] == (
        'instance 0 (the first is 0): "top_k" must be beside "instances" in a body of '
        "application/json"
    )


@pytest.mark.parametrize(
    ("content_type", "line"),
    [
        ("application/jsonlines", b'{"features": [%d, 0, 2]}'),
        ("text/libsvm", b"1 0:%d 2:2"),
        ("text/csv", b"%d,0,2"),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "application/jsonlines", "text/csv"])
def test_blocks_of_a_large_request_are_as_one(
    content_type: str, line: bytes, accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b"\n".join(line % number for number in (1, 2, 3, 4, 5))
    whole = invoke(app(), body, content_type, accept).data
    monkeypatch.setattr(json_lines, "_BLOCK", 2)
    monkeypatch.setattr(encoders, "_BLOCK", 2)
    assert invoke(app(), body, content_type, accept).data == whole
    answer = invoke(app(), body.replace(line % 4, b"x"), content_type, accept)
    assert error(answer)[1].startswith("instance 3 (the first is 0): ")
    assert invoke(app(), b"\n", content_type, accept).status_code == 200


@pytest.mark.parametrize(
    ("content_type", "line"),
    [("text/libsvm", b"0\n"), ("text/csv", b"0,0,0\n"), ("application/jsonlines", b"[0,0,0]\n")],
)
def test_more_lines_than_a_response_may_have(
    content_type: str, line: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lines, "MAX_LINES", 3)
    assert invoke(app(), 3 * line, content_type).status_code == 200
    answer = invoke(app(), 4 * line, content_type)
    assert answer.status_code == 400
    assert error(answer) == ("DataError", "4 lines; at most 3 in a request")


def test_a_body_of_the_largest_size() -> None:
    most = b'{"instances": []}'.ljust(1 << 20)
    assert invoke(app(SAGEMAKER_MAX_PAYLOAD_IN_MB="1"), most).status_code == 200
    answer = invoke(app(SAGEMAKER_MAX_PAYLOAD_IN_MB="1"), most + b" ")
    assert answer.status_code == 413
    assert error(answer) == (
        "PayloadTooLarge",
        "a body may have 1048576 bytes at most; SAGEMAKER_MAX_PAYLOAD_IN_MB sets the limit",
    )
    unlimited = app(SAGEMAKER_MAX_PAYLOAD_IN_MB="0")
    assert invoke(unlimited, b'{"instances": []}'.ljust(8 << 20)).status_code == 200


def read(stream: object, reader: BodyReader, length: int | None, **environ: object) -> bytes:
    """Read a body from a stream, as gunicorn hands it over; no length: it is chunked."""
    values = {"wsgi.input": stream, **environ}
    if length is not None:
        values["CONTENT_LENGTH"] = str(length)
    return reader.read(values)


@pytest.mark.parametrize("length", [None, 11])
def test_a_body_that_is_too_large_is_read_to_its_end(length: int | None) -> None:
    reader = BodyReader(10, 60)
    assert read(io.BytesIO(bytes(10)), reader, length and 10) == bytes(10)
    stream = io.BytesIO(bytes(3 << 20))
    with pytest.raises(PayloadTooLarge):
        read(stream, reader, length and 3 << 20)
    assert stream.read() == b""


def test_a_client_that_disconnects() -> None:
    with pytest.raises(RequestTimeout, match="the body ended after 12 bytes"):
        read(io.BytesIO(b'{"instances"'), BodyReader(100, 60), 20)
    with pytest.raises(RequestTimeout, match="the body ended after 12 bytes"):
        read(io.BytesIO(b'{"instances"'), BodyReader(None, 60), 20)


@pytest.mark.parametrize(
    ("chunks", "kind"),
    [
        (b"5\r\nhello\r\n0\r\n\r\n", None),
        (b"5\r\nhel", RequestTimeout),
        (b"five\r\nhello\r\n", DataError),
    ],
)
def test_a_body_in_chunks(chunks: bytes, kind: type[Exception] | None) -> None:
    body = Body(ChunkedReader(object(), IterUnreader([chunks])))
    if kind is None:
        assert read(body, BodyReader(5, 60), None) == b"hello"
        return
    with pytest.raises(kind):
        read(body, BodyReader(5, 60), None)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ArtifactError("cut"), ArtifactError, "cut"),
        (MemoryError(), PlatformError, "not enough memory for the model"),
        (ValueError("what"), AlgorithmError, "ValueError: what"),
    ],
)
def test_a_model_that_cannot_be_loaded(
    error: Exception, kind: type, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(loading.artifact, "read", fail)
    loaded = loading.load(OptMl(tmp_path))
    assert (type(loaded), str(loaded)) == (kind, message)


def test_a_body_that_arrives_byte_by_byte_is_ended_in_time() -> None:
    client, server = socket.socketpair()
    ended = threading.Event()

    def send() -> None:
        while not ended.wait(0.05):
            client.send(b" ")

    sender = threading.Thread(target=send)
    sender.start()
    try:
        with server.makefile("rb") as stream, pytest.raises(RequestTimeout):
            read(stream, BodyReader(100_000, 0.3), 1000, **{"gunicorn.socket": server})
    finally:
        ended.set()
        sender.join()
        client.close()
        server.close()


def test_a_large_request() -> None:
    body = b"1,0,2\n" * 50_000
    answer = invoke(app(), body, "text/csv", "text/csv")
    assert answer.data.count(b"\n") == 49_999


def test_an_internal_error_hides_its_traceback(lines: list[str]) -> None:
    model = known()
    model.v = None  # type: ignore[assignment]
    answer = invoke(app(model), ONE)
    assert answer.status_code == 500
    code, message = error(answer)
    assert code == "InternalError"
    mark = message.split()[-1]
    assert message == f"an error of the server; its log has it as {mark}"
    assert lines[0].startswith(f"error {mark}\nTraceback")


def test_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model = known()
    monkeypatch.setattr(model, "predict", lambda rows: bytearray(1 << 62))
    answer = invoke(app(model), ONE)
    assert answer.status_code == 503
    assert error(answer) == ("PlatformError", "not enough memory for this request")


def test_the_log(lines: list[str]) -> None:
    invoke(app(), LINE, "application/jsonlines")
    raw = {"RAW_URI": "/nothing\n\x1b[0m?query"}
    app().test_client().get("/nothing", environ_overrides=raw)
    assert len(lines) == 2
    number = r"\d+\.\d\d"
    assert re.fullmatch(rf"POST /invocations 200, 23 bytes in, \d\d out, {number} ms", lines[0]), (
        lines[0]
    )
    assert lines[1].startswith("GET /nothing??[0m 404, 0 bytes in, ")
