"""A model server: downloads a model from S3, runs its container and forwards requests to it."""

import collections
import http.client
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_sagemaker.backends.base import Running, Task
from local_sagemaker.backends.ping import free_port, wait_for_ping
from local_sagemaker.context import Context
from local_sagemaker.errors import LocalError
from local_sagemaker.jobs.layout import lay_out
from local_sagemaker.storage import objects
from local_sagemaker.storage.logs import Stream

_INVOKE_SECONDS = 60.0  # the service's limit for an invocation
_START_SECONDS = 180.0
_FORWARDED = ("Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes")
_MAX_RESTARTS = 3


@dataclass(frozen=True)
class Response:
    """The response of a model server."""

    status: int
    content_type: str
    custom_attributes: str | None
    body: bytes


class ModelServer:
    """A container that serves a model; it is restarted if it exits."""

    def __init__(
        self,
        context: Context,
        model: Mapping[str, Any],
        stream: Stream,
        environment: Mapping[str, str],
    ):
        """Start it and return when /ping answers.

        Args:
            context: the service's.
            model: the model's record.
            stream: receives the output, and is closed at the end.
            environment: variables in addition to the model's.

        Raises: LocalError if it does not start.
        """
        self._context, self._stream = context, stream
        containers = model.get("Containers") or [model.get("PrimaryContainer")]
        self._container: Mapping[str, Any] = containers[0] or {}
        self.image: str = self._container.get("Image", "")
        self._environment = dict(environment)
        self._work = context.work(f"serve-{uuid.uuid4().hex[:12]}")
        self._in_flight, self._idle = 0, threading.Condition()
        self._stopping = threading.Event()
        self._running: Running | None = None
        self.port, self.count, self.errors, self.restarts = 0, 0, 0, 0
        self.latencies: collections.deque[float] = collections.deque(maxlen=1000)
        self.healthy = False
        uri, is_packed = _model_data(self._container)
        try:
            base = lay_out(self._work, {}, {}).model.parent
            if uri:
                fetch = objects.unpack if is_packed else objects.download_prefix
                fetch(context.s3, uri, base / "model")
            self._start()
        except context.s3.exceptions.ClientError as error:
            self.stop()
            raise LocalError(f"The model data {uri} cannot be read: {error}.") from error
        except BaseException:
            self.stop()
            raise
        threading.Thread(target=self._watch, daemon=True).start()

    def invoke(
        self, body: bytes, headers: Mapping[str, str], seconds: float = _INVOKE_SECONDS
    ) -> Response:
        """POST to /invocations and return the response, which must come in `seconds`.

        Raises: OSError or http.client.HTTPException if there is none in time.
        """
        start = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            forwarded = {name: headers[name] for name in _FORWARDED if headers.get(name)}
            connection.request("POST", "/invocations", body, forwarded)
            response = _read(connection)
            self.errors += response.status >= 400
            return response
        except BaseException:
            self.errors += 1
            raise
        finally:
            connection.close()
            self.latencies.append(time.perf_counter() - start)
            self.count += 1

    def get(self, path: str) -> Response:
        """GET a path, such as /execution-parameters."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5.0)
        try:
            connection.request("GET", path)
            return _read(connection)
        finally:
            connection.close()

    def enter(self) -> None:
        """Count a request that will be sent; `drain` waits for its `leave`."""
        with self._idle:
            self._in_flight += 1

    def leave(self) -> None:
        """Count a request as answered."""
        with self._idle:
            self._in_flight -= 1
            self._idle.notify_all()

    def drain(self) -> None:
        """Stop it when no request is in flight."""
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0, timeout=_INVOKE_SECONDS)
        self.stop()

    def stop(self) -> None:
        """Stop it and remove its folder."""
        self._stopping.set()
        self.healthy = False
        if self._running is not None:
            self._running.stop()
        self._stream.close()
        self._context.runner.remove(self._work)

    def _start(self) -> None:
        self.port = free_port()
        task = Task(
            image=self.image,
            command="serve",
            base=self._work,
            env={**self._environment, **(self._container.get("Environment") or {})},
            port=self.port,
            grace=30.0,
        )
        self._running = self._context.runner.start(task, self._stream.write)
        wait_for_ping(self._running, self.port, _START_SECONDS)
        self.healthy = True

    def _watch(self) -> None:
        while not self._stopping.wait(0.5):
            if self._running is None or self._running.poll() is None:
                continue
            self.healthy = False
            if self.restarts >= _MAX_RESTARTS:
                self._stream.write("The container exited too often and is not restarted.")
                return
            self.restarts += 1
            self._stream.write("The container exited and is restarted.")
            try:
                self._start()
            except LocalError as error:
                self._stream.write(str(error))
            if self._stopping.is_set() and self._running is not None:
                self._running.stop()


def _read(connection: http.client.HTTPConnection) -> Response:
    response = connection.getresponse()
    return Response(
        response.status,
        response.getheader("Content-Type", ""),
        response.getheader("X-Amzn-SageMaker-Custom-Attributes"),
        response.read(),
    )


def _model_data(container: Mapping[str, Any]) -> tuple[str | None, bool]:
    """Return the URI of the model, and whether it is a tar.gz."""
    if uri := container.get("ModelDataUrl"):
        return str(uri), True
    source = (container.get("ModelDataSource") or {}).get("S3DataSource")
    if source is None:
        return None, False
    return str(source["S3Uri"]), source.get("CompressionType") == "Gzip"
