"""`serve` with clients that stall, a log that nobody reads, a model that changes."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from factorization_machines import artifact
from support import fm
from support.job import PATIENCE, Endpoint, Job, command, limited

DIM = 6
ONE_WORKER = {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}
HEAD = b"POST /invocations HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
BODY = b'{"instances": [{"features": [1, 0, 0, 0, 0, 0]}]}'
PING = b"GET /ping HTTP/1.1\r\nHost: here\r\n\r\n"
STOP_PATIENCE = 20.0  # seconds, which is less than a stop took that waited for clients


@pytest.fixture(autouse=True)
def model(job: Job) -> Path:
    """Return the file of the model."""
    parameters = fm.parameters(3, DIM, 4, scale=0.3)
    artifact.write(job.model, artifact.Model(parameters, {"predictor_type": "binary_classifier"}))
    return job.model / artifact.FILE_NAME


@pytest.fixture
def endpoint(job: Job) -> Iterator[Endpoint]:
    with job.served(ONE_WORKER) as running:
        yield running


def connect(running: Endpoint) -> socket.socket:
    return socket.create_connection(("127.0.0.1", running.port), PATIENCE)


def sized(body: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


LARGE_ANSWER = sized(
    b'{"instances": [' + b",".join([b'{"features":{"keys":[],"values":[]}}'] * 100_000) + b"]}"
)


@pytest.mark.parametrize(
    "sent",
    [b"", HEAD, HEAD + b"Content-Length: 99\r\n\r\n{", LARGE_ANSWER, PING, PING + PING[:9]],
    ids=["silent", "half head", "half body", "slow reader", "idle", "half of the next head"],
)
def test_a_stop_does_not_wait_for_a_client(sent: bytes, endpoint: Endpoint) -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", endpoint.port))
        client.sendall(sent)
        assert endpoint.ping().status_code == 200
        endpoint.process.send_signal(signal.SIGTERM)
        assert endpoint.process.wait(STOP_PATIENCE) == 0


@pytest.mark.parametrize("sent", [b"", HEAD], ids=["silent", "half head"])
def test_more_connections_than_file_descriptors(sent: bytes, job: Job) -> None:
    few = limited("import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))")
    # Otherwise a connection that waits for its head would make room after 20 seconds.
    environment = {**ONE_WORKER, "GUNICORN_CMD_ARGS": "--keep-alive 3600"}
    with (
        job.served(environment, [*few, *command("serve")]) as running,
        contextlib.ExitStack() as stack,
    ):
        clients = [stack.enter_context(connect(running)) for _ in range(400)]
        for client in clients:
            with contextlib.suppress(OSError):  # closed already
                client.sendall(sent)
        assert running.ping().status_code == 200
        with contextlib.suppress(ConnectionResetError):
            assert clients[0].recv(1) == b""  # the oldest made room
        assert running.process.poll() is None


@pytest.mark.parametrize("sent", [b"", HEAD, PING + HEAD], ids=["silent", "half head", "next head"])
def test_a_head_that_does_not_arrive_ends_its_connection(sent: bytes, job: Job) -> None:
    with job.served({**ONE_WORKER, "SAGEMAKER_MODEL_SERVER_TIMEOUT": "1"}) as running:
        with connect(running) as client:
            client.sendall(sent)
            assert client.makefile("rb").read().count(b"200 OK") == sent.count(PING)


def test_a_client_that_keeps_a_closed_connection_delays_nobody(endpoint: Endpoint) -> None:
    with connect(endpoint) as client:
        client.sendall(PING.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert client.makefile("rb").read().count(b"200 OK") == 1  # to the server's end
        endpoint.process.send_signal(signal.SIGTERM)
        assert endpoint.process.wait(STOP_PATIENCE) == 0


@pytest.mark.parametrize("sent", [PING, sized(BODY)], ids=["GET", "POST"])
def test_a_client_that_sends_no_more_gets_its_answer(sent: bytes, endpoint: Endpoint) -> None:
    with connect(endpoint) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        assert b"200 OK" in client.makefile("rb").readline()


def test_the_next_head_may_arrive_slowly(endpoint: Endpoint) -> None:
    with connect(endpoint) as client:
        client.sendall(PING)
        assert b"200 OK" in client.recv(1000)
        for start in range(0, len(PING), 8):
            time.sleep(0.5)
            client.sendall(PING[start : start + 8])
        assert b"200 OK" in client.recv(1000)


def test_requests_that_are_sent_at_once(endpoint: Endpoint) -> None:
    last = PING.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with connect(endpoint) as client:
        client.sendall(PING * 500 + sized(BODY) * 20 + last)
        assert client.makefile("rb").read().count(b"200 OK") == 521


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"GET /" + bytes(40_000), b" 431 "), (b"GET /ping HTTP/1.1\n\n", b" 400 ")],
    ids=["too long", "without carriage returns"],
)
def test_a_head_that_is_an_error_gets_an_answer(
    sent: bytes, status: bytes, endpoint: Endpoint
) -> None:
    with connect(endpoint) as client:
        client.sendall(sent)
        assert status in client.makefile("rb").readline()


def test_a_target_with_scheme_and_host(endpoint: Endpoint) -> None:
    for target, request in ((b"/ping", PING), (b"/invocations", sized(BODY))):
        with connect(endpoint) as client:
            client.sendall(request.replace(target, b"http://here:8080" + target, 1))
            assert b"200 OK" in client.makefile("rb").readline()


def test_a_log_that_nobody_reads(job: Job) -> None:
    unread = limited("r, w = os.pipe(); os.set_inheritable(r, True); os.dup2(w, 2)")
    with job.served(program=[*unread, *command("serve")]) as running, requests.Session() as session:
        for _ in range(600):  # more than a pipe holds
            answer = session.get(f"{running.url}/{'a' * 180}", timeout=STOP_PATIENCE)
            assert answer.status_code == 404
        with connect(running) as client:
            client.sendall(b"\x16\r\n\r\n")  # gunicorn logs it
            assert b" 400 " in client.makefile("rb").readline()
        assert running.ping().status_code == 200
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(STOP_PATIENCE) == 0


def test_a_log_that_is_closed(job: Job) -> None:
    closed = limited("os.close(2)")
    with job.served(program=[*closed, *command("serve")]) as running:
        assert running.invoke(BODY).status_code == 200


def test_a_model_that_is_cut_under_the_server(job: Job, model: Path) -> None:
    with job.served(ONE_WORKER) as running:
        before = running.invoke(BODY).content
        os.truncate(model, 0)
        assert running.invoke(BODY).content == before
