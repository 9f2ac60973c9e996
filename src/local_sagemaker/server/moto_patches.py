"""moto's applications: with AWS error responses, and with hooks where they reach SageMaker."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from xml.sax.saxutils import escape

from botocore.model import OperationNotFoundError
from flask import Flask, Response, request
from moto.moto_server.werkzeug_app import create_backend_app
from moto.s3.models import S3Backend
from werkzeug.exceptions import HTTPException, NotFound

from local_sagemaker.api import dispatch
from local_sagemaker.context import Caller, Context
from local_sagemaker.errors import ServiceError
from local_sagemaker.server import moto_hooks, outgoing
from local_sagemaker.server.router import internal_failure
from local_sagemaker.server.s3_forwarding import S3Forwarder
from local_sagemaker.server.s3_requests import S3Application, StoredApplication, s3_error_body
from local_sagemaker.settings import S3Endpoint
from local_sagemaker.storage.records import Record
from local_sagemaker.storage.s3_persistence import S3Persistence


class MotoApplications:
    """Creates moto's application for a service of AWS at the first request to the service."""

    context: Context  # assigned by Service

    def __init__(self, persistence: S3Persistence, s3: S3Endpoint | None):
        """Take what stores the changes of S3, and the endpoint that is used in place of it."""
        self._persistence, self._s3 = persistence, s3
        self._installed: set[str] = set()
        if s3 is not None:  # CloudFormation would create a bucket that no request sees
            text = f"The service uses the S3 at {s3.url}: create buckets there."
            moto_hooks.refuse(S3Backend, "create_bucket", lambda _: text)

    def __call__(self, name: Any) -> Any:
        """Return the application of a service, with hooks in the models that it uses."""
        if str(name) == "s3" and self._s3 is not None:
            return S3Forwarder(self._s3)
        if str(name) in _HOOKS:
            self.install(str(name))
        app: Flask = create_backend_app(name)
        app.register_error_handler(NotImplementedError, _not_implemented)
        app.register_error_handler(ServiceError, _error)
        app.register_error_handler(NotFound, _not_found)
        app.register_error_handler(Exception, _failure)
        if str(name) == "s3":
            app.register_error_handler(Exception, _failure_of_s3)
        wrapper = S3Application if str(name) == "s3" else StoredApplication
        return wrapper(app, self._persistence)

    def install(self, name: str) -> None:
        """Install the hook of a service, once."""
        if name not in self._installed:
            self._installed.add(name)
            _HOOKS[name](self)

    def call(self, operation: str, members: Record, region: str) -> Record:
        """Execute an operation of SageMaker.

        Raises: ServiceError.
        """
        return dispatch.call(self.context, operation, members, Caller(region, waits=False))


def _cloudformation(apps: MotoApplications) -> None:
    from local_sagemaker.server import cloudformation

    cloudformation.install(apps.call)
    for name in _HOOKS:  # a template can create the resources of the others
        apps.install(name)


def _step_functions(apps: MotoApplications) -> None:
    from local_sagemaker.server import step_functions

    step_functions.install(int(apps.context.url.rpartition(":")[2]))


# Importing moto's models of these services takes seconds, so each hook waits for a request.
_HOOKS: Mapping[str, Callable[[MotoApplications], None]] = {
    "cloudformation": _cloudformation,
    "stepfunctions": _step_functions,
    "events": lambda _: moto_hooks.refuse_events(),
    "scheduler": lambda _: moto_hooks.refuse_schedules(),
    "pipes": lambda _: moto_hooks.refuse_pipes(),
    "applicationautoscaling": lambda apps: moto_hooks.check_scalable_targets(apps.call),
    "resourcegroupstaggingapi": lambda apps: moto_hooks.show_tags(
        lambda: apps.context.store, apps.call
    ),
    "sns": lambda _: outgoing.refuse_subscriptions(),
    "ses": lambda _: outgoing.refuse_mail(),
    "sesv2": lambda _: outgoing.refuse_mail(),
    "firehose": lambda _: outgoing.refuse_http_streams(),
    "awslambda": lambda _: outgoing.refuse_pulls(),
    "batch": lambda _: outgoing.refuse_pulls(),
}


def _not_implemented(error: Any) -> Response:
    text = f"The local SageMaker service does not implement this: {error}"
    return _error(ServiceError("NotImplemented", text, 501))


def _not_found(_: Any) -> Response:
    text = f"There is no operation {request.method} {request.path} of this service."
    return _error(ServiceError("UnknownOperationException", text, 404))


def _failure(error: Exception) -> Any:
    if isinstance(error, HTTPException):
        return error
    if isinstance(error, OperationNotFoundError):
        return _error(ServiceError("InvalidAction", f"There is no action {error}."))
    return _error(internal_failure(error))


def _failure_of_s3(error: Exception) -> Any:
    """Return a 400 if moto failed on a body that it parses: any but that of PutObject."""
    # Virtual hosts are paths here as well. Without a query, a key takes a PUT of an object alone.
    of_object = "/" in request.path.strip("/") and not request.query_string
    if isinstance(error, HTTPException) or request.method not in ("PUT", "POST"):
        return _failure(error)
    if of_object and request.method == "PUT":
        return _failure(error)
    if of_object:
        refused = ServiceError("MethodNotAllowed", "A POST to a key needs a query.", 405)
    else:
        refused = ServiceError("MalformedXML", f"The operation cannot take this body: {error!r}")
    return Response(s3_error_body(refused), refused.status, content_type="application/xml")


def _error(error: Any) -> Response:
    if "X-Amz-Target" in request.headers or "json" in (request.content_type or ""):
        body = json.dumps({"__type": error.code, "message": error.message})
        return Response(body, error.status, content_type="application/x-amz-json-1.1")
    inner = f"<Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
    body = f"<ErrorResponse><Error><Type>Sender</Type>{inner}</Error></ErrorResponse>"
    return Response(body, error.status, content_type="text/xml")
