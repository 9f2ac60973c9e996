"""One invocation of a model, and the runtime's errors."""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass

from local_sagemaker.errors import ServiceError
from local_sagemaker.hosting.model_server import INVOKE_SECONDS, ModelServer, Response


@dataclass(frozen=True)
class Invocation:
    """A request for the model of an endpoint."""

    body: bytes
    headers: Mapping[str, str]
    target_variant: str | None = None
    inference_id: str | None = None
    timeout: float = INVOKE_SECONDS


def runtime_error(message: str) -> ServiceError:
    """Return a ValidationError, the name that the runtime has for a ValidationException."""
    return ServiceError("ValidationError", message)


def not_found(name: str) -> ServiceError:
    """Return the error for an endpoint that does not exist or never was in service."""
    return runtime_error(f"Endpoint {name} of account not found.")


def send(server: ModelServer, endpoint: str, request: Invocation) -> Response:
    """Return the response of a server with status 200.

    Raises: ServiceError: ModelError, with the status of the server's response.
    """
    try:
        response = server.invoke(request.body, request.headers, request.timeout)
    except TimeoutError as error:
        text = "Your invocation timed out while waiting for a response from container primary."
        raise _model_error(text, 0, text) from error
    except (OSError, http.client.HTTPException) as error:
        text = f"The container did not answer: {error}"
        raise _model_error(text, 500, text) from error
    if response.status == 200:
        return response
    text = response.body.decode(errors="replace")
    side = "client" if response.status < 500 else "server"
    message = (
        f'Received {side} error ({response.status}) from primary with message "{text}".'
        f" See /aws/sagemaker/Endpoints/{endpoint} in CloudWatch Logs."
    )
    raise _model_error(message, response.status, text, f"/aws/sagemaker/Endpoints/{endpoint}")


def _model_error(
    message: str, status: int, original: str, stream: str | None = None
) -> ServiceError:
    members = {"OriginalStatusCode": status, "OriginalMessage": original}
    if stream is not None:
        members["LogStreamArn"] = stream
    return ServiceError("ModelError", message, 424, **members)
