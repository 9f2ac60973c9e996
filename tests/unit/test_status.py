"""`local-sagemaker status`: the health of a service, and the wait for it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from local_sagemaker import status
from local_sagemaker.errors import LocalError
from support.job import PATIENCE

READY = {
    **{"status": "ready", "backend": "process", "pid": 7, "version": "1", "s3": "http://s3"},
    "resources": {"training-job": {"Completed": 2, "Failed": 1}, "endpoint": {}},
}


@pytest.fixture
def answers():
    """Return the answers of a server, one after the other and the last one again, and its URL."""
    answers = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            code, content = answers.pop(0) if len(answers) > 1 else answers[0]
            assert self.path == "/_local-sagemaker/health"
            self.send_response(code)
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield answers, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_healthy_service_is_described(answers, capsys):
    queue, url = answers
    queue.append((200, json.dumps(READY)))
    status.run(url, 0)
    assert capsys.readouterr().out.split("\n") == [
        f"status: ready at {url}, S3 at http://s3, backend process, process 7, version 1",
        "  training-job                2 Completed, 1 Failed",
        "  endpoint                    none",
        "",
    ]


def test_a_service_that_starts_is_waited_for(answers, tmp_path, capsys):
    queue, url = answers
    starting = 503, json.dumps({"status": "starting"})
    queue += [(200, "another program"), starting, starting, (200, json.dumps(READY))]
    file = {"pid": 7, "url": url, "backend": "process"}
    writing = threading.Timer(0.3, status.service_file(tmp_path).write_text, [json.dumps(file)])
    writing.start()
    status.run(tmp_path, PATIENCE)
    writing.join()
    assert "ready at" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((503, '{"status": "starting"}'), "is starting"),
        ((403, "the host is not served here"), "status 403: the host is not served here"),
        ((200, "<html>"), "is not healthy: status 200: <html>"),
        ((200, "[1]"), "is not healthy"),
    ],
)
def test_what_is_not_healthy_is_an_error(answers, answer, message):
    queue, url = answers
    queue.append(answer)
    with pytest.raises(LocalError, match=message):
        status.run(url, 0.2)


@pytest.mark.parametrize("url", ["", "host:80", "ftp://host", "http://", "http://host:port"])
def test_what_is_no_url_is_an_error(url):
    with pytest.raises(LocalError, match="URL|answers"):
        status.health(url)


def test_a_folder_without_a_service_is_an_error(tmp_path):
    with pytest.raises(LocalError, match="No service runs on the state folder"):
        status.run(tmp_path, 0)
