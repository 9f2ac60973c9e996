"""moto's services reach this machine only, and the Docker client pulls no image."""

import http.server
import threading

import pytest
import requests
from docker.models import images as docker_images
from requests.adapters import HTTPAdapter

from local_sagemaker.errors import ServiceError
from local_sagemaker.server import outgoing


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    monkeypatch.setattr(HTTPAdapter, "send", HTTPAdapter.send)  # restored after the test
    outgoing.close()


@pytest.mark.parametrize(
    "url",
    ["http://192.0.2.1/", "https://example.invalid:8443/x", "http://127.0.0.1.example.invalid/"],
)
def test_a_request_to_another_machine_is_refused(url):
    with pytest.raises(ServiceError, match="nothing leaves this machine"):
        requests.post(url, timeout=1)


def test_a_request_to_this_machine_is_sent():
    handler = http.server.BaseHTTPRequestHandler
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        answer = requests.get(f"http://127.0.0.1:{server.server_port}/", timeout=10)
    assert answer.status_code == 501  # the handler has no GET


def test_the_docker_client_pulls_no_image(monkeypatch):
    images = docker_images.ImageCollection

    monkeypatch.setattr(images, "pull", images.pull)
    outgoing.refuse_pulls()
    with pytest.raises(Exception, match="busybox is not on this machine"):
        images().pull("busybox")
