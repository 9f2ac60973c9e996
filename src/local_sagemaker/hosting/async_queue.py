"""Asynchronous inference: a queue of invocations on disk, whose results go to S3."""

import json
import sys
import threading
import traceback
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local_sagemaker.errors import LocalError, ServiceError
from local_sagemaker.hosting.context import ServerContext
from local_sagemaker.hosting.invocation import Invocation, runtime_error
from local_sagemaker.hosting.model_server import Response
from local_sagemaker.storage import objects
from local_sagemaker.storage.records import Record, keep_trying, now
from sagemaker_container.contract.untrusted import printable

KIND = "async-invocation"
_CONCURRENCY = 4  # where ClientConfig does not set MaxConcurrentInvocationsPerInstance
_TTL_SECONDS, _INVOCATION_SECONDS = 21600, 900  # the service's defaults
_HEADERS = {"Accept": "Accept", "X-Amzn-SageMaker-Custom-Attributes": "CustomAttributes"}


class AsyncQueue:
    """The asynchronous invocations of all endpoints; each one is a record until it has ended."""

    def __init__(
        self,
        context: ServerContext,
        config: Callable[[str], Mapping[str, Any]],
        invoke: Callable[[str, Invocation], tuple[str, Response]],
    ):
        """Start without threads.

        Args:
            context: the service's.
            config: returns the configuration that an endpoint serves.
            invoke: invokes the model of an endpoint.
        """
        self._context, self._config, self._invoke = context, config, invoke
        self._pools: dict[str, ThreadPoolExecutor] = {}  # by endpoint
        self._queued: set[str] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def submit(self, endpoint: str, request: Record) -> Record:
        """Queue an invocation, and return the response of InvokeEndpointAsync."""
        settings = self._config(endpoint).get("AsyncInferenceConfig")
        if settings is None:
            raise runtime_error(
                f"Endpoint {endpoint} does not support asynchronous invocations: its configuration"
                " has no AsyncInferenceConfig."
            )
        output = settings["OutputConfig"]
        self._check_input(request["InputLocation"], bool(output.get("S3FailurePath")))
        identifier = str(uuid.uuid4())
        record = {
            **request,
            "Id": identifier,
            "InferenceId": request.get("InferenceId") or identifier,
            "OutputLocation": f"{output['S3OutputPath'].rstrip('/')}/{identifier}.out",
            "CreationTime": now(),
        }
        if failures := output.get("S3FailurePath"):
            record["FailureLocation"] = f"{failures.rstrip('/')}/{identifier}-error.out"
        self._context.store.add(KIND, identifier, record)
        self._start(endpoint, identifier)
        return record

    def resume(self, endpoint: str) -> None:
        """Start the queued invocations of an endpoint that has come into service."""
        with self._lock:
            pool = self._pools.pop(endpoint, None)  # the configuration may be another one
        if pool is not None:
            pool.shutdown(wait=False)
        for identifier in self._of(endpoint):
            self._start(endpoint, identifier)

    def discard(self, endpoint: str) -> None:
        """Remove the queued invocations of a deleted endpoint."""
        with self._lock:
            pool = self._pools.pop(endpoint, None)
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
        for identifier in self._of(endpoint):
            self._end(identifier)

    def stop(self) -> None:
        """Start no more invocations; those that have not ended remain on disk."""
        self._stopping.set()
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)

    def join(self) -> None:
        """Return when no thread runs any more."""
        for pool in self._pools.values():
            pool.shutdown(wait=True)

    def _check_input(self, location: str, failures_are_written: bool) -> None:
        """Refuse a location that cannot be one, or whose failure would not be reported."""
        try:
            bucket, key = objects.split_uri(location)
            if not failures_are_written:
                self._context.s3.head_object(Bucket=bucket, Key=key)
        except LocalError as error:
            raise runtime_error(f"Invalid InputLocation: {error}") from error
        except ClientError as error:
            raise runtime_error(f"InputLocation {location} cannot be read: {error}") from error

    def _of(self, endpoint: str) -> list[str]:
        records = self._context.store.all(KIND)
        return [record["Id"] for record in records if record["EndpointName"] == endpoint]

    def _start(self, endpoint: str, identifier: str) -> None:
        settings = self._config(endpoint).get("AsyncInferenceConfig") or {}
        client = settings.get("ClientConfig") or {}
        size = client.get("MaxConcurrentInvocationsPerInstance") or _CONCURRENCY
        with self._lock:
            if identifier in self._queued or self._stopping.is_set():
                return
            self._queued.add(identifier)
            pool = self._pools.get(endpoint)
            if pool is None:
                pool = self._pools[endpoint] = ThreadPoolExecutor(size, f"async-{endpoint}")
            pool.submit(self._run, endpoint, identifier)

    def _run(self, endpoint: str, identifier: str) -> None:
        record = self._context.store.get(KIND, identifier)
        if record is None or self._stopping.is_set():
            return
        try:
            response = self._response(endpoint, record)
            self._put(record["OutputLocation"], response.body, response.content_type)
        except Exception as error:
            if self._stopping.is_set():
                return  # the server was stopped; the invocation is done after the restart
            if not isinstance(error, ServiceError | LocalError | ClientError):
                traceback.print_exc()
            self._fail(record, error)
        self._end(identifier)

    def _response(self, endpoint: str, record: Record) -> Response:
        age = (now() - record["CreationTime"]).total_seconds()
        limit = record.get("RequestTTLSeconds") or _TTL_SECONDS
        if age > limit:
            raise LocalError(f"ClientError: the request expired after {limit} s in the queue.")
        location = record["InputLocation"]
        bucket, key = objects.split_uri(location)
        try:
            source = self._context.s3.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            raise LocalError(
                f"ClientError: InputLocation {location} cannot be read: {error}"
            ) from error
        headers = {name: record.get(member) or "" for name, member in _HEADERS.items()}
        headers["Content-Type"] = record.get("ContentType") or source["ContentType"]
        timeout = record.get("InvocationTimeoutSeconds") or _INVOCATION_SECONDS
        body = source["Body"].read()
        request = Invocation(body, headers, inference_id=record["InferenceId"], timeout=timeout)
        return self._invoke(endpoint, request)[1]

    def _fail(self, record: Record, reason: Exception) -> None:
        """Write the response of the model to the FailureLocation, or why there is none, as JSON."""
        location = record.get("FailureLocation")
        members = reason.members if isinstance(reason, ServiceError) else {}
        if "LogStreamArn" in members:  # the model responded
            body = str(members["OriginalMessage"])
        else:
            body = json.dumps({"failureReason": str(reason)})
        try:
            if location is None:
                raise LocalError("its configuration has no S3FailurePath")
            self._put(location, body.encode(), "application/json")
        except (LocalError, ClientError, BotoCoreError) as error:
            what = f"asynchronous invocation {record['InferenceId']} of {record['EndpointName']}"
            text = printable(f"{what} failed: {reason} (this is not in S3: {error})")
            sys.stderr.write(f"{text}\n")

    def _put(self, uri: str, body: bytes, content_type: str) -> None:
        bucket, key = objects.split_uri(uri)
        self._context.s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)

    def _end(self, identifier: str) -> None:
        keep_trying(lambda: self._context.store.remove(KIND, identifier), self._stopping.is_set)
        with self._lock:
            self._queued.discard(identifier)
