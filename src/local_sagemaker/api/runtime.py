"""The operation of the SageMaker runtime: InvokeEndpoint."""

from local_sagemaker.context import Caller, Context
from local_sagemaker.errors import invalid
from local_sagemaker.storage.records import Record

_HEADERS = {
    "Content-Type": "ContentType",
    "Accept": "Accept",
    "X-Amzn-SageMaker-Custom-Attributes": "CustomAttributes",
}
# Each selects a model or an answer that this service does not have.
_REFUSED = (
    "TargetModel",
    "TargetContainerHostname",
    "EnableExplanations",
    "InferenceComponentName",
)


def invoke_endpoint(context: Context, request: Record, _: Caller) -> Record:
    """Return the response of an endpoint's model."""
    for member in _REFUSED:
        if request.get(member):
            raise invalid(f"{member} is not offered here.")
    headers = {name: request.get(member, "") for name, member in _HEADERS.items()}
    variant, response = context.endpoints.invoke(
        request["EndpointName"], request["Body"], headers, request.get("TargetVariant")
    )
    return {
        "Body": response.body,
        "ContentType": response.content_type,
        "InvokedProductionVariant": variant,
        "CustomAttributes": response.custom_attributes,
    }
