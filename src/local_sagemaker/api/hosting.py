"""SageMaker's operations on models, endpoint configurations and endpoints."""

from local_sagemaker.api.errors import invalid
from local_sagemaker.api.pagination import listing
from local_sagemaker.context import Caller, Context, arn
from local_sagemaker.hosting.endpoints import CONFIG, KIND, MODEL, Endpoints
from local_sagemaker.storage.records import Record, now

_HOLD = 25.0  # seconds; botocore waits for 60


class HostingApi:
    """Models, endpoint configurations and endpoints."""

    def __init__(self, context: Context, endpoints: Endpoints):
        """Work on the context's records."""
        self._context, self._store, self._endpoints = context, context.store, endpoints
        self._held: set[str] = set()

    def create_model(self, request: Record, caller: Caller) -> Record:
        """Keep a model, whose image must be one that can run here."""
        containers = request.get("Containers") or [request.get("PrimaryContainer")]
        if len(containers) != 1 or not containers[0] or "Image" not in containers[0]:
            raise invalid("A model here has one container, with an Image.")
        if problem := self._context.runner.problem(containers[0]["Image"]):
            raise invalid(f"{problem[0].upper()}{problem[1:]}.")
        return self._create("Model", MODEL, request, caller)

    def describe_model(self, request: Record, caller: Caller) -> Record:
        """Return a model."""
        return self._known("Model", MODEL, request["ModelName"], caller)

    def list_models(self, request: Record, _: Caller) -> Record:
        """Return the models."""
        return listing("ListModels", self._store.all(MODEL), request, "ModelName")

    def delete_model(self, request: Record, caller: Caller) -> Record:
        """Forget a model; an endpoint that has it goes on."""
        self.describe_model(request, caller)
        self._store.remove(MODEL, request["ModelName"])
        return {}

    def create_endpoint_config(self, request: Record, caller: Caller) -> Record:
        """Keep an endpoint configuration; its models must be there."""
        names = [one["VariantName"] for one in request["ProductionVariants"]]
        if len(set(names)) != len(names):
            raise invalid("Variant names must be unique within an endpoint configuration.")
        for one in request["ProductionVariants"]:
            self._known("Model", MODEL, one.get("ModelName", ""), caller)
        return self._create("EndpointConfig", CONFIG, request, caller)

    def describe_endpoint_config(self, request: Record, caller: Caller) -> Record:
        """Return an endpoint configuration."""
        name = request["EndpointConfigName"]
        return self._known("EndpointConfig", CONFIG, name, caller)

    def list_endpoint_configs(self, request: Record, _: Caller) -> Record:
        """Return the endpoint configurations."""
        records = self._store.all(CONFIG)
        return listing("ListEndpointConfigs", records, request, "EndpointConfigName")

    def delete_endpoint_config(self, request: Record, caller: Caller) -> Record:
        """Forget an endpoint configuration; endpoints that have it go on."""
        self.describe_endpoint_config(request, caller)
        self._store.remove(CONFIG, request["EndpointConfigName"])
        return {}

    def create_endpoint(self, request: Record, caller: Caller) -> Record:
        """Start an endpoint."""
        config = request["EndpointConfigName"]
        self._known("EndpointConfig", CONFIG, config, caller)
        answer = self._create("Endpoint", KIND, {**request, "EndpointStatus": "Creating"}, caller)
        self._held.discard(request["EndpointName"])
        self._endpoints.bring_up(request["EndpointName"], config)
        return answer

    def update_endpoint(self, request: Record, caller: Caller) -> Record:
        """Start what another configuration says beside what is there, and let it take over."""
        name, config = request["EndpointName"], request["EndpointConfigName"]
        record = self._known("Endpoint", KIND, name, caller)
        self._known("EndpointConfig", CONFIG, config, caller)
        if record["EndpointStatus"] not in ("InService", "Failed"):
            raise invalid(f'Cannot update in-progress endpoint "{record["EndpointArn"]}".')
        self._store.update(KIND, name, EndpointStatus="Updating", FailureReason=None)
        self._held.discard(name)
        self._endpoints.bring_up(name, config)
        return {"EndpointArn": record["EndpointArn"]}

    def update_endpoint_weights_and_capacities(self, request: Record, caller: Caller) -> Record:
        """Share requests among the variants in another way, at once."""
        name = request["EndpointName"]
        record = self._known("Endpoint", KIND, name, caller)
        variants = {one["VariantName"]: dict(one) for one in record.get("ProductionVariants", ())}
        for wanted in request["DesiredWeightsAndCapacities"]:
            one = variants.get(wanted["VariantName"])
            if one is None:
                raise invalid(f"Could not find variant {wanted['VariantName']} in {name}.")
            if "DesiredWeight" in wanted:
                one["CurrentWeight"] = one["DesiredWeight"] = wanted["DesiredWeight"]
            if "DesiredInstanceCount" in wanted:
                count = wanted["DesiredInstanceCount"]
                one["CurrentInstanceCount"] = one["DesiredInstanceCount"] = count
        self._store.update(KIND, name, ProductionVariants=list(variants.values()))
        return {"EndpointArn": record["EndpointArn"]}

    def describe_endpoint(self, request: Record, caller: Caller) -> Record:
        """Return an endpoint; the first look, once it is up, since the next is 30 s later."""
        name = request["EndpointName"]
        self._known("Endpoint", KIND, name, caller)
        if caller.waits and name not in self._held:
            self._held.add(name)
            self._store.wait(KIND, name, _is_settled, _HOLD)
        return self._known("Endpoint", KIND, name, caller)

    def list_endpoints(self, request: Record, _: Caller) -> Record:
        """Return the endpoints."""
        records = self._store.all(KIND)
        return listing("ListEndpoints", records, request, "EndpointName", "EndpointStatus")

    def delete_endpoint(self, request: Record, caller: Caller) -> Record:
        """End an endpoint; its requests in flight are answered."""
        self._known("Endpoint", KIND, request["EndpointName"], caller)
        self._store.remove(KIND, request["EndpointName"])
        self._endpoints.take_down(request["EndpointName"])
        return {}

    def _create(self, title: str, kind: str, request: Record, caller: Caller) -> Record:
        name = request[f"{title}Name"]
        made = arn(kind, name, caller.region)
        record = {**request, f"{title}Arn": made, "CreationTime": now()}
        if not self._store.add(kind, name, record):
            raise invalid(f'Cannot create already existing {_words(kind)} "{made}".')
        return {f"{title}Arn": made}

    def _known(self, title: str, kind: str, name: str, caller: Caller) -> Record:
        record = self._store.get(kind, name)
        if record is None:
            raise invalid(f'Could not find {_words(kind)} "{arn(kind, name, caller.region)}".')
        return record


def _words(kind: str) -> str:
    return "endpoint configuration" if kind == CONFIG else kind


def _is_settled(record: Record | None) -> bool:
    return record is None or record["EndpointStatus"] not in ("Creating", "Updating")
