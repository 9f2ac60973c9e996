"""SageMaker's operations on models, endpoint configurations and endpoints."""

from local_sagemaker.api.long_poll import first_describe, forget
from local_sagemaker.api.pagination import listing
from local_sagemaker.builtin import is_ours
from local_sagemaker.context import Caller, Context, arn
from local_sagemaker.errors import invalid
from local_sagemaker.hosting.endpoints import CONFIG, KIND, MODEL
from local_sagemaker.storage.records import Record, now

# Each describes requests or answers that this service does not have.
_REFUSED = ("AsyncInferenceConfig", "ShadowProductionVariants", "ExplainerConfig")


def create_model(context: Context, request: Record, caller: Caller) -> Record:
    """Create a model; its image must be one that can run here."""
    containers = request.get("Containers") or [request.get("PrimaryContainer")]
    if len(containers) != 1 or not containers[0] or "Image" not in containers[0]:
        raise invalid("A model must have exactly one container, with an Image.")
    if containers[0].get("Mode") == "MultiModel":
        raise invalid("Mode must be SingleModel; MultiModel is not offered here.")
    if problem := context.runner.problem(containers[0]["Image"]):
        raise invalid(f"{problem[0].upper()}{problem[1:]}.")
    if request.get("EnableNetworkIsolation") and not is_ours(containers[0]["Image"]):
        raise invalid("EnableNetworkIsolation must be false: a server's port needs a network.")
    return _create(context, "Model", MODEL, request, caller)


def describe_model(context: Context, request: Record, caller: Caller) -> Record:
    """Return a model."""
    return _record(context, MODEL, request["ModelName"], caller)


def list_models(context: Context, request: Record, _: Caller) -> Record:
    """Return the models."""
    return listing("ListModels", context.store.all(MODEL), request, "ModelName")


def delete_model(context: Context, request: Record, caller: Caller) -> Record:
    """Delete a model; endpoints that serve it continue."""
    describe_model(context, request, caller)
    context.store.remove(MODEL, request["ModelName"])
    return {}


def create_endpoint_config(context: Context, request: Record, caller: Caller) -> Record:
    """Create an endpoint configuration; its models must exist."""
    variants = request["ProductionVariants"]
    if len({variant["VariantName"] for variant in variants}) != len(variants):
        raise invalid("Variant names must be unique within an endpoint configuration.")
    for member in _REFUSED:
        if request.get(member):
            raise invalid(f"{member} is not offered here.")
    if (request.get("DataCaptureConfig") or {}).get("EnableCapture"):
        raise invalid("DataCaptureConfig: EnableCapture must be false here.")
    for variant in variants:
        _check_capacity(variant)
        _record(context, MODEL, variant.get("ModelName", ""), caller)
    return _create(context, "EndpointConfig", CONFIG, request, caller)


def describe_endpoint_config(context: Context, request: Record, caller: Caller) -> Record:
    """Return an endpoint configuration."""
    return _record(context, CONFIG, request["EndpointConfigName"], caller)


def list_endpoint_configs(context: Context, request: Record, _: Caller) -> Record:
    """Return the endpoint configurations."""
    records = context.store.all(CONFIG)
    return listing("ListEndpointConfigs", records, request, "EndpointConfigName")


def delete_endpoint_config(context: Context, request: Record, caller: Caller) -> Record:
    """Delete an endpoint configuration; endpoints that use it continue."""
    describe_endpoint_config(context, request, caller)
    context.store.remove(CONFIG, request["EndpointConfigName"])
    return {}


def create_endpoint(context: Context, request: Record, caller: Caller) -> Record:
    """Create an endpoint and start its servers in the background."""
    config = request["EndpointConfigName"]
    _record(context, CONFIG, config, caller)
    record = {**request, "EndpointStatus": "Creating"}
    response = _create(context, "Endpoint", KIND, record, caller)
    forget(context, KIND, request["EndpointName"])
    context.endpoints.bring_up(request["EndpointName"], config)
    return response


def update_endpoint(context: Context, request: Record, caller: Caller) -> Record:
    """Start another configuration's servers and replace the present ones when they answer."""
    name, config = request["EndpointName"], request["EndpointConfigName"]
    record = _record(context, KIND, name, caller)
    _record(context, CONFIG, config, caller)
    if record["EndpointStatus"] not in ("InService", "Failed"):
        raise invalid(f'Cannot update in-progress endpoint "{record["EndpointArn"]}".')
    context.store.update(KIND, name, EndpointStatus="Updating", FailureReason=None)
    forget(context, KIND, name)
    context.endpoints.bring_up(name, config)
    return {"EndpointArn": record["EndpointArn"]}


def update_endpoint_weights_and_capacities(
    context: Context, request: Record, caller: Caller
) -> Record:
    """Change the weights by which requests are distributed over the variants, at once."""
    name = request["EndpointName"]
    record = _record(context, KIND, name, caller)
    variants = {v["VariantName"]: dict(v) for v in record.get("ProductionVariants", ())}
    for change in request["DesiredWeightsAndCapacities"]:
        variant = variants.get(change["VariantName"])
        if variant is None:
            raise invalid(f"Could not find variant {change['VariantName']} in {name}.")
        for member, title in (
            ("DesiredWeight", "Weight"),
            ("DesiredInstanceCount", "InstanceCount"),
        ):
            if member in change:
                variant[f"Current{title}"] = variant[f"Desired{title}"] = change[member]
    context.store.update(KIND, name, ProductionVariants=list(variants.values()))
    return {"EndpointArn": record["EndpointArn"]}


def describe_endpoint(context: Context, request: Record, caller: Caller) -> Record:
    """Return an endpoint. The first call waits until it is in service: see `first_describe`."""
    name = request["EndpointName"]
    _record(context, KIND, name, caller)
    first_describe(context, KIND, name, caller, _is_settled)
    return _record(context, KIND, name, caller)


def list_endpoints(context: Context, request: Record, _: Caller) -> Record:
    """Return the endpoints."""
    records = context.store.all(KIND)
    return listing("ListEndpoints", records, request, "EndpointName", "EndpointStatus")


def delete_endpoint(context: Context, request: Record, caller: Caller) -> Record:
    """Delete an endpoint; its servers stop when the requests in flight are answered."""
    _record(context, KIND, request["EndpointName"], caller)
    context.store.remove(KIND, request["EndpointName"])
    context.endpoints.take_down(request["EndpointName"])
    return {}


def _create(context: Context, title: str, kind: str, request: Record, caller: Caller) -> Record:
    name = request[f"{title}Name"]
    resource = arn(kind, name, caller.region)
    record = {**request, f"{title}Arn": resource, "CreationTime": now()}
    if not context.store.add(kind, name, record):
        raise invalid(f'Cannot create already existing {_words(kind)} "{resource}".')
    return {f"{title}Arn": resource}


def _check_capacity(variant: Record) -> None:
    """Refuse a variant that has both instances and a ServerlessConfig, or neither."""
    name, serverless = variant["VariantName"], variant.get("ServerlessConfig")
    has_instances = "InstanceType" in variant or "InitialInstanceCount" in variant
    if has_instances == (serverless is not None):
        raise invalid(
            f"Variant {name} must have either InstanceType and InitialInstanceCount, or a"
            " ServerlessConfig."
        )
    if serverless is not None and serverless["MemorySizeInMB"] % 1024:
        raise invalid(
            f"Variant {name}: MemorySizeInMB must be 1024, 2048, 3072, 4096, 5120 or 6144;"
            f" got {serverless['MemorySizeInMB']}."
        )
    if has_instances and not ("InstanceType" in variant and "InitialInstanceCount" in variant):
        raise invalid(f"Variant {name} must have both InstanceType and InitialInstanceCount.")


def _record(context: Context, kind: str, name: str, caller: Caller) -> Record:
    record = context.store.get(kind, name)
    if record is None:
        raise invalid(f'Could not find {_words(kind)} "{arn(kind, name, caller.region)}".')
    return record


def _words(kind: str) -> str:
    return "endpoint configuration" if kind == CONFIG else kind


def _is_settled(record: Record | None) -> bool:
    return record is None or record["EndpointStatus"] not in ("Creating", "Updating")
