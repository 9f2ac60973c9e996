"""The operations of the SageMaker runtime, which invoke endpoints."""

from local_sagemaker.api.event_stream import event
from local_sagemaker.context import Caller, Context
from local_sagemaker.errors import ServiceError
from local_sagemaker.hosting.invocation import Invocation, runtime_error
from local_sagemaker.hosting.model_server import Response
from local_sagemaker.storage.records import Record

_HEADERS = {
    "Content-Type": "ContentType",
    "Accept": "Accept",
    "X-Amzn-SageMaker-Custom-Attributes": "CustomAttributes",
}
_MAX_BYTES = 6291456  # of a synchronous request, as on SageMaker
_PART_BYTES = 1 << 16


def invoke_endpoint(context: Context, request: Record, _: Caller) -> Record:
    """Return the response of an endpoint's model."""
    variant, response = _invoke(context, request)
    return {
        "Body": response.body,
        "ContentType": response.content_type,
        "InvokedProductionVariant": variant,
        "CustomAttributes": response.custom_attributes,
    }


def invoke_endpoint_with_response_stream(context: Context, request: Record, _: Caller) -> Record:
    """Return the response of an endpoint's model as a stream of PayloadParts."""
    variant, response = _invoke(context, request)
    body = response.body
    parts = [body[i : i + _PART_BYTES] for i in range(0, len(body), _PART_BYTES)]
    return {
        "Body": b"".join(event("PayloadPart", part) for part in parts),
        "ContentType": response.content_type,
        "InvokedProductionVariant": variant,
        "CustomAttributes": response.custom_attributes,
    }


def invoke_endpoint_async(context: Context, request: Record, _: Caller) -> Record:
    """Queue a request for an endpoint's model, whose input and output are in S3."""
    if not request.get("InputLocation"):
        raise runtime_error("InputLocation must be the S3 URI of the request's payload.")
    request.pop("Body", None)  # empty: a body is refused
    return context.endpoints.asynchronous.submit(request["EndpointName"], request)


def _invoke(context: Context, request: Record) -> tuple[str, Response]:
    name, body = request["EndpointName"], request["Body"]
    if len(body) > _MAX_BYTES:
        raise ServiceError("413", f"HTTP content length exceeded {_MAX_BYTES} bytes.", 413)
    if context.endpoints.config(name).get("AsyncInferenceConfig"):
        raise runtime_error(
            f"Endpoint {name} is an asynchronous endpoint; call InvokeEndpointAsync instead."
        )
    headers = {name: request.get(member, "") for name, member in _HEADERS.items()}
    targets = request.get("TargetVariant"), request.get("TargetContainerHostname")
    invocation = Invocation(body, headers, *targets, request.get("InferenceId"))
    return context.endpoints.invoke(name, invocation)
