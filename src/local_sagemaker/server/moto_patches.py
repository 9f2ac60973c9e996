"""moto's applications: with AWS error responses, and with hooks where they reach SageMaker."""

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any
from xml.sax.saxutils import escape

from botocore.model import OperationNotFoundError
from flask import Flask, Response, request
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.exceptions import HTTPException, NotFound

from local_sagemaker.api import dispatch
from local_sagemaker.context import Caller, Context
from local_sagemaker.errors import ServiceError
from local_sagemaker.server import outgoing
from local_sagemaker.server.router import internal_failure
from local_sagemaker.server.s3_requests import S3Application, StoredApplication
from local_sagemaker.storage.records import Record
from local_sagemaker.storage.s3_persistence import S3Persistence


class MotoApplications:
    """Creates moto's application for a service of AWS at the first request to the service."""

    context: Context  # assigned by Service

    def __init__(self, persistence: S3Persistence):
        """Take what stores the changes of S3."""
        self._persistence = persistence

    def __call__(self, name: Any) -> Any:
        """Return the application of a service, with hooks in the models that it uses."""
        if install := _HOOKS.get(str(name)):
            install(self)
        app: Flask = create_backend_app(name)
        app.register_error_handler(NotImplementedError, _not_implemented)
        app.register_error_handler(ServiceError, _error)
        app.register_error_handler(NotFound, _not_found)
        app.register_error_handler(Exception, _failure)
        wrapper = S3Application if str(name) == "s3" else StoredApplication
        return wrapper(app, self._persistence)

    def call(self, operation: str, members: Record, region: str) -> Record:
        """Execute an operation of SageMaker.

        Raises: ServiceError.
        """
        return dispatch.call(self.context, operation, members, Caller(region, waits=False))


@functools.cache
def _cloudformation(apps: MotoApplications) -> None:
    from local_sagemaker.server import cloudformation

    cloudformation.install(apps.call)
    for install in _HOOKS.values():  # a template can create the resources of the others
        if install is not _cloudformation:
            install(apps)


@functools.cache
def _step_functions(apps: MotoApplications) -> None:
    from local_sagemaker.server import step_functions

    step_functions.install(int(apps.context.url.rpartition(":")[2]))


@functools.cache
def _events(_: MotoApplications) -> None:
    from local_sagemaker.server import moto_hooks

    moto_hooks.refuse_events()


@functools.cache
def _auto_scaling(apps: MotoApplications) -> None:
    from local_sagemaker.server import moto_hooks

    moto_hooks.check_scalable_targets(apps.call)


@functools.cache
def _tagging(apps: MotoApplications) -> None:
    from local_sagemaker.server import moto_hooks

    moto_hooks.show_tags(apps.context.store, apps.call)


@functools.cache
def _subscriptions(_: MotoApplications) -> None:
    outgoing.refuse_subscriptions()


@functools.cache
def _mail(_: MotoApplications) -> None:
    outgoing.refuse_mail()


@functools.cache
def _http_streams(_: MotoApplications) -> None:
    outgoing.refuse_http_streams()


@functools.cache
def _pulls(_: MotoApplications) -> None:
    outgoing.refuse_pulls()


# Importing moto's models of these services takes seconds, so it waits for a request.
_HOOKS: Mapping[str, Callable[[MotoApplications], None]] = {
    "cloudformation": _cloudformation,
    "stepfunctions": _step_functions,
    "events": _events,
    "scheduler": _events,
    "pipes": _events,
    "applicationautoscaling": _auto_scaling,
    "resourcegroupstaggingapi": _tagging,
    "sns": _subscriptions,
    "ses": _mail,
    "sesv2": _mail,
    "firehose": _http_streams,
    "awslambda": _pulls,
    "batch": _pulls,
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


def _error(error: Any) -> Response:
    if "X-Amz-Target" in request.headers or "json" in (request.content_type or ""):
        body = json.dumps({"__type": error.code, "message": error.message})
        return Response(body, error.status, content_type="application/x-amz-json-1.1")
    inner = f"<Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
    body = f"<ErrorResponse><Error><Type>Sender</Type>{inner}</Error></ErrorResponse>"
    return Response(body, error.status, content_type="text/xml")
