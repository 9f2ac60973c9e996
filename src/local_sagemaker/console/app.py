"""The console's pages and its JSON, as a Flask application."""

import os
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from flask import Flask, Response, abort, jsonify, redirect, request, send_from_directory

from local_sagemaker.api.dispatch import Api
from local_sagemaker.api.errors import ServiceError
from local_sagemaker.console import hosting, views
from local_sagemaker.context import Caller, Context
from local_sagemaker.hosting.endpoints import KIND as ENDPOINT
from local_sagemaker.hosting.endpoints import Endpoints
from local_sagemaker.jobs.tuning import KIND as TUNING
from local_sagemaker.storage.records import Record

_STATIC = Path(__file__).with_name("static")
# Nothing from elsewhere, and no script within a page: what a job prints stays text.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def create_app(context: Context, endpoints: Endpoints, api: Api) -> Flask:
    """Return the application."""
    app = Flask("console", static_folder=None)
    store = context.store

    def known(kind: str, name: str) -> Record:
        record = store.get(kind, name)
        if record is None:
            abort(404)
        return record

    def page_kind(page: str) -> str:
        if page not in views.KINDS:
            abort(404)
        return views.KINDS[page][0]

    @app.after_request
    def protect(answer: Response) -> Response:
        answer.headers["Content-Security-Policy"] = _POLICY
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["Cache-Control"] = "no-cache"
        return answer

    @app.errorhandler(ServiceError)
    def service_error(error: ServiceError) -> Any:
        return jsonify(code=error.code, message=error.message), error.status

    @app.errorhandler(ClientError)
    def of_s3(error: ClientError) -> Any:
        return jsonify(message=str(error)), 404

    @app.get("/")
    def root() -> Any:
        return redirect("/console")

    @app.get("/console", strict_slashes=False)
    def index() -> Any:
        return send_from_directory(_STATIC, "index.html")

    @app.get("/console/static/<path:name>")
    def static_file(name: str) -> Any:
        return send_from_directory(_STATIC, name)

    @app.get("/console/api/about")
    def about() -> Any:
        return jsonify(pid=os.getpid(), backend=context.runner.name, cores=context.settings.cores)

    @app.get("/console/api/<any(jobs, transform):page>")
    def jobs(page: str) -> Any:
        records = reversed(store.all(page_kind(page)))
        return jsonify([views.job_row(context, page, one) for one in records])

    @app.get("/console/api/<any(jobs, transform):page>/<name>")
    def job(page: str, name: str) -> Any:
        return jsonify(views.job(context, page, known(page_kind(page), name)))

    @app.get("/console/api/<any(jobs, transform):page>/<name>/log/<int:after>")
    def log(page: str, name: str, after: int) -> Any:
        known(page_kind(page), name)
        return jsonify(lines=views.log_lines(context, page, name, after))

    @app.post("/console/api/<any(jobs, transform):page>/<name>/stop")
    def stop(page: str, name: str) -> Any:
        title = views.KINDS[page][1]
        api.call(f"Stop{title}", {f"{title}Name": name}, Caller(waits=False))
        return jsonify({})

    @app.get("/console/api/endpoints")
    def all_endpoints() -> Any:
        records = reversed(store.all(ENDPOINT))
        return jsonify([hosting.endpoint(context, endpoints, one) for one in records])

    @app.get("/console/api/endpoints/<name>")
    def endpoint(name: str) -> Any:
        return jsonify(hosting.endpoint(context, endpoints, known(ENDPOINT, name)))

    @app.post("/console/api/endpoints/<name>/invoke")
    def invoke(name: str) -> Any:
        headers = {
            "Content-Type": request.headers.get("X-Content-Type", ""),
            "Accept": request.headers.get("X-Accept", ""),
        }
        _, answer = endpoints.invoke(name, request.get_data(), headers)
        # As text, whatever the model says that it is: a browser shows it.
        return Response(answer.body, content_type="text/plain; charset=utf-8")

    @app.get("/console/api/tuning")
    def tunings() -> Any:
        return jsonify([hosting.tuning_row(context, one) for one in reversed(store.all(TUNING))])

    @app.get("/console/api/tuning/<name>")
    def tuning(name: str) -> Any:
        return jsonify(hosting.tuning(context, known(TUNING, name)))

    @app.get("/console/api/s3")
    def buckets() -> Any:
        found = context.s3.list_buckets()["Buckets"]
        rows = [{"name": b["Name"], "created": views.seconds(b["CreationDate"])} for b in found]
        return jsonify(rows)

    @app.get("/console/api/s3/<bucket>", defaults={"prefix": ""}, strict_slashes=False)
    @app.get("/console/api/s3/<bucket>/<path:prefix>")
    def bucket(bucket: str, prefix: str) -> Any:
        found = context.s3.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/")
        return jsonify(
            folders=[one["Prefix"] for one in found.get("CommonPrefixes", ())],
            objects=[
                {
                    "key": one["Key"],
                    "size": one["Size"],
                    "modified": views.seconds(one["LastModified"]),
                    "href": views.href(bucket, one["Key"]),
                }
                for one in found.get("Contents", ())
            ],
        )

    @app.get("/console/object/<bucket>/<path:key>")
    def download(bucket: str, key: str) -> Any:
        body = context.s3.get_object(Bucket=bucket, Key=key)["Body"]
        answer = Response(body.iter_chunks(1 << 20), content_type="application/octet-stream")
        answer.headers.set(
            "Content-Disposition", "attachment", filename=key.rpartition("/")[2] or "object"
        )
        return answer

    return app
