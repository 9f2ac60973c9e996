"""Requests for S3 that are sent to another S3, signed anew with its credentials."""

import contextlib
import http.client
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError
from moto.core.request import PRESERVED_HEADER_NAMES_ENVIRON_KEY
from werkzeug.wsgi import get_input_stream

from local_sagemaker.errors import LocalError, ServiceError
from local_sagemaker.server import protocol
from local_sagemaker.server.router import Environ, Start
from local_sagemaker.server.s3_requests import xml_error
from local_sagemaker.settings import S3_KEY_ID, S3_SECRET, S3Endpoint

_TIMEOUT_SECONDS = 60.0
_CHUNK = 1 << 16
_BUCKET_HOST = re.compile(r"(.+)\.s3[.-][a-z0-9.-]*amazonaws\.com(\.cn)?(:\d+)?")
_SIGNED_CHUNKS = "STREAMING-AWS4-"
_SIGNATURE = re.compile(  # members of a presigned URL
    "(x-amz-(algorithm|credential|date|expires|signedheaders|signature|security-token)"
    "|awsaccesskeyid|signature|expires)=",
    re.IGNORECASE,
)
_OF_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"}
_NOT_SENT = {"host", "authorization", "expect", "x-amz-date", "x-amz-security-token"}
_NOT_SENT |= {"content-length", "x-amz-content-sha256", "proxy-connection", *_OF_CONNECTION}
_NOT_RETURNED = {"server", "date", *_OF_CONNECTION}


def check(s3: Any, endpoint: S3Endpoint) -> None:
    """Check that an S3 answers and accepts the credentials.

    Raises: LocalError.
    """
    try:
        s3.list_buckets()
    except BotoCoreError as error:
        raise LocalError(f"the S3 at {endpoint.url} cannot be used: {error}") from error
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDenied":  # which concerns this list alone
            raise LocalError(
                f"the S3 at {endpoint.url} cannot be used: {error}; its credentials are taken from"
                f" {S3_KEY_ID} and {S3_SECRET}"
            ) from error


class S3Forwarder:
    """A WSGI application that forwards requests and bodies to another S3, by path-style URLs."""

    def __init__(self, endpoint: S3Endpoint):
        """Take the endpoint and its credentials."""
        self._endpoint = endpoint

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer a request."""
        try:
            response = self._send(environ)
        except (OSError, http.client.HTTPException) as error:
            text = f"The S3 at {self._endpoint.url} does not answer: {error}"
            return xml_error(start, environ, ServiceError("ServiceUnavailable", text, 503))
        headers = [(k, v) for k, v in response.getheaders() if k.lower() not in _NOT_RETURNED]
        start(f"{response.status} {response.reason}", headers)
        return _content(response)

    def _send(self, environ: Environ) -> http.client.HTTPResponse:
        url = self._endpoint.url + _target(environ)
        headers, body = _headers(environ), get_input_stream(environ)
        digest = environ.get("HTTP_X_AMZ_CONTENT_SHA256", "UNSIGNED-PAYLOAD")
        content: Any = body
        if digest.startswith(_SIGNED_CHUNKS):  # by the client's credentials
            digest, content = "UNSIGNED-PAYLOAD", _decoded(body)
            headers["Content-Length"] = headers.pop("X-AMZ-DECODED-CONTENT-LENGTH")
            headers.pop("X-AMZ-TRAILER", None)
            encodings = headers.pop("CONTENT-ENCODING", "").split(",")
            if kept := [e for e in encodings if e.strip() not in ("", "aws-chunked")]:
                headers["CONTENT-ENCODING"] = ",".join(kept)
        elif environ.get("CONTENT_LENGTH"):
            headers["Content-Length"] = environ["CONTENT_LENGTH"]
        else:
            content = body.read()  # chunked, or nothing
        signed = AWSRequest(environ["REQUEST_METHOD"], url, headers)
        region, _ = protocol.scope(environ)
        _Auth(self._endpoint, region, digest).add_auth(signed)
        return _request(signed, content)


class _Auth(S3SigV4Auth):  # type: ignore[misc]
    """Signs a request whose body is not read."""

    def __init__(self, endpoint: S3Endpoint, region: str, digest: str):
        super().__init__(Credentials(endpoint.key_id, endpoint.secret), "s3", region)
        self._digest = digest

    def payload(self, request: AWSRequest) -> str:
        return self._digest


def _request(signed: AWSRequest, body: Any) -> http.client.HTTPResponse:
    parts = urlsplit(signed.url)
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=_TIMEOUT_SECONDS, blocksize=_CHUNK)
    target = signed.url.removeprefix(f"{parts.scheme}://{parts.netloc}")
    # An endpoint may answer before it has read the body, and close the connection.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.request(signed.method, target, body, dict(signed.headers.items()))
    return connection.getresponse()


def _target(environ: Environ) -> str:
    """Return path and query with the bucket in the path, and without a client's signature."""
    raw: str = environ["RAW_URI"]
    if not raw.startswith("/"):  # of a plain HTTP proxy
        raw = "/" + raw.partition("://")[2].partition("/")[2]
    path, _, query = raw.partition("?")
    if match := _BUCKET_HOST.fullmatch(environ.get("HTTP_HOST", "").lower()):
        path = f"/{match[1]}{path}"
    if "signature=" in query.lower():
        kept = [p for p in query.split("&") if not _SIGNATURE.match(p)]
        query = "&".join(kept)
    return f"{path}?{query}" if query else path


def _headers(environ: Environ) -> dict[str, str]:
    names = environ.get(PRESERVED_HEADER_NAMES_ENVIRON_KEY) or {}
    headers = {}
    for variable, value in environ.items():
        name = variable.removeprefix("HTTP_").replace("_", "-")
        sent = variable.startswith("HTTP_") or variable == "CONTENT_TYPE"
        if sent and value and name.lower() not in _NOT_SENT:
            headers[names.get(variable, name)] = value
    return headers


def _decoded(body: Any) -> Iterator[bytes]:
    """Yield the content of a body in chunks that are each signed (aws-chunked)."""
    while size := int(body.readline().partition(b";")[0], 16):
        yield body.read(size)
        body.readline()
    body.read()  # the checksums and signatures at the end


def _content(response: http.client.HTTPResponse) -> Iterator[bytes]:
    with response:
        while chunk := response.read(_CHUNK):
            yield chunk
