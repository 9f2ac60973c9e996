"""Who may come in, and what gets out."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from support.service import BUCKET, PATIENCE, command, ended, training


def answer(service, method="GET", path="/console/api/about", body=None, **headers):
    host = service.url.partition("://")[2]
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        connection.request(method, path, body, headers)
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


def test_status_tells_whether_a_service_is_healthy(service, tmp_path):
    def status(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "local_sagemaker", "status", *arguments],
            capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    for arguments in (("--state", str(service.state)), ("--url", service.url, "--wait", "5")):
        code, text = status(*arguments)
        assert code == 0, text
        assert text.startswith(f"status: ready at {service.url}, S3 at {service.url}, ")
    code, text = status("--state", str(tmp_path), "--wait", "0.1")
    assert (code, "No service runs" in text) == (1, True)


def test_s3_and_sagemaker_are_behind_the_same_door(service):
    assert answer(service, path="/bucket", Origin="https://evil.example") == 403
    target = {"X_Amz_Target": "SageMaker.ListModels", "Origin": "https://evil.example"}
    assert answer(service, "POST", "/", **target) == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example", "Content_Type": "application/json"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Content_Type": "application/json"}, 403),
        ({"Host": "evil.example", "Content_Type": "application/json"}, 403),
        # A form of another site can send this type, and old browsers send no origin.
        ({"Content_Type": "text/plain"}, 415),
        ({"Sec_Fetch_Site": "same-origin", "Content_Type": "application/json"}, 200),
    ],
)
def test_only_the_console_itself_changes_something_through_it(service, sm, headers, status):
    if not sm.list_model_package_groups(NameContains="guarded")["ModelPackageGroupSummaryList"]:
        sm.create_model_package_group(ModelPackageGroupName="guarded")
    path = "/console/api/call/DeleteModelPackageGroup"
    body = json.dumps({"ModelPackageGroupName": "guarded"})
    assert answer(service, "POST", path, body, **headers) == status
    left = sm.list_model_package_groups(NameContains="guarded")["ModelPackageGroupSummaryList"]
    assert len(left) == (status != 200)


def test_the_console_s_requests_are_checked_as_the_api_s(service):
    headers = {"Content_Type": "application/json"}
    for path, body, status in (
        ("DeleteModel", "{}", 400),
        ("DeleteModel", "[]", 400),
        ("DeleteModel", "{", 400),
        ("CreateNotebookInstance", "{}", 501),
        ("Nothing", "{}", 404),
    ):
        assert answer(service, "POST", f"/console/api/call/{path}", body, **headers) == status


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


def exchange(service, request):
    """Send bytes and return the status, the content type and the body of the response."""
    host, _, port = service.url.partition("://")[2].partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as client:
        client.sendall(request)
        response = http.client.HTTPResponse(client)
        response.begin()
        return response.status, response.getheader("Content-Type", ""), response.read()


def http_request(start, body=b"", **headers):
    lines = {"Host": "localhost", "Connection": "close", "Content-Length": len(body), **headers}
    fields = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in lines.items())
    return f"{start} HTTP/1.1\r\n{fields}\r\n".encode("latin-1") + body


LIST = {"X_Amz_Target": "SageMaker.ListModels"}


def signed(service):
    scope = f"Credential=id/20260101/us-east-1/{service}/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"}


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (http_request("POST /", b'{"X":' + b"[" * 9999, **LIST), 400, "SerializationException"),
        (http_request("POST /", b"{", **LIST), 400, "SerializationException"),
        (http_request("POST /", b'{"a":"\xff"}', **LIST), 400, "SerializationException"),
        (http_request("POST /", b"[]", **LIST), 400, "ValidationException"),
        (
            http_request("POST /", **LIST).replace(b"Length: 0", b"Length: -5"),
            400,
            "SerializationException",
        ),
        (
            http_request("POST /", X_Amz_Target="SageMaker.Nothing"),
            404,
            "UnknownOperationException",
        ),
        (http_request("POST /", X_Amz_Target="nothing"), 404, "UnknownOperationException"),
        (http_request("POST /", X_Amz_Target="No.Service"), 404, "UnknownOperationException"),
        (http_request("GET /endpoints/e/invocations"), 404, "UnknownOperationException"),
        (
            http_request("POST /endpoints/e/nothing", **signed("sagemaker")),
            404,
            "UnknownOperationException",
        ),
        (
            http_request("GET /jobs", **signed("sagemaker-geospatial")),
            404,
            "UnknownOperationException",
        ),
        (http_request("GET /", **signed("nosuchservice")), 404, "UnknownOperationException"),
        (http_request("PUT /BatchPutMetrics", b"{"), 400, "SerializationException"),
    ],
    ids=[
        *("deep", "cut", "not-utf-8", "list", "negative-length", "operation", "target", "service"),
        *("method", "path", "other-sagemaker", "no-service", "metrics"),
    ],
)
def test_a_malformed_request_gets_an_error_of_aws(service, request_bytes, status, code):
    answered, content_type, body = exchange(service, request_bytes)
    assert (answered, json.loads(body)["__type"]) == (status, code)
    assert "json" in content_type


@pytest.mark.parametrize(
    "host", ["\xff.amazonaws.com", "a" * 64 + ".amazonaws.com", "..amazonaws.com", "a b", ""]
)
def test_the_proxy_answers_a_host_that_is_none(service, host):
    request = f"CONNECT {host}:443 HTTP/1.1\r\n\r\n".encode("latin-1")
    assert exchange(service, request)[0] in (400, 403)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://api.sagemaker.us-east-1.amazonaws.com/", 200),
        ("http://evil.example/", 403),
        ("http://[::1/", 400),
    ],
)
def test_an_absolute_target_is_checked_as_a_host_is(service, target, status):
    host = {"Host": target.split("/")[2]}
    assert exchange(service, http_request(f"POST {target}", b"{}", **LIST, **host))[0] == status


def test_mistakes_of_a_user_leave_no_traceback_in_the_log(service):
    log = service.state / "service.log"
    before = log.read_text()
    exchange(service, b"CONNECT \xff.amazonaws.com:443 HTTP/1.1\r\n\r\n")
    exchange(service, http_request("POST http://[::1/"))
    exchange(service, http_request("POST /", b"{", **LIST))
    assert log.read_text() == before


def test_an_endpoint_url_takes_the_place_of_the_proxy(service):
    done = subprocess.run(
        command("up", service.state, "--env", "--endpoint-url"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert f"export AWS_ENDPOINT_URL={service.url}\n" in done.stdout
    assert "export HTTPS_PROXY" not in done.stdout
    unset = done.stdout.splitlines()[0].split()
    assert unset[0] == "unset" and {"HTTPS_PROXY", "AWS_CA_BUNDLE"} <= set(unset)
    assert f"./build.sh down --state {service.state} ends it" in done.stderr


def test_down_names_the_state_folder_on_which_nothing_runs(tmp_path):
    done = subprocess.run(
        command("down", tmp_path), capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert done.stdout == f"down: no service runs on the state folder {tmp_path}\n"


def test_requests_for_a_bucket_and_a_presigned_url_work_without_the_proxy(service, s3):
    names = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
    code = (
        "import boto3, urllib.request as r; c = boto3.client;"
        " c('sts').get_caller_identity(); c('cloudwatch').list_metrics();"
        " u = c('s3').generate_presigned_url('get_object',"
        " Params={'Bucket': 'bucket', 'Key': 'data/test/part-0'});"
        " print(len(r.urlopen(u).read()))"
    )
    environment = {**service.env, "AWS_ENDPOINT_URL": service.url}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={name: environment[name] for name in names},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    size = s3.head_object(Bucket="bucket", Key="data/test/part-0")["ContentLength"]
    assert done.stdout == f"{size}\n", done.stderr


def test_other_users_of_the_machine_cannot_read_the_state(service, sm, s3):
    request = training("private", Environment={"PASSWORD": "secret"})
    sm.create_training_job(**request)
    ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="private")
    s3.put_object(Bucket=BUCKET, Key="private", Body=b"secret")
    held = {}
    for folder, _, names in os.walk(service.state):
        for file in (Path(folder, name) for name in names):
            with contextlib.suppress(FileNotFoundError):  # the job's files are removed meanwhile
                if file.is_file() and b"secret" in file.read_bytes():
                    held[file] = file.stat().st_mode
    assert held
    assert [file for file, mode in held.items() if mode & 0o077] == []
    folders = [entry for entry in service.state.iterdir() if entry.is_dir()]
    assert [folder for folder in (service.state, *folders) if folder.stat().st_mode & 0o077] == []


def test_a_page_in_s3_has_neither_scripts_nor_the_origin_of_the_console(service, s3):
    page = b"<script>fetch('/console/api/jobs')</script>"
    for name in ("page.html", "page"):
        s3.put_object(Bucket=BUCKET, Key=name, Body=page, ContentType="text/html")
        url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": name})
        with urllib.request.urlopen(url, timeout=30) as got:
            assert got.headers["Content-Security-Policy"] == "sandbox"
            assert got.headers["X-Content-Type-Options"] == "nosniff"
            assert got.read() == page
