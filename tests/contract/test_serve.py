"""`serve` as a real process: health, answers, errors, signals."""

import concurrent.futures
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from scipy.sparse import csr_array

from fm_container import artifact
from fm_container.algorithm import reference
from fm_container.algorithm.parameters import Parameters
from support import fm
from support.job import PATIENCE, Endpoint, Job

DIM = 6
PARAMETERS = fm.parameters(3, DIM, 4, scale=0.3)


def lay_out(job: Job, kind: str = "binary_classifier", parameters: Parameters = PARAMETERS) -> None:
    artifact.write(job.model, artifact.Model(parameters, {"predictor_type": kind}))


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    job = Job(tmp_path_factory.mktemp("served"))
    lay_out(job)
    with job.served() as running:
        yield running


def expected(x: np.ndarray) -> np.ndarray:
    return reference.sigmoid(reference.score(csr_array(x), PARAMETERS))


def error(answer: requests.Response) -> tuple[str, str]:
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    assert list(body) == ["error"]
    assert "Traceback" not in answer.text
    return body["error"]["code"], body["error"]["message"]


def test_ping(endpoint: Endpoint) -> None:
    answer = endpoint.ping()
    assert (answer.status_code, answer.content) == (200, b"")


def test_dense_sparse_and_both_nestings(endpoint: Endpoint) -> None:
    row = [0, 1.5, 0, 0, -2, 0.25]
    sparse = {"keys": [4, 1, 5], "shape": [DIM], "values": [-2, 1.5, 0.25]}
    instances = [
        {"features": row},
        {"data": {"features": {"values": row}}},
        {"data": {"features": sparse}},
        {"features": sparse},
    ]
    answer = endpoint.invoke({"instances": instances})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    (want,) = expected(np.array([row], np.float32)).tolist()
    predictions = answer.json()["predictions"]
    assert [list(one) for one in predictions] == [["score", "predicted_label"]] * 4
    assert [one["score"] for one in predictions] == pytest.approx([want] * 4, rel=1e-6)
    assert [one["predicted_label"] for one in predictions] == [float(want > 0.5)] * 4


def test_a_regressor_has_no_label(job: Job) -> None:
    lay_out(job, "regressor")
    with job.served() as running:
        answer = running.invoke({"instances": [{"features": [1, 0, 0, 0, 0, 2]}]})
    x = np.array([[1, 0, 0, 0, 0, 2]], np.float32)
    (prediction,) = answer.json()["predictions"]
    assert list(prediction) == ["score"]
    assert prediction["score"] == pytest.approx(
        float(reference.score(csr_array(x), PARAMETERS)[0]), rel=1e-6
    )


BAD: dict[str, tuple[bytes, str | None, int, str, str]] = {
    "cut short": (b'{"instances": [{"featu', "application/json", 400, "DataError", "is not JSON"),
    "wrong length": (
        b'{"instances": [{"features": [1, 0, 0, 0, 0, 0]}, {"features": [1, 2]}]}',
        "application/json",
        400,
        "DataError",
        "instance 1 (the first is 0): 2 features; the model's feature_dim is 6",
    ),
    "key out of range": (
        b'{"instances": [{"data": {"features": {"keys": [6], "values": [1]}}}]}',
        "application/json",
        400,
        "DataError",
        "instance 0 (the first is 0): key 6 must be from 0 to 5",
    ),
    "string among numbers": (
        b'{"instances": [{"features": [0, 0, "1", 0, 0, 0]}]}',
        "application/json",
        400,
        "DataError",
        'value 2 must be a number; got "1"',
    ),
    "NaN": (b'{"instances": [{"features": [NaN]}]}', "application/json", 400, "DataError", "JSON"),
    "empty body": (b"", "application/json", 400, "DataError", "the body is empty"),
    "wrong type": (b"1,2", "text/csv", 415, "UnsupportedMediaType", "got 'text/csv'"),
    "no type": (b"{}", None, 415, "UnsupportedMediaType", "the request has none"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_requests(name: str, endpoint: Endpoint) -> None:
    body, content_type, status, code, message = BAD[name]
    answer = endpoint.invoke(body, content_type)
    assert answer.status_code == status
    assert error(answer)[0] == code
    assert message in error(answer)[1]
    assert endpoint.ping().status_code == 200


def test_paths_and_methods(endpoint: Endpoint) -> None:
    got = requests.get(f"{endpoint.url}/invocations", timeout=PATIENCE)
    assert got.status_code == 405
    assert "POST" in got.headers["Allow"]
    assert error(got)[0] == "MethodNotAllowed"
    nowhere = requests.get(f"{endpoint.url}/models", timeout=PATIENCE)
    assert nowhere.status_code == 404
    assert error(nowhere)[0] == "NotFound"


def test_parameters_of_the_media_type_do_not_count(endpoint: Endpoint) -> None:
    body = b'{"instances": []}'
    answer = endpoint.invoke(body, "Application/JSON; charset=utf-8")
    assert (answer.status_code, answer.json()) == (200, {"predictions": []})


def test_many_at_once(endpoint: Endpoint) -> None:
    x = np.random.default_rng(0).normal(size=(200, DIM)).astype(np.float32)

    def ask(row: np.ndarray) -> float:
        answer = endpoint.invoke({"instances": [{"features": row.tolist()}]})
        score: float = answer.json()["predictions"][0]["score"]
        return score

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        scores = list(pool.map(ask, x))
    np.testing.assert_allclose(scores, expected(x), rtol=1e-5)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def no_zip(path: Path) -> None:
    path.write_bytes(b"\x80\x04 not a model")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (Path.unlink, "there is no model_algo-1 in {model}; it holds nothing"),
        (cut, "{model}/model_algo-1 is no zip, or a damaged one: "),
        (no_zip, "{model}/model_algo-1 is no zip, or a damaged one: "),
    ],
)
def test_without_a_model_it_says_why(job: Job, spoil: Any, reason: str) -> None:
    lay_out(job)
    spoil(job.model / artifact.FILE_NAME)
    with job.served() as running:
        answers = [running.ping(), running.invoke({"instances": []})]
        assert running.process.poll() is None
    for answer in answers:
        assert answer.status_code == 503
        code, message = error(answer)
        assert code == "ArtifactError"
        assert message.startswith(reason.format(model=job.model))
    log = running.log.read_text()
    assert log.startswith("no model to serve; /ping will answer 503: ArtifactError: ")
    assert log.count("\n") == 1


def test_a_stop_answers_what_is_in_flight(job: Job) -> None:
    lay_out(job)
    body = b'{"instances": [{"features": [1, 0, 0, 0, 0, 0]}]}'
    head = (
        "POST /invocations HTTP/1.1\r\nHost: here\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    # One worker: an answer to a second request says that it has taken the first.
    with job.served({"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}) as running:
        with socket.create_connection(("127.0.0.1", running.port), PATIENCE) as client:
            # The server has the head, asks for the rest, and is told to stop in between.
            client.sendall(head.encode() + body[:10])
            assert running.ping().status_code == 200
            running.process.send_signal(signal.SIGTERM)
            with pytest.raises(requests.RequestException):
                while True:  # until nobody is answered any more, which is after the signal
                    requests.get(f"{running.url}/ping", timeout=0.5)
            client.sendall(body[10:])
            answer = client.makefile("rb").read()
        assert b"200 OK" in answer.splitlines()[0]
        assert b'"predictions"' in answer
        assert running.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("name", ["SAGEMAKER_MODEL_SERVER_WORKERS", "SAGEMAKER_BIND_TO_PORT"])
def test_settings_that_are_no_number(job: Job, name: str) -> None:
    lay_out(job)
    with pytest.raises(AssertionError, match=f"PlatformError: {name} must be a whole number"):
        with job.served({name: "many"}):
            pass


def test_as_many_workers_as_asked(job: Job) -> None:
    lay_out(job)
    with job.served({"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}) as running:
        assert running.ping().status_code == 200
    assert "with 1 workers" in running.log.read_text()
