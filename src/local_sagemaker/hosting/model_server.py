"""One model server: its model from S3, its container, and requests passed through to it."""

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

SECONDS = 60.0  # an invocation's limit, the service's own
_START_SECONDS = 180.0
_FORWARDED = ("Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes")
_RESTARTS = 3


@dataclass(frozen=True)
class Answer:
    """What a model server answered."""

    status: int
    content_type: str
    custom: str | None
    body: bytes


class ModelServer:
    """A container that serves one model; it is started anew where it ends by itself."""

    def __init__(
        self, context: Context, model: Mapping[str, Any], stream: Stream, extra: Mapping[str, str]
    ):
        """Start it and return once /ping answers.

        Args:
            context: the service's.
            model: the model's record.
            stream: takes the output, and is closed at the end.
            extra: environment variables beside the model's own.

        Raises: LocalError if it does not come up.
        """
        self._context, self._stream = context, stream
        containers = model.get("Containers") or [model.get("PrimaryContainer")]
        self._container: Mapping[str, Any] = containers[0] or {}
        self._extra = dict(extra)
        self._work = context.work(f"serve-{uuid.uuid4().hex[:12]}")
        self._in_flight, self._idle = 0, threading.Condition()
        self._stopping = threading.Event()
        self._running: Running | None = None
        self.port, self.count, self.errors, self.restarts = 0, 0, 0, 0
        self.latencies: collections.deque[float] = collections.deque(maxlen=1000)
        self.healthy = False
        try:
            self._base = lay_out(self._work, {}, {}).model.parent
            uri, packed = _model_data(self._container)
            if uri:
                fetch = objects.unpack if packed else objects.download_prefix
                fetch(context.s3, uri, self._base / "model")
            self._start()
        except context.s3.exceptions.ClientError as error:
            self.stop()
            raise LocalError(f"The model data {uri} cannot be read: {error}.") from error
        except BaseException:
            self.stop()
            raise
        threading.Thread(target=self._watch, daemon=True).start()

    def invoke(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """POST to /invocations and return the answer.

        Raises: OSError or http.client.HTTPException where there is none in time.
        """
        start = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            passed = {name: headers[name] for name in _FORWARDED if headers.get(name)}
            connection.request("POST", "/invocations", body, passed)
            answer = connection.getresponse()
            content = answer.read()
            self.errors += answer.status >= 400
            return Answer(
                answer.status,
                answer.getheader("Content-Type", ""),
                answer.getheader("X-Amzn-SageMaker-Custom-Attributes"),
                content,
            )
        except BaseException:
            self.errors += 1
            raise
        finally:
            connection.close()
            self.latencies.append(time.perf_counter() - start)
            self.count += 1

    def get(self, path: str) -> Answer:
        """GET a path, such as /execution-parameters."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5.0)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheader("Content-Type", ""), None, answer.read())
        finally:
            connection.close()

    def enter(self) -> None:
        """Note a request that will be sent: until it leaves, `drain` waits."""
        with self._idle:
            self._in_flight += 1

    def leave(self) -> None:
        """Note that a request was answered."""
        with self._idle:
            self._in_flight -= 1
            self._idle.notify_all()

    def drain(self) -> None:
        """Wait until no request is in flight, then end it."""
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0, timeout=SECONDS)
        self.stop()

    def stop(self) -> None:
        """End it and remove its folder."""
        self._stopping.set()
        self.healthy = False
        if self._running is not None:
            self._running.stop()
        self._stream.close()
        self._context.runner.remove(self._work)

    def _start(self) -> None:
        self.port = free_port()
        env = {**self._extra, **(self._container.get("Environment") or {})}
        task = Task(
            image=self._container.get("Image", ""),
            command="serve",
            base=self._work,
            env=env,
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
            if self.restarts >= _RESTARTS:
                self._stream.write("The container ended too often; it is not started again.")
                return
            self.restarts += 1
            self._stream.write("The container ended by itself; it is started again.")
            try:
                self._start()
            except LocalError as error:
                self._stream.write(str(error))
            if self._stopping.is_set() and self._running is not None:
                self._running.stop()


def _model_data(container: Mapping[str, Any]) -> tuple[str | None, bool]:
    """Return where the model is, and whether it is packed."""
    if uri := container.get("ModelDataUrl"):
        return str(uri), True
    source = (container.get("ModelDataSource") or {}).get("S3DataSource")
    if source is None:
        return None, False
    return str(source["S3Uri"]), source.get("CompressionType") == "Gzip"
