"""The HTTP endpoint as an ASGI application: what is asked, what is answered, and every error.

A body is read without holding a thread or a process, however slowly it comes. A small request is
answered where it is read; a large one in a thread, so that /ping is answered meanwhile.
"""

import asyncio
import contextlib
import os
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import orjson

from factorization_machines.errors import FactorizationMachinesError, PlatformError, UserError
from factorization_machines.scoring import Scorer
from sagemaker_container.errors import PayloadTooLarge, http_status
from sagemaker_container.serving import inference
from sagemaker_container.serving.content_types.negotiation import JSON
from sagemaker_container.serving.settings import Settings

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

_SMALL = 128 << 10  # bytes that are answered in one or two milliseconds
_DISCARDED = 64 << 20  # of a body that is too large, so that its client comes to read the answer


class NotFound(UserError):
    """There is nothing at this path."""

    http_status = 404


class MethodNotAllowed(UserError):
    """The path is asked in another way."""

    http_status = 405


class RequestTimeout(UserError):
    """The body did not come, or its client left."""

    http_status = 408


@dataclass(frozen=True)
class _Answer:
    status: int
    content: bytes = b""
    kind: str = ""
    more: list[tuple[bytes, bytes]] = field(default_factory=list)


class App:
    """The application over a model, or over the reason why there is none.

    Without a model /ping and /invocations answer with the status of that reason, so that the
    platform sees the endpoint fail and its user sees why.
    """

    def __init__(self, scorer: Scorer | FactorizationMachinesError, settings: Settings):
        self._scorer = scorer
        self._settings = settings
        self._pool: ThreadPoolExecutor | None = None
        self._routes = {
            "/ping": ("GET", self._ping),
            "/invocations": ("POST", self._invocations),
            "/execution-parameters": ("GET", self._execution_parameters),
        }

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, and log it unless it is a health check."""
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        began = time.perf_counter()
        exchange = _Exchange(scope, receive)
        answer = await self._answer(exchange)
        headers = [(b"content-length", b"%d" % len(answer.content)), *answer.more]
        if answer.kind:
            headers.append((b"content-type", answer.kind.encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.content})
        path = scope["path"]
        if path != "/ping":
            took = 1000 * (time.perf_counter() - began)
            shown = path if path in self._routes else _printable(scope)
            log(
                f"{scope['method']} {shown} {answer.status}, {exchange.received} bytes in, "
                f"{len(answer.content)} out, {took:.2f} ms"
            )

    async def _answer(self, exchange: "_Exchange") -> _Answer:
        path, method = exchange.scope["path"], exchange.scope["method"]
        try:
            if path not in self._routes:
                raise NotFound(f"there is nothing here; there are {', '.join(self._routes)}")
            allowed, handle = self._routes[path]
            if method != allowed and not (allowed == "GET" and method == "HEAD"):
                allow = "GET, HEAD" if allowed == "GET" else allowed
                error = MethodNotAllowed(f"{path} takes {allow}; got {method}")
                return _failed(error, [(b"allow", allow.encode())])
            return await handle(exchange)
        except FactorizationMachinesError as error:
            return _failed(error)
        except MemoryError:
            return _failed(PlatformError("not enough memory for this request"))
        except Exception as error:
            # The trace is for the log; the client gets what finds it there.
            mark = uuid.uuid4().hex
            log(f"error {mark}\n{''.join(traceback.format_exception(error))}")
            message = f"an error of the server; its log has it as {mark}"
            return _Answer(500, _error("InternalError", message), JSON)

    async def _ping(self, exchange: "_Exchange") -> _Answer:
        self._loaded()
        return _Answer(200)

    async def _execution_parameters(self, exchange: "_Exchange") -> _Answer:
        return _Answer(200, orjson.dumps(self._settings.execution_parameters()), JSON)

    async def _invocations(self, exchange: "_Exchange") -> _Answer:
        scorer = self._loaded()
        body = await exchange.body(self._settings.max_payload)
        header = exchange.header
        task = (scorer, body, header(b"content-type"), header(b"accept"), self._settings.batch)
        # A ranking is small to ask for and much to do.
        if len(body) <= _SMALL and inference.TOP_K not in body:
            kind, content = _work(*task)
        else:
            # One thread: more would hold more bodies at once, and no work gets done sooner.
            self._pool = self._pool or ThreadPoolExecutor(1)
            kind, content = await asyncio.get_running_loop().run_in_executor(
                self._pool, _work, *task
            )
        return _Answer(200, content, kind)

    def _loaded(self) -> Scorer:
        if isinstance(self._scorer, FactorizationMachinesError):
            raise self._scorer
        return self._scorer


class _Exchange:
    """A request as far as it has been read."""

    def __init__(self, scope: Mapping[str, Any], receive: Receive):
        self.scope = scope
        self.received = 0
        self._receive = receive

    def header(self, name: bytes) -> str | None:
        """Return a header's value, of a repeated one all of them."""
        values = [value for key, value in self.scope["headers"] if key == name]
        return b",".join(values).decode("latin-1") if values else None

    async def body(self, limit: int | None) -> bytes:
        """Return the body. Raises: PayloadTooLarge, RequestTimeout."""
        chunks = []
        too_large = limit is not None and int(self.header(b"content-length") or 0) > limit
        if too_large and self.header(b"expect"):
            raise _too_large(limit)  # its client waits for a word before it sends
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise RequestTimeout(f"the body ended after {self.received} bytes")
            chunk = message.get("body", b"")
            self.received += len(chunk)
            more = message.get("more_body", False)
            too_large = too_large or (limit is not None and self.received > limit)
            if not too_large:
                chunks.append(chunk)
            elif self.received > _DISCARDED or not more:
                raise _too_large(limit)
            else:
                chunks.clear()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _work(
    scorer: Scorer, body: bytes, content_type: str | None, accept: str | None, batch: bool
) -> tuple[str, bytes]:
    return inference.answer(scorer, body, content_type, accept, batch=batch)


def _too_large(limit: int | None) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"a body may have {limit} bytes at most; SAGEMAKER_MAX_PAYLOAD_IN_MB sets the limit"
    )


def _failed(
    error: FactorizationMachinesError, more: list[tuple[bytes, bytes]] | None = None
) -> _Answer:
    content = _error(type(error).__name__, str(error))
    return _Answer(http_status(error), content, JSON, more or [])


def _error(code: str, message: str) -> bytes:
    return orjson.dumps({"error": {"code": code, "message": message}})


def _printable(scope: Mapping[str, Any]) -> str:
    """Return the path as it was sent, so that nothing in it can end a line of the log."""
    path = (scope.get("raw_path") or scope["path"].encode()).decode("ascii", "backslashreplace")
    return "".join(letter if letter.isprintable() else "?" for letter in path[:200])


def log(text: str) -> None:
    """Write a line, or a trace, to standard error in one step; it may have no reader."""
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode(errors="backslashreplace"))
