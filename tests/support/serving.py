"""Requests to the Flask application without a server."""

import json
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse


def invoke(
    app: Flask,
    body: object,
    content_type: str | None = "application/json",
    accept: str | None = None,
    **more: Any,
) -> TestResponse:
    """POST /invocations; a body that is not bytes goes as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Accept": accept} if accept else {}
    return app.test_client().post(
        "/invocations", data=data, content_type=content_type, headers=headers, **more
    )


def error(response: TestResponse) -> tuple[str, str]:
    """Return code and message of an error, which has this one form."""
    assert response.content_type == "application/json"
    body = response.get_json()
    assert list(body) == ["error"]
    assert list(body["error"]) == ["code", "message"]
    return body["error"]["code"], body["error"]["message"]
