"""Requests to moto's S3: checked, executed one after the other, and stored before the response."""

import io
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

from local_sagemaker.errors import ServiceError
from local_sagemaker.server.router import Environ, Start, internal_failure, read_body
from local_sagemaker.storage.s3_persistence import S3Persistence

_MAX_KEY, _MAX_METADATA = 1024, 2048  # bytes
_FORM = "application/x-www-form-urlencoded"  # what curl and urllib send by default
# In the query of operations that moto does not know, and would take for others: RenameObject for
# PutObject, DeleteBucketMetricsConfiguration for DeleteBucket.
_UNKNOWN = {
    *("abac", "analytics", "annotation", "intelligent-tiering", "metadataAnnotationTable"),
    *("metadataConfiguration", "metadataInventoryTable", "metadataJournalTable", "metadataTable"),
    *("metrics", "renameObject", "requestPayment", "session", "torrent"),
}
_ACLS = (
    *("private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read"),
    *("bucket-owner-read", "bucket-owner-full-control", "log-delivery-write"),
)
_READS = ("GET", "HEAD", "OPTIONS")


class StoredApplication:
    """A WSGI application of moto, whose changes of S3 are stored before its response is sent."""

    def __init__(self, app: Any, persistence: S3Persistence):
        """Take an application of any service but S3: what it changes there is stored too."""
        self._app, self._persistence = app, persistence

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer a request."""
        return self._answer(environ, start, reads=True)

    def _answer(self, environ: Environ, start: Start, reads: bool) -> Iterable[bytes]:
        heads: list[Any] = []
        content: Iterable[bytes] = self._app(environ, lambda *head: heads.append(head))
        try:
            self._persistence.save(reads)
        except Exception as error:
            return xml_error(start, environ, internal_failure(error, "InternalError"))
        start(*heads[-1])
        return content


class S3Application(StoredApplication):
    """moto's S3. A request sees only what is stored, because it waits for the one before."""

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer a request."""
        reads = environ["REQUEST_METHOD"] in _READS
        try:
            _check(environ)
            if not reads:  # before the lock is taken: a client can be slow
                body = read_body(environ)
                if len(body) < int(environ.get("CONTENT_LENGTH") or 0):
                    raise ServiceError("IncompleteBody", "The body is shorter than its length.")
                environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
            if environ["REQUEST_METHOD"] == "PUT" and _FORM in environ.get("CONTENT_TYPE", ""):
                environ["CONTENT_TYPE"] = "binary/octet-stream"  # moto would store an empty object
        except ServiceError as error:
            return xml_error(start, environ, error)
        with self._persistence.lock:
            self._persistence.begin()
            return self._answer(environ, start, reads)


def _check(environ: Environ) -> None:
    """Raise a ServiceError for what S3 refuses, or what is not offered."""
    path, _, query = environ["RAW_URI"].partition("?")
    acl = environ.get("HTTP_X_AMZ_ACL", _ACLS[0])
    if acl not in _ACLS:
        raise ServiceError("InvalidArgument", f"x-amz-acl must be {', '.join(_ACLS)}; got {acl!r}.")
    key = unquote(path[1:], "latin-1")  # a byte each
    if ".s3." not in environ.get("HTTP_HOST", ""):
        key = key.partition("/")[2]
    names = _UNKNOWN | {"encryption"} if key else _UNKNOWN
    if unknown := names & parse_qs(query, keep_blank_values=True).keys():
        text = f"The local service does not implement this operation of S3, ?{min(unknown)}."
        raise ServiceError("NotImplemented", text, 501)
    if len(key) > _MAX_KEY:
        text = f"Your key is too long: {len(key)} bytes, and at most {_MAX_KEY} are allowed."
        raise ServiceError("KeyTooLongError", text)
    prefix = "HTTP_X_AMZ_META_"
    size = 0
    for name, value in environ.items():
        if name.startswith(prefix):
            size += len(name) - len(prefix) + len(value)
            if not f"{name}{value}".isascii():
                header = name[5:].replace("_", "-").lower()
                raise ServiceError("InvalidArgument", f"{header} must be ASCII; got {value!r}.")
    if size > _MAX_METADATA:
        text = "Your metadata headers exceed the maximum allowed metadata size"
        text += f": {size} bytes, and at most {_MAX_METADATA} are allowed."
        raise ServiceError("MetadataTooLarge", text)


def xml_error(start: Start, environ: Environ, error: ServiceError) -> Iterable[bytes]:
    """Send an error in S3's format."""
    body = s3_error_body(error)
    headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
    start(f"{error.status} {error.code}", headers)
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]


def s3_error_body(error: ServiceError) -> bytes:
    """Return an error in S3's format."""
    inner = f"<Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'.encode()
