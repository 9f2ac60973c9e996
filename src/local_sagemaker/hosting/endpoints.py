"""Starts, replaces and stops the servers of endpoints, and distributes requests over them."""

import threading
import time
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local_sagemaker.errors import LocalError, ServiceError
from local_sagemaker.hosting import capture
from local_sagemaker.hosting.async_queue import AsyncQueue
from local_sagemaker.hosting.capture import DataCapture, Exchange
from local_sagemaker.hosting.context import ServerContext
from local_sagemaker.hosting.deployment import CONFIG, KIND, MODEL, described
from local_sagemaker.hosting.instance import Instance
from local_sagemaker.hosting.invocation import (
    Invocation,
    check_target,
    choose_variant,
    not_found,
    send,
)
from local_sagemaker.hosting.metrics import EndpointMetrics, of_container, of_invocation
from local_sagemaker.hosting.model_server import START_SECONDS, NotServing, Response, ServerOptions
from local_sagemaker.storage import lineage
from local_sagemaker.storage.logs import Stream
from local_sagemaker.storage.records import Record, keep_trying, now

__all__ = ["CONFIG", "KIND", "MODEL", "Endpoints"]

Servers = dict[str, Instance]  # by variant
_NO_LIMIT = {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "0"}  # asynchronous requests may have 1 GB
_MAX_BETWEEN = 5 << 20  # bytes from one container to the next, as on SageMaker


@dataclass(frozen=True)
class _Active:
    """What an endpoint serves: a deployment and its servers."""

    deployment: Mapping[str, Any]
    servers: Servers

    @property
    def config(self) -> Mapping[str, Any]:
        config: Mapping[str, Any] = self.deployment["Config"]
        return config


class Endpoints:
    """The servers of all endpoints."""

    def __init__(self, context: ServerContext):
        """Start without servers."""
        self._context = context
        self._active: dict[str, _Active] = {}
        self._lock = threading.Lock()
        self._changes: dict[str, threading.Lock] = {}  # one change of an endpoint at a time
        self._stopped = False
        self._capture = DataCapture(context.s3)
        self._metrics = EndpointMetrics()
        self.asynchronous = AsyncQueue(context, self.config, self.invoke)

    def servers(self, name: str) -> Servers:
        """Return the present servers of an endpoint, by variant."""
        with self._lock:
            active = self._active.get(name)
            return dict(active.servers) if active else {}

    def config(self, name: str) -> Mapping[str, Any]:
        """Return the configuration that an endpoint serves.

        Raises: ServiceError: ValidationError if the endpoint is not in service.
        """
        with self._lock:
            active = self._active.get(name)
        if active is None:
            raise not_found(name)
        return active.config

    def bring_up(self, name: str, *pending: Record) -> None:
        """Start deployments in a thread, one after the other; each replaces the present one."""
        threading.Thread(target=self._bring_up_all, args=(name, pending), daemon=True).start()

    def restore(self, record: Record) -> str:
        """Start an endpoint after a restart of the service; return a message for the user."""
        name = record["EndpointName"]
        present, following = record.get("Deployment"), record.get("NextDeployment")
        pending = [deployment for deployment in (present, following) if deployment]
        for folder in self._context.folder(KIND, name).glob("serve-*"):
            if present is None or folder.name != present["Id"]:  # unfinished, or drained
                self._context.runner.remove(folder)
        if record["EndpointStatus"] == "Failed" or not pending:
            return f"endpoint {name} stays Failed: {record.get('FailureReason')}"
        self._update(name, "Updating" if present and following else "Creating")
        self.bring_up(name, *pending)
        return f"endpoint {name} starts again"

    def take_down(self, name: str) -> None:
        """Stop an endpoint's servers in a thread, after their requests in flight."""
        with self._lock:
            old = self._active.pop(name, None)
        self.asynchronous.discard(name)
        self._retire(name, old)

    def stop(self, deliver: bool = True) -> None:
        """Stop all servers now; keep the queues of asynchronous invocations.

        Args:
            deliver: write the last metrics and captured data.
        """
        self._stopped = True
        self.asynchronous.stop()
        with self._lock:
            everything, self._active = self._active, {}
        for thread in [
            thread
            for old in everything.values()
            for thread in _in_threads(old.servers, Instance.stop)
        ]:
            thread.join()
        self.asynchronous.join()
        self._capture.stop(deliver)
        self._metrics.stop(deliver)

    def invoke(self, name: str, request: Invocation) -> tuple[str, Response]:
        """Return the variant that answered, and its response with status 200.

        Raises: ServiceError: ValidationError if the endpoint does not exist, else ModelError.
        """
        start = time.perf_counter()
        record = self._context.store.get(KIND, name) or {}
        variants = {entry["VariantName"]: entry for entry in record.get("ProductionVariants") or ()}
        with self._lock:
            active = self._active.get(name)
            if active is None:
                raise not_found(name)
            variant = choose_variant(name, active.servers, variants, request.target_variant)
            server = active.servers[variant]
            check_target(server, name, request.target_container)
            server.enter()
        status, sent = 500, time.perf_counter()
        try:
            response = send(server, name, request)
            status = 200
        except ServiceError as error:
            status = int(str(error.members["OriginalStatusCode"])) or status
            raise
        finally:
            server.leave()
            model, overhead = time.perf_counter() - sent, sent - start
            instances = variants.get(variant, {}).get("DesiredInstanceCount") or 1
            values = of_invocation(status, model, overhead, instances)
            self._metrics.add(values, name, variant)
            if request.target_container:
                self._metrics.add(of_container(values), name, variant, request.target_container)
        config = active.config.get("DataCaptureConfig")
        if config and capture.is_sampled(config):
            self._capture.add(name, variant, Exchange(config, request, response, now()))
        return variant, response

    def _bring_up_all(self, name: str, pending: Sequence[Record]) -> None:
        with self._lock:
            change = self._changes.setdefault(name, threading.Lock())
        with change:
            for deployment in pending:
                self._bring_up(name, deployment)

    def _bring_up(self, name: str, deployment: Record) -> None:
        new = _Active(deployment, {})
        try:
            for variant in deployment["Config"]["ProductionVariants"]:
                new.servers[variant["VariantName"]] = self._server(name, deployment, variant)
        except Exception as error:
            for server in new.servers.values():
                server.stop()
            if self._stopped:
                return  # the next start of the service begins anew
            if not isinstance(error, LocalError):
                traceback.print_exc()
            self._fail(name, deployment, str(error))
        else:
            self._replace(name, new)

    def _fail(self, name: str, deployment: Record, reason: str) -> None:
        member = self._member(name, deployment)
        if member != "Deployment":
            self._context.runner.remove(self._folder(name, deployment))
        if member is not None:
            # A failed update leaves the present servers in service.
            status = "InService" if self.servers(name) else "Failed"
            unused = {"NextDeployment": None} if member == "NextDeployment" else {}
            self._update(name, status, FailureReason=reason[:1024], **unused)

    def _replace(self, name: str, new: _Active) -> None:
        """Put new servers into service and drain the old ones."""
        with self._lock:
            member = self._member(name, new.deployment)
            old = self._active.get(name) if member else new
            if member:
                self._active[name] = new
        if member == "NextDeployment":
            keep_trying(lambda: self._set_in_service(name, new.deployment), lambda: self._stopped)
        elif member == "Deployment":
            record = self._context.store.get(KIND, name) or {}
            self._update(name, "Updating" if record.get("NextDeployment") else "InService")
        if member:
            self.asynchronous.resume(name)
        self._retire(name, old)

    def _member(self, name: str, deployment: Mapping[str, Any]) -> str | None:
        """Return the member of an endpoint's record that a deployment is, None if it is deleted."""
        record = self._context.store.get(KIND, name) or {}
        for member in ("NextDeployment", "Deployment"):
            if (record.get(member) or {}).get("Id") == deployment["Id"]:
                return member
        return None

    def _retire(self, name: str, old: _Active | None) -> None:
        """Write what was captured; stop servers in a thread when their requests are answered."""
        self._capture.flush()
        if old is None:
            return

        def drain(old: _Active) -> None:
            for thread in _in_threads(old.servers, Instance.drain):
                thread.join()
            self._context.runner.remove(self._folder(name, old.deployment))

        threading.Thread(target=drain, args=(old,), daemon=True).start()

    def _set_in_service(self, name: str, deployment: Mapping[str, Any]) -> None:
        """Record that an endpoint serves a deployment, and the deployment in the lineage."""
        store = self._context.store
        changes = {"Deployment": deployment, "NextDeployment": None, "FailureReason": None}
        with store.together():
            store.update(KIND, name, EndpointStatus="InService", **changes, **described(deployment))
            if record := store.get(KIND, name):
                lineage.record_deployment(store, record, list(deployment["Models"].values()))

    def _update(self, name: str, status: str, **changes: Any) -> None:
        update = self._context.store.update
        keep_trying(
            lambda: update(KIND, name, EndpointStatus=status, **changes), lambda: self._stopped
        )

    def _folder(self, name: str, deployment: Mapping[str, Any]) -> Any:
        return self._context.folder(KIND, name) / deployment["Id"]

    def _server(
        self, name: str, deployment: Mapping[str, Any], variant: Mapping[str, Any]
    ) -> Instance:
        context, title = self._context, variant["VariantName"]
        stem = f"{title}/i-{uuid.uuid4().hex[:17]}"
        is_async = bool(deployment["Config"].get("AsyncInferenceConfig"))

        def open_stream(container: str) -> Stream:
            path = f"{stem}/{container}".rstrip("/")
            file = context.folder(KIND, name) / f"{path.replace('/', '-')}.log"
            return context.logs.stream(f"/aws/sagemaker/Endpoints/{name}", path, file)

        def observe(container: str, seconds: float) -> None:
            self._metrics.add({"ContainerLatency": seconds * 1e6}, name, title, container)

        options = ServerOptions(
            environment=_NO_LIMIT if is_async else {},
            folder=self._folder(name, deployment) / title,
            start_seconds=variant.get("ContainerStartupHealthCheckTimeoutInSeconds", START_SECONDS),
            max_between=None if is_async else _MAX_BETWEEN,
            observe=observe,
        )
        try:
            model = deployment["Models"][variant["ModelName"]]
            return Instance(context, model, open_stream, options)
        except NotServing as error:
            raise LocalError(
                f"The {error.names} for production variant {title} did not pass the ping health"
                f" check. Please check CloudWatch logs for this endpoint. {error}"
            ) from error


def _in_threads(servers: Servers, action: Callable[[Instance], None]) -> list[threading.Thread]:
    threads = [threading.Thread(target=action, args=(s,), daemon=True) for s in servers.values()]
    for thread in threads:
        thread.start()
    return threads
