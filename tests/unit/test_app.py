"""The application asked without a server: routes, formats, limits, and each error as JSON."""

import re

import numpy as np
import pytest

from factorization_machines.errors import ArtifactError, FactorizationMachinesError
from factorization_machines.scoring import Scorer
from sagemaker_container.serving import app as application
from sagemaker_container.serving.app import App
from sagemaker_container.serving.settings import Settings
from support.asgi import ask, invoke
from support.scoring import known

ONE = {"instances": [{"features": [1, 0, 2]}]}
Z = 0.25 + 1 * 1 + 2 * 3 + 0.5 * 0.5 * 2 * (1 * 2)
P = float(np.float32(1 / (1 + np.exp(-Z))))


def app(model: Scorer | FactorizationMachinesError | None = None, **environ: str) -> App:
    return App(model or known(), Settings.from_environment(environ))


@pytest.fixture(autouse=True)
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the log."""
    written: list[str] = []
    monkeypatch.setattr(application, "log", written.append)
    return written


def test_ping(lines: list[str]) -> None:
    for method in ("GET", "HEAD"):
        answer = ask(app(), method)
        assert (answer.status, answer.content) == (200, b"")
    assert lines == []  # a health check is not logged


def test_execution_parameters() -> None:
    answer = ask(app(SAGEMAKER_MAX_PAYLOAD_IN_MB="9"), path="/execution-parameters")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json["MaxPayloadInMB"] == 9


def test_a_classifiers_and_a_regressors_answer() -> None:
    answer = invoke(app(), ONE)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == {"predictions": [{"score": pytest.approx(P), "predicted_label": 1.0}]}
    answer = invoke(app(known("regressor")), ONE)
    assert answer.json == {"predictions": [{"score": pytest.approx(Z)}]}


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
def test_what_is_answered_to_what(
    content_type: str, body: bytes, accept: str | None, kind: str
) -> None:
    answer = invoke(app(), body, content_type, accept)
    assert (answer.status, answer.headers["content-type"]) == (200, kind)
    (score,) = re.findall(rb"0\.99\d+", answer.content)
    assert float(score) == pytest.approx(P)


def test_batch_transform_is_answered_line_by_line() -> None:
    batch = app(SAGEMAKER_BATCH="true")
    for content_type, body in (
        ("text/csv", b"1,0,2\n0,0,0\n"),
        ("application/json", b'{"instances": [%b, {"features": [0, 0, 0]}]}' % LINE),
    ):
        answer = invoke(batch, body, content_type)
        assert answer.headers["content-type"] == "application/jsonlines"
        assert [line[:8] for line in answer.content.splitlines()] == [b'{"score"'] * 2
        assert not answer.content.endswith(b"\n")


def test_without_a_model_both_say_why() -> None:
    without = app(ArtifactError("there is none"))
    for answer in (ask(without), invoke(without, ONE)):
        assert answer.status == 503
        assert answer.error == ("ArtifactError", "there is none")


def test_a_score_beyond_float32_is_told_and_not_sent() -> None:
    body = {"instances": [{"features": [0, 0, 0]}, {"features": [3e38, 3e38, 3e38]}]}
    answer = invoke(app(known("regressor", v=1e10)), body)
    assert answer.status == 400
    assert answer.error == ("DataError", "instance 1 (the first is 0): its score is beyond float32")


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "allow"),
    [
        ("GET", "/invocations", 405, "MethodNotAllowed", "POST"),
        ("POST", "/ping", 405, "MethodNotAllowed", "GET, HEAD"),
        ("DELETE", "/execution-parameters", 405, "MethodNotAllowed", "GET, HEAD"),
        ("GET", "/", 404, "NotFound", None),
        ("POST", "/invocations/", 404, "NotFound", None),
    ],
)
def test_what_is_not_there(
    method: str, path: str, status: int, code: str, allow: str | None
) -> None:
    answer = ask(app(), method, path)
    assert answer.status == status
    assert answer.error[0] == code
    assert answer.headers.get("allow") == allow


@pytest.mark.parametrize(
    ("content_type", "accept", "status", "code"),
    [
        ("text/html", None, 415, "UnsupportedMediaType"),
        (None, None, 415, "UnsupportedMediaType"),
        ("application/json", "text/html", 406, "NotAcceptable"),
    ],
)
def test_types_that_are_not_known(
    content_type: str | None, accept: str | None, status: int, code: str
) -> None:
    answer = invoke(app(), ONE, content_type, accept)
    assert answer.status == status
    assert answer.error[0] == code


def test_a_body_in_pieces() -> None:
    answer = invoke(app(), [b'{"instances": [', LINE, b"", b"]}"])
    assert answer.status == 200


@pytest.mark.parametrize("told", [True, False])
def test_a_body_that_is_too_large(told: bool) -> None:
    small = app(SAGEMAKER_MAX_PAYLOAD_IN_MB="1")
    most = b'{"instances": []}'.ljust(1 << 20)
    assert invoke(small, most).status == 200
    # All of it is taken, told or not: a client that still sends would not read the answer.
    headers = [("Content-Type", "application/json")]
    if told:
        headers.append(("Content-Length", str(len(most) + 1)))
    answer = ask(small, "POST", "/invocations", [most, b" "], headers=headers)
    assert answer.status == 413
    assert answer.error == (
        "PayloadTooLarge",
        "a body may have 1048576 bytes at most; SAGEMAKER_MAX_PAYLOAD_IN_MB sets the limit",
    )
    assert invoke(app(SAGEMAKER_MAX_PAYLOAD_IN_MB="0"), [b" " * (7 << 20), most]).status == 200


def test_a_client_that_asks_before_it_sends_is_told_at_once() -> None:
    headers = [("Content-Length", str(7 << 20)), ("Expect", "100-continue")]
    # The client leaves: had the body been asked for, this would be another error.
    answer = ask(app(), "POST", "/invocations", [b""], headers=headers, leaves=True)
    assert answer.status == 413


def test_a_client_that_leaves() -> None:
    answer = invoke(app(), [b'{"instances"'], leaves=True)
    assert answer.status == 408
    assert answer.error == ("RequestTimeout", "the body ended after 12 bytes")


def test_a_large_request_is_answered_too() -> None:
    body = b"1,0,2\n" * 50_000
    answer = invoke(app(), body, "text/csv", "text/csv")
    assert answer.content.count(b"\n") == 49_999


def test_an_error_of_ours_is_told_without_its_trace(lines: list[str]) -> None:
    model = known()
    model.v = None  # type: ignore[assignment]
    answer = invoke(app(model), ONE)
    assert answer.status == 500
    code, message = answer.error
    assert code == "InternalError"
    mark = message.split()[-1]
    assert message == f"an error of the server; its log has it as {mark}"
    assert lines[0].startswith(f"error {mark}\nTraceback")


def test_too_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model = known()
    monkeypatch.setattr(model, "predict", lambda rows: bytearray(1 << 62))
    answer = invoke(app(model), ONE)
    assert answer.status == 503
    assert answer.error == ("PlatformError", "not enough memory for this request")


def test_the_log(lines: list[str]) -> None:
    invoke(app(), LINE, "application/jsonlines")
    ask(app(), "GET", "/nothing\n\x1b[0m")
    assert len(lines) == 2
    number = r"\d+\.\d\d"
    assert re.fullmatch(rf"POST /invocations 200, 23 bytes in, \d\d out, {number} ms", lines[0]), (
        lines[0]
    )
    assert lines[1].startswith("GET /nothing??[0m 404, 0 bytes in, ")
