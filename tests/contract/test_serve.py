"""`serve` as a real process: health, responses, errors, signals."""

import concurrent.futures
import contextlib
import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from scipy.sparse import csr_array

from factorization_machines import artifact
from factorization_machines.parameters import Parameters, score, sigmoid
from support import fm
from support.job import PATIENCE, Endpoint, Job, command
from support.mxfiles import archive
from support.recordio import dense_file, message, sparse_file

DIM = 6
RECORDS = "application/x-recordio-protobuf"
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
    return sigmoid(score(csr_array(x), PARAMETERS))


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
    assert prediction["score"] == pytest.approx(float(score(csr_array(x), PARAMETERS)[0]), rel=1e-6)


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
    "wrong type": (b"1,2", "text/html", 415, "UnsupportedMediaType", "got 'text/html'"),
    "a line of text": (b"1,2", "text/csv", 400, "DataError", "instance 0 (the first is 0): 2 f"),
    "no records": (b"1,2", RECORDS, 400, "DataError", "neither RecordIO nor a bare record"),
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


def bomb(path: Path) -> None:
    path.unlink()
    info = tarfile.TarInfo("other")
    info.size = 8 * 10**12
    path.with_name("model.tar.gz").write_bytes(gzip.compress(info.tobuf()))


def other_symbol(path: Path) -> None:
    path.write_bytes(archive(meta={"training_parameters": {}}, symbol_json=b'{"nodes": 5}'))


def odd_name(path: Path) -> None:
    path.rename(path.with_name("\x1b[2J\n"))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (Path.unlink, "there is no model_algo-1 in {model}; it holds nothing"),
        (cut, "{model}/model_algo-1 is not a zip archive, or it is damaged: "),
        (no_zip, "{model}/model_algo-1 is not a zip archive, or it is damaged: "),
        (bomb, "{model}/model.tar.gz: other: 8000000000000 bytes, more than the archive may hold"),
        (other_symbol, "{model}/model_algo-1: nothing says the predictor type"),
        (odd_name, r"there is no model_algo-1 in {model}; it holds \x1b[2J\n"),
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
    first, *more = running.log.read_text().splitlines()
    assert first.startswith("no model to serve; /ping will answer 503: ArtifactError: ")
    assert [line.split(",")[0] for line in more] == ["POST /invocations 503"]


def test_a_stop_finishes_requests_in_flight(job: Job) -> None:
    lay_out(job)
    body = b'{"instances": [{"features": [1, 0, 0, 0, 0, 0]}]}'
    head = (
        "POST /invocations HTTP/1.1\r\nHost: here\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    # One worker: once it responds to a second request, it has accepted the first.
    with job.served({"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}) as running:
        with socket.create_connection(("127.0.0.1", running.port), PATIENCE) as client:
            # The server has the head, asks for the rest, and is told to stop in between.
            client.sendall(head.encode() + body[:10])
            assert running.ping().status_code == 200
            running.process.send_signal(signal.SIGTERM)
            with pytest.raises(requests.RequestException):
                while True:  # until the server accepts no more, which is after the signal
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


X = np.array([[0, 1.5, 0, 0, -2, 0.25], [0] * 6, [1, 0, 0, 1, 0, 0]], np.float32)
CSV = "\n".join(",".join(map(str, row)) for row in X.tolist()).encode()


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (RECORDS, sparse_file(csr_array(X), [0, 1, 0])),
        (RECORDS, dense_file(X, [0, 1, 0], "float64")),
        ("text/csv; charset=utf-8", CSV),
        ("text/libsvm", b"1 1:1.5 4:-2 5:0.25\n0\n1 0:1 3:1\n"),
        (
            "application/jsonlines",
            b"\n".join(b'{"features": [%b]}' % line for line in CSV.splitlines()),
        ),
    ],
)
def test_every_format_in_and_out(content_type: str, body: bytes, endpoint: Endpoint) -> None:
    want = expected(X)
    answer = endpoint.invoke(body, content_type, "application/json")
    assert answer.headers["Content-Type"] == "application/json"
    assert [one["score"] for one in answer.json()["predictions"]] == pytest.approx(want, rel=1e-6)
    answer = endpoint.invoke(body, content_type, "application/jsonlines")
    assert answer.headers["Content-Type"] == "application/jsonlines"
    lines = [json.loads(line) for line in answer.content.split(b"\n")]
    assert [one["score"] for one in lines] == pytest.approx(want, rel=1e-6)
    answer = endpoint.invoke(body, content_type, "text/csv")
    rows = [line.split(b",") for line in answer.content.split(b"\n")]
    assert [float(score) for score, _ in rows] == pytest.approx(want, rel=1e-6)
    answer = endpoint.invoke(body, content_type, f"text/html, {RECORDS}")
    assert answer.headers["Content-Type"] == RECORDS
    assert answer.content.count(b"predicted_label") == len(X)


def test_the_bare_bytes_of_one_record(endpoint: Endpoint) -> None:
    answer = endpoint.invoke(message([1.5, -2], keys=[1, 4], shape=[DIM]), RECORDS)
    (prediction,) = answer.json()["predictions"]
    row = np.array([[0, 1.5, 0, 0, -2, 0]], np.float32)
    assert prediction["score"] == pytest.approx(expected(row)[0], rel=1e-6)


def test_an_accept_header_without_a_match(endpoint: Endpoint) -> None:
    answer = endpoint.invoke({"instances": []}, accept="text/html")
    assert answer.status_code == 406
    assert error(answer)[0] == "NotAcceptable"


def test_top_k(endpoint: Endpoint) -> None:
    user = {"features": {"keys": [0], "values": [1]}}
    top = {"from": [2, 5], "k": 2, "exclude": [3]}
    answer = endpoint.invoke({"instances": [user], "top_k": top})
    (prediction,) = answer.json()["predictions"]
    pairs = np.zeros((3, DIM), np.float32)
    pairs[:, 0] = pairs[0, 2] = pairs[1, 4] = pairs[2, 5] = 1
    scores = sorted(zip(expected(pairs).tolist(), (2, 4, 5), strict=True), reverse=True)
    assert [item["key"] for item in prediction["top_k"]] == [key for _, key in scores[:2]]
    assert prediction["top_k"][0]["score"] == pytest.approx(scores[0][0], rel=1e-6)


def test_batch_transform(job: Job) -> None:
    lay_out(job)
    batch = {
        "SAGEMAKER_BATCH": "True",
        "SAGEMAKER_BATCH_STRATEGY": "MULTI_RECORD",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "1",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "1",
    }
    with job.served(batch) as running:
        parameters = requests.get(f"{running.url}/execution-parameters", timeout=PATIENCE)
        assert parameters.json() == {
            "MaxConcurrentTransforms": 1,
            "BatchStrategy": "MultiRecord",
            "MaxPayloadInMB": 1,
        }
        answer = running.invoke(CSV + b"\n", "text/csv")
        *lines, after_the_last = answer.content.split(b"\n")
        scores = [json.loads(line)["score"] for line in lines]
        assert after_the_last == b""
        assert scores == pytest.approx(expected(X), rel=1e-6)
        bad = running.invoke(CSV.replace(b"1.5", b"x"), "text/csv")
        assert bad.status_code == 400
        message = 'instance 0 (the first is 0): value 1 must be a number; got "x"'
        assert error(bad) == ("DataError", message)
        for stream in (bytes((1 << 20) + 1), iter([bytes(1 << 20), b"x"])):
            large = requests.post(f"{running.url}/invocations", data=stream, timeout=PATIENCE)
            assert large.status_code == 413
            assert error(large)[0] == "PayloadTooLarge"
        assert running.ping().status_code == 200


def test_503_while_the_model_is_loaded(job: Job) -> None:
    lay_out(job)
    slow = (
        "import time; from factorization_machines import artifact; read = artifact.read; "
        "artifact.read = lambda folder: (time.sleep(2), read(folder))[1]; "
        "from sagemaker_container.cli import serve; serve()"
    )
    with job.served(program=[sys.executable, "-c", slow], loaded=False) as running:
        answers = [running.ping(), running.invoke({"instances": []})]
        for answer in answers:
            assert answer.status_code == 503
            assert error(answer) == ("Loading", "the model is being loaded")
        # A client that sends nothing does not delay the start.
        with socket.create_connection(("127.0.0.1", running.port), PATIENCE):
            until = time.monotonic() + PATIENCE
            while running.ping().status_code != 200:
                assert time.monotonic() < until
                time.sleep(0.1)


def test_a_port_that_is_taken(job: Job) -> None:
    lay_out(job)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        environment = job.environment({"SAGEMAKER_BIND_TO_PORT": port})
        done = subprocess.run(
            command("serve"), env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
    assert done.returncode == 3
    assert done.stderr.startswith(f"PlatformError: cannot listen on 127.0.0.1:{port}: ")
    assert done.stderr.count("\n") == 1


def test_stalled_clients_do_not_block_others(job: Job) -> None:
    lay_out(job)
    head = b"POST /invocations HTTP/1.1\r\nHost: here\r\nContent-Length: 99\r\n"
    environment = {"SAGEMAKER_MODEL_SERVER_WORKERS": "1", "SAGEMAKER_MODEL_SERVER_TIMEOUT": "2"}
    with job.served(environment) as running, contextlib.ExitStack() as stack:
        clients = []
        for sent in (b"", b"POST /inv", head, head + b"\r\n", head + b"\r\n{") * 20:
            client = socket.create_connection(("127.0.0.1", running.port), PATIENCE)
            clients.append(stack.enter_context(client))
            client.sendall(sent)
        assert running.ping().status_code == 200
        answer = running.invoke({"instances": [{"features": [1, 0, 0, 0, 0, 0]}]})
        assert answer.status_code == 200
        # A body that is late gets 408.
        assert b" 408 " in clients[-1].makefile("rb").readline()
        clients[0].close()
        assert running.ping().status_code == 200


def test_bytes_that_are_not_http(endpoint: Endpoint) -> None:
    with socket.create_connection(("127.0.0.1", endpoint.port), PATIENCE) as client:
        client.sendall(b"\x16\x03\x01 what?\r\n\r\n")
        assert b" 400 " in client.makefile("rb").readline()
    assert endpoint.ping().status_code == 200


def test_the_log_has_a_line_for_each_request_but_health_checks(job: Job) -> None:
    lay_out(job)
    with job.served() as running:
        running.ping()
        running.invoke({"instances": []})
        requests.get(f"{running.url}/a%0Ab", timeout=PATIENCE)
        requests.head(f"{running.url}/invocations", timeout=PATIENCE)
    first, *lines = running.log.read_text().splitlines()
    assert first.startswith("serving a binary_classifier of feature_dim 6 and num_factors 4 on ")
    number = r"\d+\.\d\d"
    assert re.fullmatch(
        f"POST /invocations 200, 17 bytes in, 18 out, {number} ms\n"
        rf"GET /a%0Ab 404, 0 bytes in, \d+ out, {number} ms\n"
        rf"HEAD /invocations 405, 0 bytes in, \d+ out, {number} ms",
        "\n".join(lines),
    )


def test_the_image_runs_the_same_server(job: Job) -> None:
    lay_out(job)
    serve = Path(__file__).parents[2] / "container" / "serve"
    with job.served(program=[sys.executable, str(serve)]) as running:
        assert running.ping().status_code == 200
        answer = running.invoke({"instances": [{"features": [1, 0, 0, 0, 0, 0]}]})
        assert answer.status_code == 200
    assert os.access(serve, os.X_OK) and os.access(serve.with_name("train"), os.X_OK)


def test_what_serving_does_not_load(job: Job) -> None:
    code = (
        "import sys; "
        "import sagemaker_container.serving.wsgi, sagemaker_container.serving.gunicorn_config; "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=job.environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    loaded = set(done.stdout.split())
    assert "flask" in loaded
    assert not {"torch", "numba", "scipy"} & loaded
