"""The console's Flask application: its pages, its JSON API, and downloads from S3."""

import os
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    jsonify,
    redirect,
    request,
    send_from_directory,
)

from local_sagemaker.api import dispatch
from local_sagemaker.console import hosting, models, pipelines, views
from local_sagemaker.console.curves import Curves
from local_sagemaker.context import Caller, Context
from local_sagemaker.errors import LocalError, ServiceError, not_found
from local_sagemaker.hosting.endpoints import KIND as ENDPOINT
from local_sagemaker.hosting.endpoints import MODEL
from local_sagemaker.hosting.invocation import Invocation
from local_sagemaker.jobs.evaluations import KIND as TUNING
from local_sagemaker.storage.records import Record

_STATIC = Path(__file__).with_name("static")
# Nothing from other hosts and no inline scripts: what a job prints stays text.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_JOBS = "/<any(jobs, processing, transform):page>"


def create_app(context: Context) -> Flask:
    """Return the application."""
    app = Flask("console", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of Flask's own provider
    app.register_blueprint(_pages(context))
    for routes in (_operations, _jobs, _hosting, _models, _pipelines, _buckets):
        app.register_blueprint(routes(context), url_prefix="/console/api")

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-cache"
        return response

    @app.errorhandler(ServiceError)
    def service_error(error: ServiceError) -> Any:
        return jsonify(code=error.code, message=error.message), error.status

    @app.errorhandler(LocalError)
    def local_error(error: LocalError) -> Any:
        return jsonify(message=str(error)), 400

    @app.errorhandler(ClientError)
    def s3_error(error: ClientError) -> Any:
        return jsonify(message=str(error)), 404

    return app


def _pages(context: Context) -> Blueprint:
    pages = Blueprint("pages", __name__)

    @pages.get("/")
    def root() -> Any:
        return redirect("/console")

    @pages.get("/console", strict_slashes=False)
    def index() -> Any:
        return send_from_directory(_STATIC, "index.html")

    @pages.get("/console/static/<path:name>")
    def static_file(name: str) -> Any:
        return send_from_directory(_STATIC, name)

    @pages.get("/console/object/<bucket>/<path:key>")
    def download(bucket: str, key: str) -> Any:
        body = context.s3.get_object(Bucket=bucket, Key=key)["Body"]
        response = Response(body.iter_chunks(1 << 20), content_type="application/octet-stream")
        filename = key.rpartition("/")[2] or "object"
        response.headers.set("Content-Disposition", "attachment", filename=filename)
        return response

    return pages


def _operations(context: Context) -> Blueprint:
    """Return the routes of the service itself and of its operations."""
    routes = Blueprint("operations", __name__)

    @routes.get("/about")
    def about() -> Any:
        return jsonify(pid=os.getpid(), backend=context.runner.name, cores=context.settings.cores)

    @routes.post("/call/<operation>")
    def call(operation: str) -> Any:
        # Only a page of this origin can send JSON: other pages would have to ask, and are refused.
        members = request.get_json()
        if not isinstance(members, dict):
            abort(400)
        return jsonify(dispatch.call(context, operation, members, Caller(waits=False)))

    return routes


def _jobs(context: Context) -> Blueprint:
    """Return the routes of training, processing and batch transform jobs."""
    routes, store = Blueprint("jobs", __name__), context.store
    curves = Curves(context)

    @routes.get(_JOBS)
    def jobs(page: str) -> Any:
        def row(record: Record) -> Record:
            scores = curves.main_scores(record) if page == "jobs" else {}
            return {**views.job_row(context, page, record), "scores": scores}

        return jsonify([row(record) for record in reversed(store.all(views.KINDS[page][0]))])

    @routes.get(f"{_JOBS}/<name>")
    def job(page: str, name: str) -> Any:
        record = _record(context, views.KINDS[page][0], name)
        content = views.job(context, page, record)
        return jsonify({**content, "curves": curves.of(record) if page == "jobs" else {}})

    @routes.get(f"{_JOBS}/<name>/log")
    def log(page: str, name: str) -> Any:
        _record(context, views.KINDS[page][0], name)
        offsets = {stream: request.args.get(stream, 0, type=int) for stream in request.args}
        return jsonify(views.log(context, page, name, offsets))

    return routes


def _hosting(context: Context) -> Blueprint:
    """Return the routes of endpoints and tuning jobs."""
    routes, store = Blueprint("hosting", __name__), context.store

    @routes.get("/endpoints")
    def endpoints() -> Any:
        records = reversed(store.all(ENDPOINT))
        return jsonify([hosting.endpoint(context, record) for record in records])

    @routes.get("/endpoints/<name>")
    def endpoint(name: str) -> Any:
        return jsonify(hosting.endpoint(context, _record(context, ENDPOINT, name)))

    @routes.post("/endpoints/<name>/invoke")
    def invoke(name: str) -> Any:
        headers = {
            "Content-Type": request.headers.get("X-Content-Type", ""),
            "Accept": request.headers.get("X-Accept", ""),
        }
        invocation = Invocation(
            request.get_data(),
            headers,
            target_variant=request.headers.get("X-Target-Variant") or None,
            target_container=request.headers.get("X-Target-Container") or None,
        )
        variant, response = context.endpoints.invoke(name, invocation)
        # Plain text, whatever the model's content type is, because a browser displays it.
        answer = Response(response.body, content_type="text/plain; charset=utf-8")
        answer.headers["X-Variant"] = variant
        answer.headers["X-Model-Content-Type"] = response.content_type
        return answer

    @routes.get("/tuning")
    def tuning_jobs() -> Any:
        records = reversed(store.all(TUNING))
        return jsonify([hosting.tuning_row(context, record) for record in records])

    @routes.get("/tuning/<name>")
    def tuning_job(name: str) -> Any:
        return jsonify(hosting.tuning(context, _record(context, TUNING, name)))

    return routes


def _models(context: Context) -> Blueprint:
    """Return the routes of models."""
    routes, store = Blueprint("models", __name__), context.store
    reader = models.ModelReader(context)

    @routes.get("/models")
    def all_models() -> Any:
        return jsonify([models.row(context, record) for record in reversed(store.all(MODEL))])

    @routes.get("/models/<name>")
    def model(name: str) -> Any:
        return jsonify(models.row(context, _record(context, MODEL, name)))

    @routes.get("/models/<name>/info")
    def info(name: str) -> Any:
        return jsonify(reader.info(_record(context, MODEL, name)))

    @routes.get("/endpoints/<name>/info")
    def infos(name: str) -> Any:
        return jsonify(reader.infos(_record(context, ENDPOINT, name)))

    return routes


def _pipelines(context: Context) -> Blueprint:
    """Return the routes of pipelines."""
    routes = Blueprint("pipelines", __name__)

    @routes.get("/pipelines/<name>")
    def pipeline(name: str) -> Any:
        return jsonify(pipelines.pipeline(context, name))

    @routes.get("/pipelines/<name>/<execution>")
    def execution(name: str, execution: str) -> Any:
        return jsonify(pipelines.execution(context, name, execution))

    return routes


def _buckets(context: Context) -> Blueprint:
    """Return the routes of S3."""
    routes = Blueprint("buckets", __name__)

    @routes.get("/s3")
    def buckets() -> Any:
        entries = context.s3.list_buckets()["Buckets"]
        return jsonify(
            [{"name": e["Name"], "created": views.seconds(e["CreationDate"])} for e in entries]
        )

    @routes.get("/s3/<bucket>", defaults={"prefix": ""}, strict_slashes=False)
    @routes.get("/s3/<bucket>/<path:prefix>")
    def bucket(bucket: str, prefix: str) -> Any:
        page = context.s3.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/")
        return jsonify(
            folders=[entry["Prefix"] for entry in page.get("CommonPrefixes", ())],
            objects=[
                {
                    "key": entry["Key"],
                    "size": entry["Size"],
                    "modified": views.seconds(entry["LastModified"]),
                }
                for entry in page.get("Contents", ())
            ],
        )

    return routes


def _record(context: Context, kind: str, name: str) -> Record:
    record = context.store.get(kind, name)
    if record is None:
        raise not_found(f"There is no {kind} {name}.")
    return record
