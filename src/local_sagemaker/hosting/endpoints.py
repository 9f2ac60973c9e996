"""Starts, replaces and stops the servers of endpoints, and distributes requests over them."""

import http.client
import random
import threading
import traceback
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from local_sagemaker.context import Context
from local_sagemaker.errors import LocalError, ServiceError
from local_sagemaker.hosting.model_server import ModelServer, Response
from local_sagemaker.storage.records import Record, now

KIND, CONFIG, MODEL = "endpoint", "endpoint-config", "model"
Servers = dict[str, ModelServer]  # by variant


class Endpoints:
    """The servers of all endpoints."""

    def __init__(self, context: Context):
        """Start without servers."""
        self._context = context
        self._servers: dict[str, Servers] = {}
        self._lock = threading.Lock()
        self._changes: dict[str, threading.Lock] = {}  # one change of an endpoint at a time

    def servers(self, name: str) -> Servers:
        """Return the present servers of an endpoint, by variant."""
        with self._lock:
            return dict(self._servers.get(name, {}))

    def bring_up(self, name: str, config_name: str) -> None:
        """Start the servers of a configuration in a thread; then they replace the present ones."""
        threading.Thread(target=self._bring_up, args=(name, config_name), daemon=True).start()

    def take_down(self, name: str) -> None:
        """Stop an endpoint's servers in threads, after their requests in flight."""
        with self._lock:
            old = self._servers.pop(name, {})
        _in_threads(old, ModelServer.drain)

    def stop(self) -> None:
        """Stop all servers now."""
        with self._lock:
            everything, self._servers = self._servers, {}
        threads = [
            thread for old in everything.values() for thread in _in_threads(old, ModelServer.stop)
        ]
        for thread in threads:
            thread.join()

    def invoke(
        self, name: str, body: bytes, headers: Mapping[str, str], target_variant: str | None = None
    ) -> tuple[str, Response]:
        """Return the variant that answered, and its response with status 200.

        Raises: ServiceError: ValidationError if the endpoint does not exist, else ModelError.
        """
        with self._lock:
            servers = dict(self._servers.get(name, {}))
            variant = self._choose(name, servers, target_variant)
            server = servers[variant]
            server.enter()
        try:
            response = server.invoke(body, headers)
        except TimeoutError as error:
            text = "Your invocation timed out while waiting for a response from container primary."
            raise _model_error(text, 0, text) from error
        except (OSError, http.client.HTTPException) as error:
            text = f"The container did not answer: {error}"
            raise _model_error(text, 500, text) from error
        finally:
            server.leave()
        if response.status != 200:
            text = response.body.decode(errors="replace")
            side = "client" if response.status < 500 else "server"
            message = (
                f'Received {side} error ({response.status}) from primary with message "{text}".'
                f" See /aws/sagemaker/Endpoints/{name} in CloudWatch Logs."
            )
            raise _model_error(message, response.status, text, f"/aws/sagemaker/Endpoints/{name}")
        return variant, response

    def _choose(self, name: str, servers: Servers, target_variant: str | None) -> str:
        record = self._context.store.get(KIND, name)
        if record is None or not servers:
            raise ServiceError("ValidationError", f"Endpoint {name} of account not found.")
        if target_variant is not None:
            if target_variant not in servers:
                text = f"Variant {target_variant} is not in {name}, which has {', '.join(servers)}."
                raise ServiceError("ValidationError", text)
            return target_variant
        variants = record.get("ProductionVariants", ())
        by_name = {entry["VariantName"]: entry.get("CurrentWeight", 1.0) for entry in variants}
        weights = [by_name.get(variant, 1.0) for variant in servers]
        if not any(weights):
            weights = [1.0] * len(servers)
        return random.choices(list(servers), weights)[0]  # noqa: S311

    def _bring_up(self, name: str, config_name: str) -> None:
        with self._lock:
            change = self._changes.setdefault(name, threading.Lock())
        with change:
            config = self._context.store.get(CONFIG, config_name) or {}
            variants = config.get("ProductionVariants", [])
            new: Servers = {}
            try:
                for variant in variants:
                    new[variant["VariantName"]] = self._server(name, variant)
            except Exception as error:
                if not isinstance(error, LocalError):
                    traceback.print_exc()
                for server in new.values():
                    server.stop()
                # A failed update leaves the present servers in service.
                status = "InService" if self.servers(name) else "Failed"
                self._update(name, status, FailureReason=str(error)[:1024])
            else:
                self._replace(name, config_name, variants, new)

    def _replace(
        self, name: str, config_name: str, variants: list[Mapping[str, Any]], new: Servers
    ) -> None:
        """Put new servers into service and drain the old ones."""
        with self._lock:
            deleted = self._context.store.get(KIND, name) is None  # while the servers started
            old = new if deleted else self._servers.get(name, {})
            if not deleted:
                self._servers[name] = new
        if not deleted:
            self._update(
                name,
                "InService",
                EndpointConfigName=config_name,
                ProductionVariants=[_summary(v, new[v["VariantName"]]) for v in variants],
                FailureReason=None,
            )
        _in_threads(old, ModelServer.drain)

    def _update(self, name: str, status: str, **changes: Any) -> None:
        self._context.store.update(KIND, name, EndpointStatus=status, **changes)

    def _server(self, name: str, variant: Mapping[str, Any]) -> ModelServer:
        context = self._context
        model = context.store.get(MODEL, variant["ModelName"])
        if model is None:
            raise LocalError(f"The model {variant['ModelName']} was deleted.")
        instance = f"i-{uuid.uuid4().hex[:17]}"
        file = context.folder(KIND, name) / f"{variant['VariantName']}-{instance}.log"
        group, title = f"/aws/sagemaker/Endpoints/{name}", f"{variant['VariantName']}/{instance}"
        return ModelServer(context, model, context.logs.stream(group, title, file), {})


def _model_error(
    message: str, status: int, original: str, stream: str | None = None
) -> ServiceError:
    members = {"OriginalStatusCode": status, "OriginalMessage": original}
    if stream is not None:
        members["LogStreamArn"] = stream
    return ServiceError("ModelError", message, 424, **members)


def _summary(variant: Mapping[str, Any], server: ModelServer) -> Record:
    count, weight = variant.get("InitialInstanceCount", 1), variant.get("InitialVariantWeight", 1.0)
    serverless = variant.get("ServerlessConfig")
    return {
        "VariantName": variant["VariantName"],
        "DeployedImages": [{"SpecifiedImage": server.image, "ResolutionTime": now()}],
        **({"CurrentServerlessConfig": serverless} if serverless else {}),
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": count,
    }


def _in_threads(servers: Servers, action: Callable[[ModelServer], None]) -> list[threading.Thread]:
    threads = [threading.Thread(target=action, args=(s,), daemon=True) for s in servers.values()]
    for thread in threads:
        thread.start()
    return threads
