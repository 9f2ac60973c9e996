"""Checks members of the requests that create models and endpoints; refuses what is not offered."""

from local_sagemaker.builtin import is_ours
from local_sagemaker.context import Context
from local_sagemaker.errors import invalid
from local_sagemaker.hosting import capture
from local_sagemaker.storage import objects
from local_sagemaker.storage.records import Record

_NOT_SERVERLESS = ("AsyncInferenceConfig", "VpcConfig")


def check_model(context: Context, request: Record, container: Record) -> None:
    """Raise a ValidationException unless a model's container can be served here."""
    if "Image" not in container:
        raise invalid("A model's container must have an Image or a ModelPackageName.")
    if problem := context.runner.problem(container["Image"]):
        raise invalid(f"{problem[0].upper()}{problem[1:]}.")
    # The project's own server opens no connection, so it is isolated in any case.
    if request.get("EnableNetworkIsolation") and not is_ours(container["Image"]):
        raise invalid(f"EnableNetworkIsolation is not offered here for {container['Image']}.")


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
