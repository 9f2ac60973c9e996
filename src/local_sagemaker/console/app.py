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
from local_sagemaker.console import hosting, views
from local_sagemaker.context import Caller, Context
from local_sagemaker.errors import ServiceError
from local_sagemaker.hosting.endpoints import KIND as ENDPOINT
from local_sagemaker.hosting.invocation import Invocation
from local_sagemaker.jobs.evaluations import KIND as TUNING
from local_sagemaker.storage.records import Record

_STATIC = Path(__file__).with_name("static")
# Nothing from other hosts and no inline scripts: what a job prints stays text.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_JOBS = "/<any(jobs, transform):page>"


def create_app(context: Context) -> Flask:
    """Return the application."""
    app = Flask("console", static_folder=None)
    app.register_blueprint(_pages(context))
    for blueprint in (_jobs(context), _hosting(context), _buckets(context)):
        app.register_blueprint(blueprint, url_prefix="/console/api")

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


def _jobs(context: Context) -> Blueprint:
    """Return the routes of training and batch transform jobs."""
    routes, store = Blueprint("jobs", __name__), context.store

    @routes.get("/about")
    def about() -> Any:
        return jsonify(pid=os.getpid(), backend=context.runner.name, cores=context.settings.cores)

    @routes.get(_JOBS)
    def jobs(page: str) -> Any:
        records = reversed(store.all(views.KINDS[page][0]))
        return jsonify([views.job_row(context, page, record) for record in records])

    @routes.get(f"{_JOBS}/<name>")
    def job(page: str, name: str) -> Any:
        return jsonify(views.job(context, page, _record(context, views.KINDS[page][0], name)))

    @routes.get(f"{_JOBS}/<name>/log/<int:after>")
    def log(page: str, name: str, after: int) -> Any:
        _record(context, views.KINDS[page][0], name)
        return jsonify(lines=views.log_lines(context, page, name, after))

    @routes.post(f"{_JOBS}/<name>/stop")
    def stop(page: str, name: str) -> Any:
        title = views.KINDS[page][1]
        dispatch.call(context, f"Stop{title}", {f"{title}Name": name}, Caller(waits=False))
        return jsonify({})

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
        invocation = Invocation(request.get_data(), headers)
        _, response = context.endpoints.invoke(name, invocation)
        # Plain text, whatever the model's content type is, because a browser displays it.
        return Response(response.body, content_type="text/plain; charset=utf-8")

    @routes.get("/tuning")
    def tuning_jobs() -> Any:
        records = reversed(store.all(TUNING))
        return jsonify([hosting.tuning_row(context, record) for record in records])

    @routes.get("/tuning/<name>")
    def tuning_job(name: str) -> Any:
        return jsonify(hosting.tuning(context, _record(context, TUNING, name)))

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
                    "href": views.href(bucket, entry["Key"]),
                }
                for entry in page.get("Contents", ())
            ],
        )

    return routes


def _record(context: Context, kind: str, name: str) -> Record:
    record = context.store.get(kind, name)
    if record is None:
        abort(404)
    return record
