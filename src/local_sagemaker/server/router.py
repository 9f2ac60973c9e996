"""The application behind the port: guards the door, and gives each request to who answers it."""

import io
import json
import re
import sys
import traceback
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from local_sagemaker.api.dispatch import Api
from local_sagemaker.api.errors import ServiceError, invalid
from local_sagemaker.api.validation import jsonable
from local_sagemaker.context import PERSON, REGION, Caller
from local_sagemaker.hosting.endpoints import Endpoints
from local_sagemaker.server import origin_check
from local_sagemaker.server.log_long_poll import Tail

Environ = dict[str, Any]
Start = Callable[..., Any]
_INVOKE = re.compile(r"^/endpoints/([^/]+)/invocations$")
_CREDENTIAL = re.compile(r"Credential=[^/]+/[^/]+/([^/]+)/([^/]+)/")


class Front:
    """A WSGI application around moto's."""

    def __init__(self, moto: Any, names: tuple[str, ...]):
        """Take moto's application, and the names of this machine beside localhost."""
        self._moto, self._names = moto, names
        self.api: Api | None = None
        self.endpoints: Endpoints | None = None
        self.tail: Tail | None = None
        self.console: Any = None
        self.changed: Callable[[Environ], Any] = lambda _: None  # told of each request to S3

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer one request."""
        if problem := origin_check.problem(environ, self._names):
            return _plain(start, "403 Forbidden", problem + "\n")
        path = environ.get("PATH_INFO", "")
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        tunnelled = environ.get("local_sagemaker.tunnel", False)
        if path.startswith("/moto-api"):
            return _plain(start, "404 Not Found", "moto's own interface is closed here\n")
        if not tunnelled and "HTTP_AUTHORIZATION" not in environ and self.console is not None:
            if path in ("/", "/favicon.ico") or path.startswith("/console"):
                answer: Iterable[bytes] = self.console(environ, start)
                return answer
        if target.startswith("SageMaker.") and self.api is not None:
            return self._sagemaker(environ, start, target.partition(".")[2])
        if (found := _INVOKE.match(path)) and self.endpoints is not None:
            return self._invoke(environ, start, unquote(found[1]))
        if target.endswith(".GetLogEvents") and self.tail is not None:
            return self.tail(environ, start)
        try:
            result: Iterable[bytes] = self._moto(environ, start)
        finally:
            if environ.get("REQUEST_METHOD") in ("PUT", "POST", "DELETE") and not target:
                self.changed(environ)
        return result

    def _sagemaker(self, environ: Environ, start: Start, operation: str) -> Iterable[bytes]:
        body = read_body(environ)
        region, _ = _scope(environ)
        agent = environ.get("HTTP_USER_AGENT", "")
        assert self.api is not None  # noqa: S101 - checked by the caller
        try:
            request = _json(body)
            if not self.api.has(operation, request):
                environ["wsgi.input"] = io.BytesIO(body)
                result: Iterable[bytes] = self._moto(environ, start)
                return result
            answer = self.api.call(operation, request, Caller(region, PERSON not in agent))
        except ServiceError as error:
            return _error(start, error, "application/x-amz-json-1.1")
        except Exception as error:
            return _error(start, _internal(error), "application/x-amz-json-1.1")
        content = json.dumps(jsonable(answer)).encode()
        return _answer(start, 200, "application/x-amz-json-1.1", content)

    def _invoke(self, environ: Environ, start: Start, name: str) -> Iterable[bytes]:
        headers = {
            "Content-Type": environ.get("CONTENT_TYPE") or "",
            "Accept": environ.get("HTTP_ACCEPT") or "",
            "X-Amzn-SageMaker-Custom-Attributes": environ.get(
                "HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES", ""
            ),
        }
        if variant := environ.get("HTTP_X_AMZN_SAGEMAKER_TARGET_VARIANT"):
            headers["X-Amzn-SageMaker-Target-Variant"] = variant
        assert self.endpoints is not None  # noqa: S101 - checked by the caller
        try:
            variant, answer = self.endpoints.invoke(name, read_body(environ), headers)
        except ServiceError as error:
            return _error(start, error, "application/json")
        except Exception as error:
            return _error(start, _internal(error), "application/json")
        extra = {"x-Amzn-Invoked-Production-Variant": variant}
        if answer.custom:
            extra["X-Amzn-SageMaker-Custom-Attributes"] = answer.custom
        return _answer(start, 200, answer.content_type, answer.body, extra)


def read_body(environ: Environ) -> bytes:
    """Return a request's body; chunked ones end by themselves."""
    length = environ.get("CONTENT_LENGTH")
    if length:
        return bytes(environ["wsgi.input"].read(int(length)))
    if environ.get("wsgi.input_terminated"):
        return bytes(environ["wsgi.input"].read())
    return b""


def _json(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body or b"{}")
    except ValueError as error:
        raise ServiceError("SerializationException", f"The body is no JSON: {error}") from error
    if not isinstance(request, dict):
        raise invalid("The body must be a JSON object.")
    return request


def _scope(environ: Environ) -> tuple[str, str]:
    found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    return (found[1], found[2]) if found else (REGION, "")


def _internal(error: Exception) -> ServiceError:
    known = uuid.uuid4().hex[:12]
    sys.stderr.write(f"error {known}:\n{''.join(traceback.format_exception(error))}")
    text = f"The local service failed; its own output says more under {known}."
    return ServiceError("InternalFailure", text, 500)


def _error(start: Start, error: ServiceError, content_type: str) -> Iterable[bytes]:
    body = {"__type": error.code, "message": error.message, "Message": error.message}
    content = json.dumps({**body, **error.fields}).encode()
    return _answer(start, error.status, content_type, content, {"x-amzn-ErrorType": error.code})


def _plain(start: Start, status: str, text: str) -> Iterable[bytes]:
    content = text.encode()
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(content)))]
    start(status, headers)
    return [content]


_PHRASES = {200: "OK", 400: "Bad Request", 424: "Failed Dependency", 500: "Internal Server Error"}


def _answer(
    start: Start,
    status: int,
    content_type: str,
    content: bytes,
    extra: Mapping[str, str] | None = None,
) -> Iterable[bytes]:
    headers = {
        "Content-Type": content_type,
        "Content-Length": str(len(content)),
        "x-amzn-RequestId": str(uuid.uuid4()),
        **(extra or {}),
    }
    start(f"{status} {_PHRASES.get(status, 'Error')}", list(headers.items()))
    return [content]
