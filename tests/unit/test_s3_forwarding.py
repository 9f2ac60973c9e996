"""Requests that are forwarded to another S3: what it receives, and that the signature fits."""

import io
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from werkzeug.test import Client

from local_sagemaker.server.s3_forwarding import S3Forwarder
from local_sagemaker.settings import S3Endpoint

SIGNED = (
    "AWS4-HMAC-SHA256 Credential=ID/20260101/eu-west-1/s3/aws4_request, SignedHeaders=host,"
    " Signature=00"
)


class Verifier(S3SigV4Auth):
    """Computes the signature of a request as it arrived."""

    def _modify_request_before_signing(self, request):
        pass

    def payload(self, request):
        return request.headers["X-Amz-Content-SHA256"]


@pytest.fixture
def endpoint():
    """Return an S3 that answers with what it received, and the list of that."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            received.append((self.path, dict(self.headers), body))
            self.send_response(200)
            self.send_header("ETag", '"1"')
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"done")

        do_GET = do_PUT

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield S3Endpoint(f"http://127.0.0.1:{server.server_port}", "key", "secret"), received
        server.shutdown()


def forward(endpoint, method, raw, body=b"", **headers):
    """Forward a request, check the signature, and return target, headers and body that arrived."""
    other, received = endpoint
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    response = Client(S3Forwarder(other)).open(
        raw, method=method, headers=fields, input_stream=io.BytesIO(body),
        environ_overrides={"RAW_URI": raw, "CONTENT_LENGTH": str(len(body))},
    )  # fmt: skip
    assert (response.status_code, response.data, response.headers["ETag"]) == (200, b"done", '"1"')
    ((target, sent, content),) = received
    scheme, _, rest = sent["Authorization"].partition(" ")
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    names = parts["SignedHeaders"].split(";")
    region = parts["Credential"].split("/")[2]
    assert (scheme, parts["Credential"].split("/")[0]) == ("AWS4-HMAC-SHA256", "key")
    lower = {name.lower(): value for name, value in sent.items()}
    request = AWSRequest(method, other.url + target, {name: lower[name] for name in names})
    request.context["timestamp"] = lower["x-amz-date"]
    verifier = Verifier(Credentials("key", "secret"), "s3", region)
    canonical = verifier.canonical_request(request)
    assert parts["Signature"] == verifier.signature(
        verifier.string_to_sign(request, canonical), request
    )
    return target, {**lower, "region": region}, content


@pytest.mark.parametrize(
    ("host", "raw", "target"),
    [
        ("127.0.0.1:5860", "/b/a%20b//c/../%C3%A4?x-id=PutObject", None),
        ("b.s3.amazonaws.com", "/k?uploads", "/b/k?uploads"),
        ("b.c.s3.eu-west-1.amazonaws.com:443", "//k", "/b.c//k"),
        ("s3.eu-west-1.amazonaws.com", "/b/k", None),
        ("b.s3.amazonaws.com", "http://b.s3.amazonaws.com/k", "/b/k"),
        ("127.0.0.1", "/b/k?X-Amz-Signature=0&X-Amz-Date=1&x-amz-acl=private", None),
    ],
    ids=["path", "host", "region", "path-of-aws", "plain-proxy", "presigned"],
)
def test_the_bucket_is_in_the_path_and_the_signature_fits(endpoint, host, raw, target):
    expected = (target or raw).replace("X-Amz-Signature=0&X-Amz-Date=1&", "")
    arrived, headers, body = forward(
        endpoint, "PUT", raw, b"content", Host=host, Authorization=SIGNED,
        X_Amz_Content_SHA256="a" * 64, X_Amz_Meta_A="b", Content_Type="text/x",
    )  # fmt: skip
    assert (arrived, body) == (expected, b"content")
    assert (headers["x-amz-meta-a"], headers["content-type"]) == ("b", "text/x")
    assert (headers["x-amz-content-sha256"], headers["region"]) == ("a" * 64, "eu-west-1")


def test_chunks_that_the_client_signed_are_decoded(endpoint):
    body = b"7;chunk-signature=0\r\ncontent\r\n1;chunk-signature=0\r\n!\r\n"
    body += b"0;chunk-signature=0\r\nx-amz-checksum-crc32:0\r\n\r\n"
    _, headers, arrived = forward(
        endpoint, "PUT", "/b/k", body, Host="127.0.0.1", Authorization=SIGNED,
        X_Amz_Content_SHA256="STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        X_Amz_Decoded_Content_Length="8", X_Amz_Trailer="x-amz-checksum-crc32",
        Content_Encoding="gzip, aws-chunked",
    )  # fmt: skip
    assert (arrived, headers["content-length"]) == (b"content!", "8")
    assert headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert headers["content-encoding"] == "gzip"
    assert not headers.keys() & {"x-amz-trailer", "x-amz-decoded-content-length"}


def test_chunks_that_are_not_signed_stay_as_they_are(endpoint):
    body = b"7\r\ncontent\r\n0\r\nx-amz-checksum-crc32:0\r\n\r\n"
    digest = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    _, headers, arrived = forward(
        endpoint, "PUT", "/b/k", body, Host="127.0.0.1", X_Amz_Content_SHA256=digest,
        X_Amz_Trailer="x-amz-checksum-crc32", Content_Encoding="aws-chunked",
    )  # fmt: skip
    assert (arrived, headers["x-amz-content-sha256"]) == (body, digest)
    assert headers["content-encoding"] == "aws-chunked"


def test_an_endpoint_that_does_not_answer_is_an_error_of_s3():
    response = Client(S3Forwarder(S3Endpoint("http://127.0.0.1:9"))).get(
        "/b/k", environ_overrides={"RAW_URI": "/b/k"}
    )
    assert response.status_code == 503
    assert "<Code>ServiceUnavailable</Code><Message>The S3 at http://127.0.0.1:9" in response.text
