"""Who may come in, and what gets out."""

import http.client
import socket

import pytest


def answer(service, method="GET", path="/console/api/about", **headers):
    host = service.url.partition("://")[2]
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.request(
            method, path, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )
        got = connection.getresponse()
        got.read()
        return got.status
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:5860"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:8888"}, 403),  # another server on this machine
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}, 403),
        ({"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors"}, 403),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
    ],
)
def test_other_hosts_and_origins_are_refused(service, headers, status):
    assert answer(service, **headers) == status


def test_s3_and_sagemaker_are_behind_the_same_door(service):
    assert answer(service, path="/bucket", Origin="https://evil.example") == 403
    target = {"X_Amz_Target": "SageMaker.ListModels", "Origin": "https://evil.example"}
    assert answer(service, "POST", "/", **target) == 403


def test_moto_s_own_interface_is_closed(service):
    assert answer(service, "POST", "/moto-api/reset") == 404


def test_no_answer_lets_other_pages_read_it(service):
    host = service.url.partition("://")[2]
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request("GET", "/bucket")
    headers = {name.lower() for name, _ in connection.getresponse().getheaders()}
    assert "access-control-allow-origin" not in headers
    connection.close()


def test_the_proxy_lets_nothing_out(service):
    host, _, port = service.url.partition("://")[2].partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as client:
        client.sendall(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
        said = client.makefile("rb").read()
    assert said.startswith(b"HTTP/1.1 403")
    assert b"example.com is not a host of AWS" in said


def test_it_listens_on_this_machine_alone(service):
    port = int(service.url.rpartition(":")[2])
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", port))  # taken if the service listened on every address


def test_the_authority_s_key_is_its_own_and_private(service):
    key = service.state / "ca" / "ca.key"
    assert key.stat().st_mode & 0o077 == 0
