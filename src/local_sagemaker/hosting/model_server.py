"""A model server: downloads a model from S3, runs its container and forwards requests to it."""

import collections
import http.client
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_sagemaker.backends.base import Running, Task
from local_sagemaker.backends.layout import lay_out
from local_sagemaker.backends.ping import free_port, wait_for_ping
from local_sagemaker.errors import LocalError
from local_sagemaker.hosting.context import ServerContext
from local_sagemaker.storage import objects
from local_sagemaker.storage.logs import Stream

INVOKE_SECONDS = 60.0  # the service's limit for a synchronous invocation
_MAX_INVOKE_SECONDS = 3600.0  # the service's limit for an asynchronous invocation
START_SECONDS = 180.0  # the service's default for the health check of a container that starts
_MAX_BODY = 1 << 30  # bytes of a response: the service's limit for asynchronous invocations
_FORWARDED = ("Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes")
_STEADY_SECONDS = 60.0  # a container that ran as long is restarted at once
_MAX_PAUSE = 60.0


@dataclass(frozen=True)
class Response:
    """The response of a model server."""

    status: int
    content_type: str
    custom_attributes: str | None
    body: bytes


class NotServing(LocalError):
    """The container did not pass the health check."""


class ModelServer:
    """A container that serves a model; it is restarted if it exits."""

    def __init__(
        self,
        context: ServerContext,
        model: Mapping[str, Any],
        stream: Stream,
        environment: Mapping[str, str],
        folder: Path | None = None,
        start_seconds: float = START_SECONDS,
    ):
        """Start it and return when /ping answers.

        Args:
            context: the service's.
            model: the model's record.
            stream: receives the output, and is closed at the end.
            environment: variables in addition to the model's.
            folder: becomes /opt/ml and stays when the server stops. The model is downloaded unless
                it is there. None means a folder that is removed when the server stops.
            start_seconds: how long the first health check may take.

        Raises: LocalError if it does not start.
        """
        self._context, self._stream = context, stream
        self._container = container(model)
        self.image: str = self._container.get("Image", "")
        self._environment = dict(environment)
        self._start_seconds = start_seconds
        self._is_own_folder = folder is None
        self._work = folder or context.work(f"serve-{uuid.uuid4().hex[:12]}")
        self._in_flight, self._idle = 0, threading.Condition()
        self._stopping = threading.Event()
        self._running: Running | None = None
        self._last_line = ""
        self.port, self.count, self.errors, self.restarts = 0, 0, 0, 0
        self.latencies: collections.deque[float] = collections.deque(maxlen=1000)
        self.healthy = False
        try:
            if not (self._work / "model").exists():
                self._download()
            self._start()
        except BaseException:
            self.stop()
            raise
        threading.Thread(target=self._watch, daemon=True).start()

    def invoke(
        self, body: bytes, headers: Mapping[str, str], timeout: float = INVOKE_SECONDS
    ) -> Response:
        """POST to /invocations and return the response.

        Raises: OSError or http.client.HTTPException if there is none in time.
        """
        start = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
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
            self._idle.wait_for(lambda: self._in_flight == 0, timeout=_MAX_INVOKE_SECONDS)
        self.stop()

    def stop(self) -> None:
        """Stop it, and remove its folder if that is its own."""
        self._stopping.set()
        self.healthy = False
        if self._running is not None:
            self._running.stop()
        self._stream.close()
        if self._is_own_folder:
            self._context.runner.remove(self._work)

    def _download(self) -> None:
        """Lay out /opt/ml; the model is complete where the folder `model` exists."""
        uri, is_packed = _model_data(self._container)
        new = self._work.with_name(f"{self._work.name}.new")
        base = lay_out(new, {}, {}).model.parent
        s3 = self._context.s3
        try:
            if uri and is_packed:
                for text in objects.unpack(s3, uri, base / "model"):
                    self._stream.write(f"{uri}: {text}; it is left out.")
            elif uri:
                objects.download_prefix(s3, uri, base / "model")
        except s3.exceptions.ClientError as error:
            raise LocalError(
                'Failed to download model data for container "container_1" from URL:'
                f' "{uri}". Please ensure that there is an object located at the URL: {error}'
            ) from error
        else:
            self._context.runner.remove(self._work)  # a container may have removed its model alone
            new.rename(self._work)
        finally:
            self._context.runner.remove(new)

    def _write(self, line: str) -> None:
        self._last_line = line or self._last_line
        self._stream.write(line)

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
        self._running = self._context.runner.start(task, self._write)
        try:
            wait_for_ping(self._running, self.port, self._start_seconds)
        except LocalError as error:
            uri, _ = _model_data(self._container)
            reason = str(error).replace(str(self._work), "/opt/ml")
            if self._running.poll() is not None and self._last_line:
                reason = f"{reason} Its last line of output: {self._last_line}"
            raise NotServing(f"{reason} The model data is {uri}." if uri else reason) from error
        self.healthy = True

    def _watch(self) -> None:
        pause, started = 0.5, time.monotonic()
        while not self._stopping.wait(0.5):
            if self._running is None or self._running.poll() is None:
                continue
            self.healthy = False
            pause = 0.5 if time.monotonic() - started > _STEADY_SECONDS else pause
            how = self._running.ending()
            self._running.stop()
            self._stream.write(f"The container ended with {how}, and is restarted in {pause:g} s.")
            if self._stopping.wait(pause):
                return
            pause, started = min(2 * pause, _MAX_PAUSE), time.monotonic()
            self.restarts += 1
            try:
                self._start()
            except LocalError as error:
                self._stream.write(str(error))
            if self._running is not None and (self._stopping.is_set() or not self.healthy):
                self._running.stop()


def container(model: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the one container of a model."""
    containers = model.get("Containers") or [model.get("PrimaryContainer")]
    return containers[0] or {}


def _read(connection: http.client.HTTPConnection) -> Response:
    response = connection.getresponse()
    body = response.read(_MAX_BODY + 1)
    if len(body) > _MAX_BODY:
        raise http.client.HTTPException(f"the response has more than {_MAX_BODY} bytes")
    return Response(
        response.status,
        response.getheader("Content-Type", ""),
        response.getheader("X-Amzn-SageMaker-Custom-Attributes"),
        body,
    )


def _model_data(container: Mapping[str, Any]) -> tuple[str | None, bool]:
    """Return the URI of the model, and whether it is a tar.gz."""
    if uri := container.get("ModelDataUrl"):
        return str(uri), True
    source = (container.get("ModelDataSource") or {}).get("S3DataSource")
    if source is None:
        return None, False
    return str(source["S3Uri"]), source.get("CompressionType") == "Gzip"
