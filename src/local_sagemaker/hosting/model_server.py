"""A model server: downloads a model from S3, runs its container and forwards requests to it."""

import http.client
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_sagemaker.backends.base import Running, Task
from local_sagemaker.backends.layout import lay_out
from local_sagemaker.backends.ping import free_port, wait_for_ping
from local_sagemaker.errors import LocalError
from local_sagemaker.hosting.containers import PRIMARY, Container
from local_sagemaker.hosting.context import ServerContext
from local_sagemaker.storage import objects
from local_sagemaker.storage.logs import Stream

INVOKE_SECONDS = 60.0  # the service's limit for a synchronous invocation
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
    container: str = PRIMARY


@dataclass(frozen=True)
class ServerOptions:
    """How the containers of an instance run."""

    environment: Mapping[str, str]
    """Variables in addition to the model's."""
    folder: Path | None = None
    """Becomes /opt/ml and stays when the server stops. The model is downloaded unless it is there.
    None means a folder that is removed when the server stops."""
    start_seconds: float = START_SECONDS
    """How long the first health check may take."""
    max_between: int | None = None
    """Bytes of a response that is the request of the next container; None means no limit."""
    observe: Callable[[str, float], None] = lambda container, seconds: None
    """Called with the name of a container of several, and the seconds that it took to answer."""


class NotServing(LocalError):
    """Containers did not pass the health check."""

    def __init__(self, reason: str, names: str = ""):
        """Take the reason, and the names of the containers."""
        super().__init__(reason)
        self.names = names


class ModelServer:
    """A container that serves a model; it is restarted if it exits."""

    def __init__(
        self, context: ServerContext, part: Container, stream: Stream, options: ServerOptions
    ):
        """Start it and return when /ping answers.

        Args:
            context: the service's.
            part: the container.
            stream: receives the output, and is closed at the end.
            options: how it runs.

        Raises: LocalError if it does not start.
        """
        self._context, self._part, self._stream, self._options = context, part, stream, options
        self.name = part.name
        self._work = options.folder or context.work(f"serve-{uuid.uuid4().hex[:12]}")
        self._stopping = threading.Event()
        self._running: Running | None = None
        self._last_line = ""
        self.port, self.restarts = 0, 0
        self.healthy = False
        try:
            if not (self._work / "model").exists():
                self._download()
            self._start()
        except BaseException:
            self.stop()
            raise
        threading.Thread(target=self._watch, daemon=True).start()

    def invoke(self, body: bytes, headers: Mapping[str, str], timeout: float) -> Response:
        """POST to /invocations and return the response.

        Raises: OSError or http.client.HTTPException if there is none in time.
        """
        forwarded = {name: headers[name] for name in _FORWARDED if headers.get(name)}
        return self._request("POST", "/invocations", timeout, body, forwarded)

    def get(self, path: str) -> Response:
        """GET a path, such as /execution-parameters."""
        return self._request("GET", path, 5.0)

    def stop(self) -> None:
        """Stop it, and remove its folder if that is its own."""
        self._stopping.set()
        self.healthy = False
        if self._running is not None:
            self._running.stop()
        self._stream.close()
        if self._options.folder is None:
            self._context.runner.remove(self._work)

    def _request(self, method: str, path: str, timeout: float, *content: Any) -> Response:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, *content)
            response = connection.getresponse()
            body = response.read(_MAX_BODY + 1)
            if len(body) > _MAX_BODY:
                raise http.client.HTTPException(f"the response has more than {_MAX_BODY} bytes")
            return Response(
                response.status,
                response.getheader("Content-Type", ""),
                response.getheader("X-Amzn-SageMaker-Custom-Attributes"),
                body,
                self.name,
            )
        finally:
            connection.close()

    def _download(self) -> None:
        """Lay out /opt/ml; the model is complete where the folder `model` exists."""
        uri, is_packed = model_data(self._part.definition)
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
            name = "container_1" if self._part.is_only else self.name
            raise LocalError(
                f'Failed to download model data for container "{name}" from URL:'
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
            image=self._part.definition.get("Image", ""),
            command="serve",
            base=self._work,
            env={**self._options.environment, **self._part.environment},
            port=self.port,
            container_port=self._part.port,
            grace=30.0,
        )
        self._running = self._context.runner.start(task, self._write)
        try:
            wait_for_ping(self._running, self.port, self._options.start_seconds)
        except LocalError as error:
            uri, _ = model_data(self._part.definition)
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


def model_data(container: Mapping[str, Any]) -> tuple[str | None, bool]:
    """Return the URI of the model, and whether it is a tar.gz."""
    if uri := container.get("ModelDataUrl"):
        return str(uri), True
    source = (container.get("ModelDataSource") or {}).get("S3DataSource")
    if source is None:
        return None, False
    return str(source["S3Uri"]), source.get("CompressionType") == "Gzip"
