"""Checks members of the requests that create models and endpoints; refuses what is not offered."""

from collections.abc import Sequence

from local_sagemaker.backends.base import BIND_TO_PORT
from local_sagemaker.builtin import is_ours
from local_sagemaker.context import Context
from local_sagemaker.errors import invalid
from local_sagemaker.hosting import capture
from local_sagemaker.hosting.containers import containers, is_direct
from local_sagemaker.storage import objects
from local_sagemaker.storage.records import Record

_NOT_SERVERLESS = ("AsyncInferenceConfig", "VpcConfig")


def check_model(context: Context, request: Record, definitions: Sequence[Record]) -> None:
    """Raise a ValidationException unless a model's containers can be served here."""
    for definition in definitions:
        image = definition.get("Image")
        if image is None:
            raise invalid("A model's container must have an Image or a ModelPackageName.")
        if problem := context.runner.problem(image):
            raise invalid(f"{problem[0].upper()}{problem[1:]}.")
        # The project's own server opens no connection, so it is isolated in any case.
        if request.get("EnableNetworkIsolation") and not is_ours(image):
            raise invalid(f"EnableNetworkIsolation is not offered here for {image}.")
        if len(definitions) > 1 and not context.runner.binds_to_port(image):
            raise invalid(
                f"Your Ecr Image {image} does not contain required {BIND_TO_PORT}=true Docker"
                " label(s)."
            )
    names = [name for entry in definitions if (name := entry.get("ContainerHostname"))]
    mode = (request.get("InferenceExecutionConfig") or {}).get("Mode")
    if mode == "Direct" and (len(definitions) == 1 or not names):
        raise invalid("Mode Direct needs 2 to 15 Containers, each with a ContainerHostname.")
    if len(definitions) > 1 and names and len(set(names)) != len(definitions):
        raise invalid(
            "Either all or none of a model's Containers must have a ContainerHostname, and each"
            f" must be unique; got {', '.join(names)}."
        )


def check_variant_model(request: Record, variant: Record, model: Record) -> None:
    """Raise a ValidationException unless a configuration can have a model with its containers."""
    name = variant["ModelName"]
    if len(containers(model)) > 1 and "ServerlessConfig" in variant:
        raise invalid(f"A ServerlessConfig is not supported with the containers of model {name}.")
    if is_direct(model) and request.get("AsyncInferenceConfig"):
        raise invalid(
            f"AsyncInferenceConfig is not supported with model {name}, whose Mode is Direct: an"
            " asynchronous request cannot name a container."
        )


def check_config(context: Context, request: Record) -> None:
    """Raise a ValidationException unless endpoints can have a configuration here."""
    variants = request["ProductionVariants"]
    if len({variant["VariantName"] for variant in variants}) != len(variants):
        raise invalid("Variant names must be unique within an endpoint configuration.")
    for variant in variants:
        _check_capacity(variant)
    captured = request.get("DataCaptureConfig")
    if any("ServerlessConfig" in variant for variant in variants):
        for member in _NOT_SERVERLESS:
            if request.get(member):
                raise invalid(f"{member} is not offered with a ServerlessConfig.")
        if captured and capture.is_enabled(captured):
            raise invalid("DataCaptureConfig is not supported with a ServerlessConfig.")
        if len(variants) > 1:
            raise invalid("An endpoint with a ServerlessConfig has one production variant.")
    if captured and capture.is_enabled(captured):
        objects.check_bucket(
            context.s3, captured["DestinationS3Uri"], "DataCaptureConfig.DestinationS3Uri"
        )
    if asynchronous := request.get("AsyncInferenceConfig"):
        output = asynchronous["OutputConfig"]
        if not output.get("S3OutputPath"):
            raise invalid("AsyncInferenceConfig.OutputConfig must have an S3OutputPath here.")
        if len(variants) > 1:
            raise invalid("An endpoint with an AsyncInferenceConfig has one production variant.")
        for member in ("S3OutputPath", "S3FailurePath"):
            if uri := output.get(member):
                objects.check_bucket(context.s3, uri, f"AsyncInferenceConfig.OutputConfig.{member}")


def _check_capacity(variant: Record) -> None:
    """Refuse a variant that has both instances and a ServerlessConfig, or neither."""
    name, serverless = variant["VariantName"], variant.get("ServerlessConfig")
    if not variant.get("ModelName"):
        raise invalid(f"Variant {name} must have a ModelName: inference components are not here.")
    has_instances = "InstanceType" in variant or "InitialInstanceCount" in variant
    if has_instances == (serverless is not None):
        raise invalid(
            f"Variant {name} must have either InstanceType and InitialInstanceCount, or a"
            " ServerlessConfig."
        )
    if has_instances and not ("InstanceType" in variant and "InitialInstanceCount" in variant):
        raise invalid(f"Variant {name} must have both InstanceType and InitialInstanceCount.")
    if serverless is None:
        return
    if serverless["MemorySizeInMB"] % 1024:
        raise invalid(
            f"Variant {name}: MemorySizeInMB must be 1024, 2048, 3072, 4096, 5120 or 6144;"
            f" got {serverless['MemorySizeInMB']}."
        )
    provisioned = serverless.get("ProvisionedConcurrency") or 0
    if provisioned > serverless["MaxConcurrency"]:
        raise invalid(
            f"Variant {name}: ProvisionedConcurrency must be at most MaxConcurrency"
            f" {serverless['MaxConcurrency']}; got {provisioned}."
        )
