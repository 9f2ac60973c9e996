"""Endpoints: created, updated without losing a request, deleted, and asked."""

import http.client
import random
import threading
import traceback
import uuid
from collections.abc import Mapping
from typing import Any

from local_sagemaker.api.errors import ServiceError
from local_sagemaker.context import Context
from local_sagemaker.errors import LocalError
from local_sagemaker.hosting.model_server import Answer, ModelServer
from local_sagemaker.storage.records import Record

KIND, CONFIG, MODEL = "endpoint", "endpoint-config", "model"
Servers = dict[str, ModelServer]  # by variant


class Endpoints:
    """The servers behind each endpoint."""

    def __init__(self, context: Context):
        """Begin with none."""
        self._context = context
        self._servers: dict[str, Servers] = {}
        self._lock = threading.Lock()
        self._busy: dict[str, threading.Lock] = {}

    def servers(self, name: str) -> Servers:
        """Return the servers of an endpoint that answer now, by variant."""
        with self._lock:
            return dict(self._servers.get(name, {}))

    def bring_up(self, name: str, config_name: str) -> None:
        """In a thread: start what a configuration says, then let it take over."""
        threading.Thread(target=self._bring_up, args=(name, config_name), daemon=True).start()

    def take_down(self, name: str) -> None:
        """In a thread: end an endpoint's servers, the requests in flight first."""
        with self._lock:
            old = self._servers.pop(name, {})
        _in_threads(old, ModelServer.drain)

    def stop(self) -> None:
        """End all of them now."""
        with self._lock:
            everything, self._servers = self._servers, {}
        threads = [
            thread for old in everything.values() for thread in _in_threads(old, ModelServer.stop)
        ]
        for thread in threads:
            thread.join()

    def invoke(self, name: str, body: bytes, headers: Mapping[str, str]) -> tuple[str, Answer]:
        """Return the variant that was asked and its answer, if its status is 200.

        Raises: ServiceError: ValidationError if there is no such endpoint, ModelError otherwise.
        """
        with self._lock:
            servers = dict(self._servers.get(name, {}))
            variant = self._choose(name, servers, headers.get("X-Amzn-SageMaker-Target-Variant"))
            server = servers[variant]
            server.enter()
        try:
            answer = server.invoke(body, headers)
        except (OSError, http.client.HTTPException) as error:
            late = isinstance(error, TimeoutError)
            text = (
                "Your invocation timed out while waiting for a response from container primary."
                if late
                else f"The container did not answer: {error}"
            )
            raise ServiceError("ModelError", text, 424, OriginalStatusCode=0 if late else 500,
                               OriginalMessage=text) from error  # fmt: skip
        finally:
            server.leave()
        if answer.status != 200:
            text = answer.body.decode(errors="replace")
            side = "client" if answer.status < 500 else "server"
            raise ServiceError(
                "ModelError",
                f'Received {side} error ({answer.status}) from primary with message "{text}".'
                f" See /aws/sagemaker/Endpoints/{name} in CloudWatch Logs.",
                424,
                OriginalStatusCode=answer.status,
                OriginalMessage=text,
                LogStreamArn=f"/aws/sagemaker/Endpoints/{name}",
            )
        return variant, answer

    def _choose(self, name: str, servers: Servers, wanted: str | None) -> str:
        record = self._context.store.get(KIND, name)
        if record is None or not servers:
            raise ServiceError("ValidationError", f"Endpoint {name} of account not found.")
        if wanted is not None:
            if wanted not in servers:
                known = ", ".join(servers)
                raise ServiceError(
                    "ValidationError", f"Variant {wanted} is not in {name}; there is {known}."
                )
            return wanted
        weights = {
            one["VariantName"]: one.get("CurrentWeight", 1.0)
            for one in record.get("ProductionVariants", ())
        }
        chances = [weights.get(variant, 1.0) for variant in servers]
        if not any(chances):
            chances = [1.0] * len(servers)
        return random.choices(list(servers), chances)[0]  # noqa: S311

    def _bring_up(self, name: str, config_name: str) -> None:
        with self._lock:
            busy = self._busy.setdefault(name, threading.Lock())
        with busy:  # one change of an endpoint at a time
            self._take_over(name, config_name)

    def _take_over(self, name: str, config_name: str) -> None:
        store, new = self._context.store, {}
        try:
            config = store.get(CONFIG, config_name) or {}
            variants = config.get("ProductionVariants", [])
            for one in variants:
                new[one["VariantName"]] = self._server(name, one)
        except Exception as error:
            if not isinstance(error, LocalError):
                traceback.print_exc()
            for server in new.values():
                server.stop()
            reason = str(error)[:1024]
            still = bool(self.servers(name))  # a failed update leaves the old one as it was
            status = "InService" if still else "Failed"
            store.update(KIND, name, EndpointStatus=status, FailureReason=reason)
            return
        with self._lock:
            gone = store.get(KIND, name) is None  # deleted in the meantime
            old = new if gone else self._servers.get(name, {})
            if not gone:
                self._servers[name] = new
        if not gone:
            store.update(
                KIND,
                name,
                EndpointStatus="InService",
                EndpointConfigName=config_name,
                ProductionVariants=[_summary(one) for one in variants],
                FailureReason=None,
            )
        _in_threads(old, ModelServer.drain)

    def _server(self, name: str, variant: Mapping[str, Any]) -> ModelServer:
        context = self._context
        model = context.store.get(MODEL, variant["ModelName"])
        if model is None:
            raise LocalError(f"The model {variant['ModelName']} is gone.")
        instance = f"i-{uuid.uuid4().hex[:17]}"
        file = context.folder(KIND, name) / f"{variant['VariantName']}-{instance}.log"
        group, title = f"/aws/sagemaker/Endpoints/{name}", f"{variant['VariantName']}/{instance}"
        return ModelServer(context, model, context.logs.stream(group, title, file), {})


def _summary(variant: Mapping[str, Any]) -> Record:
    count, weight = variant.get("InitialInstanceCount", 1), variant.get("InitialVariantWeight", 1.0)
    return {
        "VariantName": variant["VariantName"],
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": count,
    }


def _in_threads(servers: Servers, action: Any) -> list[threading.Thread]:
    threads = [
        threading.Thread(target=action, args=(one,), daemon=True) for one in servers.values()
    ]
    for thread in threads:
        thread.start()
    return threads
