"""moto's applications, with AWS error responses for operations that moto does not have."""

import json
from typing import Any
from xml.sax.saxutils import escape

from flask import Flask, Response, request
from moto.moto_server.werkzeug_app import create_backend_app


def backend(name: Any) -> Flask:
    """Return moto's application for a service of AWS."""
    app: Flask = create_backend_app(name)
    app.register_error_handler(NotImplementedError, _not_implemented)
    return app


def _not_implemented(error: Any) -> Response:
    text = f"The local SageMaker service does not implement this: {error}"
    if "X-Amz-Target" in request.headers or "json" in (request.content_type or ""):
        body = json.dumps({"__type": "NotImplemented", "message": text})
        return Response(body, 501, content_type="application/x-amz-json-1.1")
    inner = f"<Code>NotImplemented</Code><Message>{escape(text)}</Message>"
    body = f"<ErrorResponse><Error><Type>Sender</Type>{inner}</Error></ErrorResponse>"
    return Response(body, 501, content_type="text/xml")
