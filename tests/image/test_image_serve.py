"""`docker run -p … IMAGE serve`, with requests by curl."""

import contextlib
import json
import socket
import threading

import numpy as np
import pytest
from scipy.sparse import csr_array

from factorization_machines import artifact
from factorization_machines.parameters import Parameters, score, sigmoid
from support.docker import OTHER_USER, READ_ONLY, curl, docker, ping, post, started
from support.job import PATIENCE

pytestmark = pytest.mark.docker

D, K = 5, 3


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return the folder of a classifier, and its parameters."""
    rng = np.random.default_rng(5)
    draw = lambda *shape: rng.normal(0, 1, shape).astype(np.float32)  # noqa: E731
    parameters = Parameters(draw(1), draw(D), draw(D, K))
    folder = tmp_path_factory.mktemp("model")
    artifact.write(folder, artifact.Model(parameters, {"predictor_type": "binary_classifier"}))
    folder.chmod(0o755)
    return folder, parameters


def expected(parameters, rows):
    x = csr_array(np.array(rows, np.float32))
    return sigmoid(score(x, parameters)).tolist()


@contextlib.contextmanager
def served(folder, *options, inner=8080):
    mounts = ("-v", f"{folder}:/opt/ml/model:ro", "-p", f"127.0.0.1::{inner}")
    with started(*OTHER_USER, *READ_ONLY, *mounts, *options, command=("serve",)) as container:
        port = container.port(inner)
        container.wait_until(lambda: ping(port) != 0)
        yield container, port


@pytest.fixture(scope="module")
def endpoint(model):
    with served(model[0]) as (_, port):
        yield port


def test_ping(endpoint):
    assert ping(endpoint) == 200


def test_dense_and_sparse(endpoint, model):
    rows = [[1, 0, 0, 1, 0], [0, 0.5, 0, 0, -2], [0, 0, 0, 0, 0]]
    sparse = {"keys": [1, 4], "shape": [D], "values": [0.5, -2]}
    instances = [
        {"features": rows[0]},
        {"data": {"features": sparse}},
        {"data": {"features": {"values": rows[2]}}},
    ]
    status, body = post(endpoint, json.dumps({"instances": instances}))
    assert status == 200
    predictions = json.loads(body)["predictions"]
    scores = [one["score"] for one in predictions]
    assert scores == pytest.approx(expected(model[1], rows), rel=1e-6)
    assert [one["predicted_label"] for one in predictions] == [float(s > 0.5) for s in scores]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "word"),
    [
        ('{"instances": [', "application/json", 400, "JSON"),
        ('{"instances": [{"features": [1, 2]}]}', "application/json", 400, "5"),
        ("", "application/json", 400, "empty"),
        ("1,2,3", "text/html", 415, "text/html"),
        ("1,2,3", "text/csv", 400, "feature_dim is 5"),
    ],
)
def test_errors(endpoint, body, content_type, status, word):
    answered, text = post(endpoint, body, content_type)
    assert answered == status
    error = json.loads(text)["error"]
    assert word in error["message"]
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/csv", "1,0,0,1,0\n0,0.5,0,0,-2\n"),
        ("text/libsvm", "1 0:1 3:1\n0 1:0.5 4:-2\n"),
        ("application/jsonlines", '{"features": [1,0,0,1,0]}\n{"features": [0,0.5,0,0,-2]}\n'),
    ],
)
def test_formats(content_type, body, endpoint, model):
    status, text = post(endpoint, body, content_type)
    assert status == 200
    lines = text.splitlines() if content_type == "application/jsonlines" else None
    predictions = map(json.loads, lines) if lines else json.loads(text)["predictions"]
    want = expected(model[1], [[1, 0, 0, 1, 0], [0, 0.5, 0, 0, -2]])
    assert [one["score"] for one in predictions] == pytest.approx(want, rel=1e-6)


def test_top_k(endpoint, model):
    body = {"instances": [{"features": [1, 0, 0, 0, 0]}], "top_k": {"from": [1, 4], "k": 2}}
    status, text = post(endpoint, json.dumps(body))
    assert status == 200
    (prediction,) = json.loads(text)["predictions"]
    pairs = [[1, *(float(i == j) for j in range(4))] for i in range(4)]
    scores = sorted(zip(expected(model[1], pairs), range(1, 5), strict=True), reverse=True)
    assert [one["key"] for one in prediction["top_k"]] == [key for _, key in scores[:2]]


def test_batch_transform(model, tmp_path):
    large = tmp_path / "large.csv"
    large.write_text("1," * (1 << 20))
    batch = ("-e", "SAGEMAKER_BATCH=True", "-e", "SAGEMAKER_MAX_PAYLOAD_IN_MB=1")
    with served(model[0], *batch) as (_, port):
        status, text = curl(f"http://127.0.0.1:{port}/execution-parameters")
        assert status == 200
        assert json.loads(text)["MaxPayloadInMB"] == 1
        status, text = post(port, "1,0,0,1,0\n0,0.5,0,0,-2\n", "text/csv")
        assert status == 200
        assert ["score" in json.loads(line) for line in text.splitlines()] == [True, True]
        assert post(port, f"@{large}", "text/csv")[0] == 413


def test_another_port(model):
    with served(model[0], "-e", "SAGEMAKER_BIND_TO_PORT=9090", inner=9090) as (_, port):
        assert ping(port) == 200


def test_without_a_model_it_says_so(tmp_path):
    tmp_path.chmod(0o755)
    with served(tmp_path) as (container, port):
        status, body = post(port, "{}")
        assert ping(port) == status == 503
        message = json.loads(body)["error"]["message"]
        assert message == "there is no model_algo-1 in /opt/ml/model; it holds nothing"
        assert message in container.logs()


def test_docker_stop_finishes_requests_in_flight(model):
    row = [1, 0, 0, 1, 0]
    body = json.dumps({"instances": [{"features": row}]}).encode()
    # One worker: once it responds to a second request, it has accepted the first.
    with served(model[0], "-e", "SAGEMAKER_MODEL_SERVER_WORKERS=1") as (container, port):
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            head = (
                "POST /invocations HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            client.sendall(head.encode() + body[:5])
            assert ping(port) == 200
            stop = threading.Thread(target=docker, args=("stop", "-t", "50", container.name))
            stop.start()
            container.wait_until(lambda: ping(port) == 0)  # it listens no more
            client.sendall(body[5:])
            answer = b"".join(iter(lambda: client.recv(65536), b"")).decode()
        stop.join(PATIENCE)
        assert not stop.is_alive()
        assert container.code == 0, container.logs()
    head, _, text = answer.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200"), answer
    assert json.loads(text)["predictions"][0]["score"] == pytest.approx(
        expected(model[1], [row])[0], rel=1e-6
    )
