"""Hooks in moto's other services where they name SageMaker: scaling, events and tags.

moto keeps their records, and nothing acts on them; what would never happen is refused.
"""

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from moto.core.resource_tagging import TaggedResource

from local_sagemaker.account import ACCOUNT
from local_sagemaker.api import tags
from local_sagemaker.errors import invalid
from local_sagemaker.storage.records import Record, Store

Call = Callable[[str, Record, str], Record]  # operation, request and region to the response
Arguments = Mapping[str, Any]
_VARIANT = re.compile(r"endpoint/([^/]+)/variant/([^/]+)")
_NOT_SCALED = (
    "Nothing scales a SageMaker endpoint here: a variant has one server."
    " Use UpdateEndpointWeightsAndCapacities."
)

_NOT_CALLED = "EventBridge calls no HTTP endpoint here: nothing leaves this machine."


def check_scalable_targets(call: Call) -> None:
    """Accept scalable targets of existing variants only, and nothing that would scale them."""
    from moto.applicationautoscaling.models import ApplicationAutoscalingBackend as Backend

    def target(arguments: Arguments) -> str | None:
        if arguments["namespace"] != "sagemaker":
            return None
        return _variant_problem(call, arguments["r_id"], arguments["self"].region_name)

    def policy(arguments: Arguments) -> str | None:
        return _NOT_SCALED if arguments["service_namespace"] == "sagemaker" else None

    refuse(Backend, "register_scalable_target", target)
    refuse(Backend, "put_scaling_policy", policy)
    refuse(Backend, "put_scheduled_action", policy)


def _variant_problem(call: Call, resource: str, region: str) -> str | None:
    match = _VARIANT.fullmatch(resource)
    if match is None:
        return f"ResourceId {resource!r} must be endpoint/ENDPOINT/variant/VARIANT."
    endpoint = call("DescribeEndpoint", {"EndpointName": match[1]}, region)
    variants = [variant["VariantName"] for variant in endpoint.get("ProductionVariants", ())]
    if match[2] in variants:
        return None
    return f"Variant {match[2]} is not in {match[1]}, which has {', '.join(variants) or 'none'}."


def refuse_events() -> None:
    """Refuse rules on SageMaker's events, and SageMaker's resources as targets of rules."""
    from moto.events.models import EventsBackend

    refuse(EventsBackend, "put_rule", lambda a: _pattern_problem(a["event_pattern"]))
    refuse(EventsBackend, "put_targets", lambda a: _target_problem(a["targets"]))
    refuse(EventsBackend, "create_api_destination", lambda _: _NOT_CALLED)


def refuse_schedules() -> None:
    """Refuse SageMaker's resources as targets of schedules."""
    from moto.scheduler.models import EventBridgeSchedulerBackend

    for name in ("create_schedule", "update_schedule"):
        refuse(EventBridgeSchedulerBackend, name, lambda a: _target_problem([a["target"]]))


def refuse_pipes() -> None:
    """Refuse SageMaker's resources as targets of pipes."""
    from moto.pipes.models import EventBridgePipesBackend

    for name in ("create_pipe", "update_pipe"):
        refuse(EventBridgePipesBackend, name, lambda a: _target_problem([{"Arn": a["target"]}]))


def refuse(backend: Any, name: str, problem: Callable[[Arguments], str | None]) -> None:
    """Make a method of a backend raise a ValidationException for a problem in its arguments."""
    method = getattr(backend, name)
    signature = inspect.signature(method)

    @functools.wraps(method)
    def refusing(*args: Any, **more: Any) -> Any:
        bound = signature.bind(*args, **more)
        bound.apply_defaults()
        if text := problem(bound.arguments):
            raise invalid(text)
        return method(*args, **more)

    setattr(backend, name, refusing)


def _pattern_problem(pattern: str | None) -> str | None:
    if "sagemaker" not in (pattern or "").lower():
        return None
    return (
        "SageMaker sends no events to EventBridge here, so that the rule would never match."
        " Use the Describe operations, or boto3's waiters."
    )


def _target_problem(targets: list[dict[str, Any]]) -> str | None:
    for target in targets:
        if ":sagemaker:" in str(target.get("Arn")):
            return (
                f"The target {target['Arn']} is not offered here: no event starts anything in"
                " SageMaker. Call its operations."
            )
    return None


def show_tags(store: Callable[[], Store], call: Call) -> None:
    """Make the tagging API read and write the tags of the resources in the present store."""
    from moto.sagemaker.models import SageMakerModelBackend, sagemaker_backends

    _ = sagemaker_backends[ACCOUNT]  # moto asks only the backends that exist
    backend: Any = SageMakerModelBackend

    def iter_tagged_resources(self: Any) -> Iterator[TaggedResource]:
        for kind in tags.KINDS:
            for record in store().all(kind):
                arn = next(v for k, v in record.items() if k.endswith("Arn") and f":{kind}/" in v)
                entries = {tag["Key"]: tag["Value"] for tag in record.get("Tags") or ()}
                if arn.split(":")[3] == self.region_name:
                    yield TaggedResource(arn, entries, f"sagemaker:{kind}")

    def tag_resource(self: Any, arn: str, added: dict[str, str]) -> None:
        entries = [{"Key": key, "Value": value} for key, value in added.items()]
        call("AddTags", {"ResourceArn": arn, "Tags": entries}, self.region_name)

    def untag_resource(self: Any, arn: str, keys: list[str]) -> None:
        call("DeleteTags", {"ResourceArn": arn, "TagKeys": keys}, self.region_name)

    backend.iter_tagged_resources = iter_tagged_resources
    backend.tag_resource, backend.untag_resource = tag_resource, untag_resource
