"""An ASGI application asked directly, without a server: what a client would see of it."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        """Return the content as JSON."""
        return json.loads(self.content)

    @property
    def error(self) -> tuple[str, str]:
        """Return code and message of an error, which has this one form."""
        assert self.headers["content-type"] == "application/json"
        body = self.json
        assert list(body) == ["error"]
        assert list(body["error"]) == ["code", "message"]
        return body["error"]["code"], body["error"]["message"]


def ask(
    app: Any,
    method: str = "GET",
    path: str = "/ping",
    body: bytes | Sequence[bytes] = b"",
    *,
    headers: Sequence[tuple[str, str]] = (),
    leaves: bool = False,
) -> Answer:
    """Return the answer to a request; one of several chunks may leave after them."""
    chunks = [body] if isinstance(body, bytes) else list(body)
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    if leaves:
        messages.append({"type": "http.disconnect"})
    else:
        messages[-1]["more_body"] = False
    sent: list[Mapping[str, Any]] = []

    async def receive() -> Mapping[str, Any]:
        return messages.pop(0)

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
    }
    asyncio.run(app(scope, receive, send))
    start, content = sent
    names = {name.decode(): value.decode() for name, value in start["headers"]}
    assert names["content-length"] == str(len(content["body"]))
    return Answer(start["status"], names, content["body"])


def invoke(
    app: Any,
    body: object,
    content_type: str | None = "application/json",
    accept: str | None = None,
    **more: Any,
) -> Answer:
    """POST /invocations; a body that is neither bytes nor chunks goes as JSON."""
    given = body if isinstance(body, bytes | list) else json.dumps(body).encode()
    headers = [("Content-Type", content_type)] if content_type else []
    headers += [("Accept", accept)] if accept else []
    return ask(app, "POST", "/invocations", given, headers=headers, **more)
