"""The WSGI application: rejects cross-origin requests and routes the others."""

import errno
import json
import sqlite3
import threading
import traceback
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from local_sagemaker.api import dispatch
from local_sagemaker.context import AWS_CLI, Caller, Context
from local_sagemaker.errors import ServiceError, write_log
from local_sagemaker.server import origin_check, protocol
from local_sagemaker.server.control import Control
from local_sagemaker.server.log_long_poll import LogLongPoll

Environ = dict[str, Any]
Start = Callable[..., Any]
_OWN = "local-sagemaker/"  # in the user agent of the service's own clients, before an identifier


class Router:
    """Routes to SageMaker's operations, to the console, and everything else to moto."""

    def __init__(self, moto: Any, names: tuple[str, ...], control: Control):
        """Take the applications, and this machine's host names in addition to localhost."""
        self._moto, self._names, self._control = moto, names, control
        self.ready = False  # whether everything is restored; until then only own clients may ask
        self.own_agent = _new_agent()
        self._own_requests = 0  # of the service's own clients, in flight
        self._gate = threading.Condition(threading.RLock())  # a reset holds it
        self.context: Context  # assigned by Service, before `ready`
        self.log_long_poll: LogLongPoll | None = None
        self.console: Any = None

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer a request."""
        if problem := origin_check.problem(environ, self._names):
            return _plain(start, HTTPStatus.FORBIDDEN, problem + "\n")
        if self._control.answers(environ) and not _is_for_aws(environ):
            return self._control(environ, start)
        agent = environ.get("HTTP_USER_AGENT", "")
        own = _OWN in agent
        if not self.ready and not own:
            text = "The local service is starting: it restores its state. Try again soon."
            return _unavailable(environ, start, text)
        with self._gate:
            if own and self.own_agent not in agent:
                return _unavailable(environ, start, "The local service was reset.")
            self._own_requests += own
        try:
            return self._route(environ, start)
        finally:
            with self._gate:
                self._own_requests -= own
                self._gate.notify_all()

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Hold requests back during a block, and refuse the present own clients from then on.

        Requests of own clients that are in flight end before the block.
        """
        with self._gate:
            before, self.own_agent = self.own_agent, _new_agent()
            try:
                self._gate.wait_for(lambda: not self._own_requests)
                yield
            except BaseException:
                self.own_agent = before
                raise

    def _route(self, environ: Environ, start: Start) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if path.startswith("/moto-api"):
            return _plain(start, HTTPStatus.NOT_FOUND, "moto's own interface is not available\n")
        try:
            operation = protocol.operation(environ)
        except ServiceError as error:
            return _error(start, error, "application/json")
        if operation is not None:
            return self._sagemaker(environ, start, operation)
        if self.console is not None and _is_console(environ, path):
            page: Iterable[bytes] = self.console(environ, start)
            return page
        if target.endswith(".GetLogEvents") and self.log_long_poll is not None:
            return self.log_long_poll(environ, start)
        try:
            result: Iterable[bytes] = self._moto(environ, _sandboxed(start))
        except Exception:  # moto's applications answer their own, so it found no application
            return _error(start, dispatch.unknown(target or path), "application/json")
        return result

    def _sagemaker(
        self, environ: Environ, start: Start, operation: protocol.Operation
    ) -> Iterable[bytes]:
        region, _ = protocol.scope(environ)
        context = self.context
        caller = Caller(region, waits=AWS_CLI not in environ.get("HTTP_USER_AGENT", ""))
        try:
            body = read_body(environ)
            request = operation.parse(environ, body)
            response = dispatch.call(context, operation.name, request, caller)
        except ServiceError as error:
            return _error(start, error, operation.content_type)
        except RecursionError:
            deep = ServiceError("SerializationException", "The request is nested too deeply.")
            return _error(start, deep, operation.content_type)
        except Exception as error:
            if context is not self.context:
                return _unavailable(environ, start, "The local service was just reset.")
            return _error(start, internal_failure(error), operation.content_type)
        headers, content = operation.serialize(response)
        return _respond(start, operation.status, content, headers)


def read_body(environ: Environ) -> bytes:
    """Return a request's body, which may be chunked.

    Raises: ServiceError if its length is not a number, or its chunks are damaged.
    """
    length, stream = environ.get("CONTENT_LENGTH"), environ["wsgi.input"]
    try:
        if length and not length.isdecimal():
            raise OSError(f"Content-Length {length!r}")
        if length:
            return bytes(stream.read(int(length)))
        return bytes(stream.read()) if environ.get("wsgi.input_terminated") else b""
    except OSError as error:
        raise ServiceError("SerializationException", f"The body is damaged: {error}") from error


def _sandboxed(start: Start) -> Start:
    """Return a start that keeps a page in S3 from scripts and from the console's origin."""
    protection = [("Content-Security-Policy", "sandbox"), ("X-Content-Type-Options", "nosniff")]

    def protected(status: str, headers: list[tuple[str, str]], *args: Any) -> Any:
        return start(status, headers + protection, *args)

    return protected


def _is_console(environ: Environ, path: str) -> bool:
    is_page = path in ("/", "/favicon.ico") or path.startswith("/console")
    return is_page and not _is_for_aws(environ)


def _is_for_aws(environ: Environ) -> bool:
    signed = "HTTP_AUTHORIZATION" in environ or "HTTP_X_AMZ_TARGET" in environ
    return signed or bool(environ.get("local_sagemaker.tunnel"))


def _new_agent() -> str:
    return f"{_OWN}{uuid.uuid4().hex}"


def internal_failure(error: Exception, code: str = "InternalFailure") -> ServiceError:
    """Write a traceback to the log, and return an error that names its place there."""
    identifier = uuid.uuid4().hex[:12]
    write_log(f"error {identifier}:\n{''.join(traceback.format_exception(error))}")
    text = f"The local service failed; its log has the details under {identifier}."
    if isinstance(error, sqlite3.Error) or getattr(error, "errno", None) == errno.ENOSPC:
        text = f"Nothing was changed, because the change cannot be stored: {error}."
    return ServiceError(code, text, 500)


def _unavailable(environ: Environ, start: Start, text: str) -> Iterable[bytes]:
    """Answer 503 in the protocol of the request."""
    json_type = "json" in environ.get("CONTENT_TYPE", "") or "HTTP_X_AMZ_TARGET" in environ
    if json_type or protocol.scope(environ)[1] == "sagemaker":
        content = json.dumps({"__type": "ServiceUnavailable", "message": text}).encode()
        headers = {"Content-Type": "application/x-amz-json-1.1"}
    else:
        inner = f"<Code>ServiceUnavailable</Code><Message>{text}</Message>"
        content, headers = f"<Error>{inner}</Error>".encode(), {"Content-Type": "application/xml"}
    headers |= {"Retry-After": "1", "x-amzn-ErrorType": "ServiceUnavailable"}
    return _respond(start, HTTPStatus.SERVICE_UNAVAILABLE, content, headers)


def _error(start: Start, error: ServiceError, content_type: str) -> Iterable[bytes]:
    body = {"__type": error.code, "message": error.message, "Message": error.message}
    content = json.dumps({**body, **error.members}).encode()
    headers = {"Content-Type": content_type, "x-amzn-ErrorType": error.code}
    return _respond(start, HTTPStatus(error.status), content, headers)


def _plain(start: Start, status: HTTPStatus, text: str) -> Iterable[bytes]:
    return _respond(start, status, text.encode(), {"Content-Type": "text/plain"})


def _respond(
    start: Start, status: HTTPStatus, content: bytes, headers: Mapping[str, str]
) -> Iterable[bytes]:
    everywhere = {"Content-Length": str(len(content)), "x-amzn-RequestId": str(uuid.uuid4())}
    start(f"{status.value} {status.phrase}", [*headers.items(), *everywhere.items()])
    return [content]
