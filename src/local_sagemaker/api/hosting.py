"""SageMaker's operations on models, endpoint configurations and endpoints."""

from local_sagemaker.api import model_registry
from local_sagemaker.api.endpoint_members import check_config, check_model, check_variant_model
from local_sagemaker.api.long_poll import first_describe, forget
from local_sagemaker.api.pagination import listing
from local_sagemaker.context import Caller, Context, arn
from local_sagemaker.errors import invalid
from local_sagemaker.hosting.deployment import CONFIG, KIND, MODEL, new, retain
from local_sagemaker.storage.records import Record, now


def create_model(context: Context, request: Record, caller: Caller) -> Record:
    """Create a model; its images must be such that can run here."""
    primary, several = request.pop("PrimaryContainer", None), request.pop("Containers", None)
    if bool(primary) == bool(several):
        raise invalid("A model must have either a PrimaryContainer or Containers.")
    containers = model_registry.model_containers(context, several or [primary], caller)
    check_model(context, request, containers)
    if several or len(containers) > 1:
        request["Containers"] = containers
    else:
        request["PrimaryContainer"] = containers[0]
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
    check_config(context, request)
    for variant in request["ProductionVariants"]:
        model = _record(context, MODEL, variant["ModelName"], caller)
        check_variant_model(request, variant, model)
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
    deployment = new(context.store, request["EndpointConfigName"])
    record = {**request, "EndpointStatus": "Creating", "NextDeployment": deployment}
    record["LastDeploymentConfig"] = record.pop("DeploymentConfig", None)
    response = _create(context, "Endpoint", KIND, record, caller)
    forget(context, KIND, request["EndpointName"])
    context.endpoints.bring_up(request["EndpointName"], deployment)
    return response


def update_endpoint(context: Context, request: Record, caller: Caller) -> Record:
    """Start another configuration's servers and replace the present ones when they answer."""
    name = request["EndpointName"]
    record = _settled(context, name, caller)
    deployment = new(context.store, request["EndpointConfigName"])
    retain(deployment, record, request)
    changes: Record = {"NextDeployment": deployment}
    if not request.get("RetainDeploymentConfig"):
        changes["LastDeploymentConfig"] = request.get("DeploymentConfig")
    context.store.update(KIND, name, EndpointStatus="Updating", FailureReason=None, **changes)
    forget(context, KIND, name)
    context.endpoints.bring_up(name, deployment)
    return {"EndpointArn": record["EndpointArn"]}


def update_endpoint_weights_and_capacities(
    context: Context, request: Record, caller: Caller
) -> Record:
    """Change the weights by which requests are distributed over the variants, at once."""
    name = request["EndpointName"]
    record = _settled(context, name, caller)
    variants = {v["VariantName"]: dict(v) for v in record.get("ProductionVariants", ())}
    for change in request["DesiredWeightsAndCapacities"]:
        variant = variants.get(change["VariantName"])
        if variant is None:
            raise invalid(f"Could not find variant {change['VariantName']} in {name}.")
        _change_serverless(variant, change)
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
    record = _record(context, KIND, name, caller)
    for variant, server in context.endpoints.servers(name).items():
        if not server.healthy:  # its container exited and is being restarted
            record["ProductionVariants"] = [
                {**entry, "CurrentInstanceCount": 0} if entry["VariantName"] == variant else entry
                for entry in record.get("ProductionVariants") or ()
            ]
    return record


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


def list_monitoring_schedules(_context: Context, _request: Record, _: Caller) -> Record:
    """Return an empty list: no operation here creates a schedule. SDKs ask before they delete."""
    return {"MonitoringScheduleSummaries": []}


def _create(context: Context, title: str, kind: str, request: Record, caller: Caller) -> Record:
    name = request[f"{title}Name"]
    resource = arn(kind, name, caller.region)
    record = {**request, f"{title}Arn": resource, "CreationTime": now()}
    if not context.store.add(kind, name, record):
        raise invalid(f'Cannot create already existing {_words(kind)} "{resource}".')
    return {f"{title}Arn": resource}


def _change_serverless(variant: Record, change: Record) -> None:
    """Apply a ServerlessUpdateConfig; refuse capacity of the other kind."""
    serverless, update = (
        variant.get("CurrentServerlessConfig"),
        change.get("ServerlessUpdateConfig"),
    )
    name = variant["VariantName"]
    if update and serverless is None:
        raise invalid(f"Variant {name} has instances; ServerlessUpdateConfig does not apply.")
    if serverless is not None and "DesiredInstanceCount" in change:
        raise invalid(f"Variant {name} is serverless; DesiredInstanceCount does not apply.")
    if change.get("DesiredInstanceCount") == 0:
        raise invalid(f"Variant {name}: DesiredInstanceCount must be at least 1 here; got 0.")
    if update:
        variant["CurrentServerlessConfig"] = {**(serverless or {}), **update}


def _settled(context: Context, name: str, caller: Caller) -> Record:
    record = _record(context, KIND, name, caller)
    if record["EndpointStatus"] not in ("InService", "Failed"):
        raise invalid(f'Cannot update in-progress endpoint "{record["EndpointArn"]}".')
    return record


def _record(context: Context, kind: str, name: str, caller: Caller) -> Record:
    record = context.store.get(kind, name)
    if record is None:
        raise invalid(f'Could not find {_words(kind)} "{arn(kind, name, caller.region)}".')
    return record


def _words(kind: str) -> str:
    return "endpoint configuration" if kind == CONFIG else kind


def _is_settled(record: Record | None) -> bool:
    return record is None or record["EndpointStatus"] not in ("Creating", "Updating")
