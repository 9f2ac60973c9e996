"""One invocation of a model, and the runtime's errors."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_sagemaker.errors import ServiceError
from local_sagemaker.hosting.instance import Instance, NoResponse
from local_sagemaker.hosting.model_server import INVOKE_SECONDS, Response


@dataclass(frozen=True)
class Invocation:
    """A request for the model of an endpoint."""

    body: bytes
    headers: Mapping[str, str]
    target_variant: str | None = None
    target_container: str | None = None
    inference_id: str | None = None
    timeout: float = INVOKE_SECONDS


def runtime_error(message: str) -> ServiceError:
    """Return a ValidationError, the name that the runtime has for a ValidationException."""
    return ServiceError("ValidationError", message)


def not_found(name: str) -> ServiceError:
    """Return the error for an endpoint that does not exist or never was in service."""
    return runtime_error(f"Endpoint {name} of account not found.")


def choose_variant(
    name: str,
    servers: Mapping[str, Instance],
    variants: Mapping[str, Mapping[str, Any]],
    target_variant: str | None,
) -> str:
    """Return the variant that answers a request: the target, or one by weight.

    Raises: ServiceError: ValidationError if the endpoint does not have the target.
    """
    if target_variant is not None:
        if target_variant not in servers:
            raise runtime_error(
                f"Variant {target_variant} is not in {name}, which has {', '.join(servers)}."
            )
        return target_variant
    weights = [variants.get(variant, {}).get("CurrentWeight", 1.0) for variant in servers]
    if not any(weights):
        weights = [1.0] * len(servers)
    return random.choices(list(servers), weights)[0]  # noqa: S311


def check_target(server: Instance, endpoint: str, target: str | None) -> None:
    """Raise a ValidationError unless a request names a container where it must, and only there."""
    member, names = "TargetContainerHostname", ", ".join(server.names)
    if server.is_direct and target not in server.names:
        got = f"got {target}" if target else "it is missing"
        raise runtime_error(
            f"{member} must be a container of endpoint {endpoint}, which has {names}; {got}."
        )
    if target and not server.is_direct:
        raise runtime_error(
            f"{member} {target} does not apply to endpoint {endpoint}: its model does not have the"
            " InferenceExecutionConfig Mode Direct."
        )


def send(server: Instance, endpoint: str, request: Invocation) -> Response:
    """Return the response of an instance with status 200.

    Raises: ServiceError: ModelError, with the status of the container's response.
    """
    try:
        response = server.invoke(
            request.body, request.headers, request.timeout, request.target_container
        )
    except NoResponse as error:
        raise _model_error(str(error), error.status, str(error)) from error
    if response.status == 200:
        return response
    text = response.body.decode(errors="replace")
    side = "client" if response.status < 500 else "server"
    message = (
        f"Received {side} error ({response.status}) from {response.container} with message"
        f' "{text}". See /aws/sagemaker/Endpoints/{endpoint} in CloudWatch Logs.'
    )
    raise _model_error(message, response.status, text, f"/aws/sagemaker/Endpoints/{endpoint}")


def _model_error(
    message: str, status: int, original: str, stream: str | None = None
) -> ServiceError:
    members = {"OriginalStatusCode": status, "OriginalMessage": original}
    if stream is not None:
        members["LogStreamArn"] = stream
    return ServiceError("ModelError", message, 424, **members)
