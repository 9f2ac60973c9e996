"""The Flask application: its routes, and every error as JSON."""

import traceback
import uuid
from collections.abc import Mapping
from contextlib import nullcontext

import orjson
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from factorization_machines.errors import FactorizationMachinesError, PlatformError
from factorization_machines.scoring import Predictor
from sagemaker_container.serving import inference
from sagemaker_container.serving.content_types.negotiation import JSON
from sagemaker_container.serving.errors import Busy, UnsupportedMediaType, http_status
from sagemaker_container.serving.large_requests import LargeRequests
from sagemaker_container.serving.request_body import BodyReader
from sagemaker_container.serving.request_log import RequestLog, log
from sagemaker_container.serving.settings import Settings

# Bodies up to this size are decoded and scored in one or two milliseconds.
_SMALL_BODY = 128 << 10


def create_app(
    predictor: Predictor | FactorizationMachinesError, settings: Settings | None = None
) -> Flask:
    """Return the application that serves a predictor.

    Args:
        predictor: the model, or the error that says why there is none: /ping and /invocations then
            respond with the status and the message of the error. It is kept as
            `app.config["PREDICTOR"]`, which may be replaced.
        settings: taken from the environment by default.
    """
    settings = settings or Settings.from_environment()
    app = Flask(__name__, static_folder=None)
    app.config["PREDICTOR"] = predictor
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False
    _add_routes(app, settings)
    _add_error_handlers(app)
    app.wsgi_app = RequestLog(app.wsgi_app)  # type: ignore[method-assign]
    return app


def _add_routes(app: Flask, settings: Settings) -> None:
    body_reader = BodyReader(settings.max_payload, settings.timeout)
    large_requests = LargeRequests(settings)

    def loaded_predictor() -> Predictor:
        predictor = app.config["PREDICTOR"]
        if isinstance(predictor, FactorizationMachinesError):
            raise predictor
        loaded: Predictor = predictor
        return loaded

    @app.get("/ping")
    def ping() -> Response:
        loaded_predictor()
        return Response(mimetype="text/plain")

    @app.get("/execution-parameters")
    def execution_parameters() -> Response:
        return Response(orjson.dumps(settings.execution_parameters()), content_type=JSON)

    @app.post("/invocations")
    def invocations() -> Response:
        predictor = loaded_predictor()
        environ = request.environ
        length = int(environ.get("CONTENT_LENGTH") or 0) or None  # None: in chunks, or empty
        with large_requests.admitted(length) if _is_large(length) else nullcontext():
            body = body_reader.read(environ)
            _check_codings(environ)
            large = _is_large(len(body)) or b'"top_k"' in body
            with large_requests.turn() if large else nullcontext():
                content_type, content = inference.answer(
                    predictor,
                    body,
                    environ.get("CONTENT_TYPE"),
                    environ.get("HTTP_ACCEPT"),
                    batch=settings.batch,
                )
        return Response(content, content_type=content_type)


def _is_large(size: int | None) -> bool:
    return size is None or size > _SMALL_BODY


def _check_codings(environ: Mapping[str, str]) -> None:
    headers = (environ.get(f"HTTP_{name}_ENCODING", "") for name in ("CONTENT", "TRANSFER"))
    codings = {coding.strip().lower() for header in headers for coding in header.split(",")}
    if not codings <= {"", "identity", "chunked"}:
        got = ", ".join(sorted(codings - {"", "identity", "chunked"}))
        raise UnsupportedMediaType(
            f"Content-Encoding must be identity, which means no compression; got {got!r}"
        )


def _add_error_handlers(app: Flask) -> None:
    @app.errorhandler(FactorizationMachinesError)
    def known_error(error: FactorizationMachinesError) -> Response:
        response = _error_response(http_status(error), type(error).__name__, str(error))
        if isinstance(error, Busy):
            response.headers["Retry-After"] = "1"
        return response

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        if isinstance(error, MethodNotAllowed):
            allowed = ", ".join(sorted(error.valid_methods or ()))
            message = f"{request.path} takes {allowed}; got {request.method}"
            response = _error_response(405, "MethodNotAllowed", message)
            response.headers["Allow"] = allowed
            return response
        paths = ", ".join(sorted(rule.rule for rule in app.url_map.iter_rules()))
        message = f"the paths are {paths}" if error.code == 404 else str(error.description)
        return _error_response(error.code or 500, type(error).__name__, message)

    @app.errorhandler(MemoryError)
    def out_of_memory(_: MemoryError) -> Response:
        return known_error(PlatformError("not enough memory for this request"))

    @app.errorhandler(Exception)
    def unexpected_error(error: Exception) -> Response:
        # The log gets the traceback, the client only the identifier to find it by.
        identifier = uuid.uuid4().hex
        log(f"error {identifier}\n{''.join(traceback.format_exception(error))}")
        message = f"an error of the server; its log has it as {identifier}"
        return _error_response(500, "InternalError", message)


def _error_response(status: int, code: str, message: str) -> Response:
    content = orjson.dumps({"error": {"code": code, "message": message}})
    return Response(content, status, content_type=JSON)
