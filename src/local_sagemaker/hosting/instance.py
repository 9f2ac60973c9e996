"""An instance of a variant or of a transform job: it runs all containers of a model."""

import collections
import http.client
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeVar

from local_sagemaker.errors import LocalError
from local_sagemaker.hosting.containers import Container, containers, is_direct
from local_sagemaker.hosting.context import ServerContext
from local_sagemaker.hosting.model_server import (
    INVOKE_SECONDS,
    ModelServer,
    NotServing,
    Response,
    ServerOptions,
)
from local_sagemaker.storage.logs import Stream

_MAX_INVOKE_SECONDS = 3600.0  # the service's limit for an asynchronous invocation
Item = TypeVar("Item")
Result = TypeVar("Result")
_LEAST_SECONDS = 0.001  # a socket without a timeout would wait for ever


class NoResponse(LocalError):
    """A container did not answer, or its answer cannot be the request of the next container."""

    def __init__(self, text: str, status: int = 0):
        """Take the message, and the status that a ModelError has."""
        super().__init__(text)
        self.status = status


class Instance:
    """The containers of a model. They answer a request one after the other, or one by its name."""

    def __init__(
        self,
        context: ServerContext,
        model: Mapping[str, Any],
        open_stream: Callable[[str], Stream],
        options: ServerOptions,
    ):
        """Start all containers at once, and return when each answers /ping.

        Args:
            context: the service's.
            model: the model's record.
            open_stream: returns the log stream of a container by its name; "" is the only one.
            options: how the containers run; each of several has a folder in `options.folder`.

        Raises: NotServing, which names all containers that do not answer, or another LocalError.
        """
        self._context, self._open_stream, self._options = context, open_stream, options
        self.is_direct = is_direct(model)
        self._in_flight, self._idle = 0, threading.Condition()
        self.count, self.errors = 0, 0
        self.latencies: collections.deque[float] = collections.deque(maxlen=1000)
        parts = containers(model)
        started = _at_once(self._start, parts)
        self._servers = {s.name: s for s in started if isinstance(s, ModelServer)}
        failed = [(p, e) for p, e in zip(parts, started, strict=True) if isinstance(e, Exception)]
        if failed:
            self.stop()
            _fail(failed)

    @property
    def names(self) -> list[str]:
        """Return the names of the containers, in the order in which they answer."""
        return list(self._servers)

    @property
    def healthy(self) -> bool:
        """Return whether all containers run."""
        return all(server.healthy for server in self._servers.values())

    @property
    def restarts(self) -> int:
        """Return how often containers were restarted."""
        return sum(server.restarts for server in self._servers.values())

    def invoke(
        self,
        body: bytes,
        headers: Mapping[str, str],
        timeout: float = INVOKE_SECONDS,
        target: str | None = None,
    ) -> Response:
        """Return the response of the last container, or the first whose status is not 200.

        Args:
            body: of the request.
            headers: of the request; `Accept` goes to the last container alone.
            timeout: seconds that all containers together may take.
            target: the name of the container that answers, if requests name one.

        Raises: NoResponse.
        """
        start = time.perf_counter()
        servers = [self._servers[target]] if target else list(self._servers.values())
        self.count += 1
        try:
            response = self._send(servers, body, headers, timeout)
            self.errors += response.status != 200
            return response
        except NoResponse:
            self.errors += 1
            raise
        finally:
            self.latencies.append(time.perf_counter() - start)

    def get(self, path: str) -> Response:
        """GET a path of the first container, such as /execution-parameters."""
        return next(iter(self._servers.values())).get(path)

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
        """Stop all containers when no request is in flight."""
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0, timeout=_MAX_INVOKE_SECONDS)
        self.stop()

    def stop(self) -> None:
        """Stop all containers at once, and remove what the instance has on disk."""
        _at_once(ModelServer.stop, list(self._servers.values()))

    def _start(self, part: Container) -> ModelServer:
        options = self._options
        if options.folder is not None and not part.is_only:
            options = replace(options, folder=options.folder / part.name)
        stream = self._open_stream("" if part.is_only else part.name)
        return ModelServer(self._context, part, stream, options)

    def _send(
        self,
        servers: Sequence[ModelServer],
        body: bytes,
        headers: Mapping[str, str],
        timeout: float,
    ) -> Response:
        deadline = time.monotonic() + timeout
        for server, following in pairwise(servers):
            response = self._ask(server, body, {**headers, "Accept": ""}, deadline)
            if response.status != 200:
                return response
            limit = self._options.max_between
            if limit is not None and len(response.body) > limit:
                raise NoResponse(
                    f"Received response from {server.name} with status code 200. However, the"
                    f" request payload from {server.name} to {following.name} is"
                    f" {len(response.body)} bytes, which has exceeded the maximum limit of"
                    f" {limit >> 20} MB."
                )
            body, headers = response.body, {**headers, "Content-Type": response.content_type}
        return self._ask(servers[-1], body, headers, deadline)

    def _ask(
        self, server: ModelServer, body: bytes, headers: Mapping[str, str], deadline: float
    ) -> Response:
        """Return the response of a container. Raises: NoResponse."""
        start = time.monotonic()
        try:
            return server.invoke(body, headers, max(_LEAST_SECONDS, deadline - start))
        except TimeoutError as error:
            raise NoResponse(
                "Your invocation timed out while waiting for a response from container"
                f" {server.name}."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise NoResponse(f"The container {server.name} did not answer: {error}", 500) from error
        finally:
            if len(self._servers) > 1:
                self._options.observe(server.name, time.monotonic() - start)


def _at_once(action: Callable[[Item], Result], items: Sequence[Item]) -> list[Result | Exception]:
    """Return what an action returns for each item, or raises.

    The threads are daemons: the service may end before a container has started.
    """
    outcomes: list[Any] = [None] * len(items)

    def run(index: int) -> None:
        try:
            outcomes[index] = action(items[index])
        except Exception as error:
            outcomes[index] = error

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(len(items))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def _fail(failed: Sequence[tuple[Container, Exception]]) -> None:
    """Raise the error that is none of the health check, if there is one, or all others as one."""
    for _, error in failed:
        if not isinstance(error, NotServing):
            raise error
    reasons = [str(e) if part.is_only else f"{part.name}: {e}" for part, e in failed]
    raise NotServing(" ".join(reasons), ", ".join(part.title for part, _ in failed))
