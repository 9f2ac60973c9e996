"""The HTTP endpoint: what is asked, what is answered, and every error as JSON."""

import uuid

import orjson
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from fm_container.data.formats import ENCODERS, JSON, decoder
from fm_container.errors import ContainerError
from fm_container.serving.scorer import Scorer


def create_app(scorer: Scorer | ContainerError) -> Flask:
    """Return the application over a model, or over the reason why there is none.

    Without a model /ping and /invocations answer with the status of that reason, so that the
    platform sees the endpoint fail and its user sees why.
    """
    app = Flask(__name__)

    def loaded() -> Scorer:
        if isinstance(scorer, ContainerError):
            raise scorer
        return scorer

    @app.get("/ping")
    def ping() -> Response:
        loaded()
        return Response(status=200)

    @app.post("/invocations")
    def invocations() -> Response:
        model = loaded()
        decode = decoder(request.headers.get("Content-Type"))
        scores, labels = model.predict(decode(request.get_data(), model.feature_dim))
        return Response(ENCODERS[JSON](scores, labels), mimetype=JSON)

    @app.errorhandler(ContainerError)
    def known(error: ContainerError) -> Response:
        return _error(error.http_status, type(error).__name__, str(error))

    @app.errorhandler(HTTPException)
    def of_http(error: HTTPException) -> Response:
        message = error.description or error.name
        response = _error(error.code or 500, error.name.replace(" ", ""), message)
        if "Allow" in (headers := dict(error.get_headers())):
            response.headers["Allow"] = headers["Allow"]
        return response

    @app.errorhandler(Exception)
    def unknown(error: Exception) -> Response:
        # The trace is for the log; the client gets what finds it there.
        mark = uuid.uuid4().hex
        app.logger.exception("error %s", mark, exc_info=error)
        return _error(500, "InternalError", f"an error of the server; its log has it as {mark}")

    return app


def _error(status: int, code: str, message: str) -> Response:
    body = orjson.dumps({"error": {"code": code, "message": message}})
    return Response(body, status=status, mimetype=JSON)
