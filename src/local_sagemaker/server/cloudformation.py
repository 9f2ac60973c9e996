"""CloudFormation stacks whose SageMaker resources are created by the service's own operations.

moto's CloudFormation parses templates. A stack whose resource is refused, or has a type that moto
does not know, is rolled back with the reason.
"""

import functools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from moto.cloudformation import models, parsing
from moto.cloudformation.exceptions import UnformattedGetAttTemplateException

from local_sagemaker.api import validation
from local_sagemaker.errors import ServiceError, invalid
from local_sagemaker.storage.records import Record

Call = Callable[[str, Record, str], Record]  # operation, request and region to the response
_UPDATE_ONLY = {
    *("RetainAllVariantProperties", "ExcludeRetainedVariantProperties", "RetainDeploymentConfig")
}
_IGNORED = ("AWS::CDK::Metadata", *parsing.NULL_MODELS)  # nothing is created for these on AWS


class Resource:
    """A resource of a stack, in the interface of moto's CloudFormationModel."""

    call: ClassVar[Any]  # a Call
    title: ClassVar[str]  # Model, EndpointConfig or Endpoint

    def __init__(self, name: str, region: str, properties: Record):
        """Create the resource.

        Raises: ServiceError if it is refused.
        """
        self.name, self.region, self.properties = name, region, properties
        if unknown := properties.keys() - _members(f"Create{self.title}") - _UPDATE_ONLY:
            raise invalid(f"AWS::SageMaker::{self.title} has no property {min(unknown)}.")
        request = _request(f"Create{self.title}", {**properties, f"{self.title}Name": name})
        self.physical_resource_id: str = self.call(f"Create{self.title}", request, region)[
            f"{self.title}Arn"
        ]

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, _account: str, region: str, **_: Any
    ) -> "Resource":
        """Create the resource under its own name, or the generated one."""
        properties = cloudformation_json["Properties"]
        name = properties.get(f"{cls.title}Name") or resource_name[-63:].lstrip("-")
        return cls(name, region, properties)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: "Resource",
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> "Resource":
        """Replace the resource if its properties differ."""
        properties = cloudformation_json["Properties"]
        if properties == original_resource.properties:
            return original_resource
        if properties.get(f"{cls.title}Name") == original_resource.name:
            return original_resource.update(properties)
        new = cls.create_from_cloudformation_json(
            new_resource_name, cloudformation_json, account_id, region_name
        )
        original_resource.delete()
        return new

    def update(self, properties: Record) -> "Resource":
        """Change the properties and keep the name.

        Raises: ServiceError if only another resource can have them.
        """
        raise invalid(
            "CloudFormation cannot update a stack when a custom-named resource requires replacing."
            f" Rename {self.name} and update the stack again."
        )

    def delete(self, *_: str) -> None:
        """Delete the resource, unless it is gone."""
        if self._description() is not None:
            self.call(f"Delete{self.title}", {f"{self.title}Name": self.name}, self.region)

    def is_created(self) -> bool:
        """Return whether the resource is ready."""
        return True

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        """Return whether Fn::GetAtt has an attribute."""
        return attr == f"{cls.title}Name"

    def get_cfn_attribute(self, attribute: str) -> str:
        """Return the value of Fn::GetAtt."""
        if not self.has_cfn_attr(attribute):
            raise UnformattedGetAttTemplateException()
        return self.name

    def _description(self) -> Record | None:
        try:
            request = {f"{self.title}Name": self.name}
            description: Record = self.call(f"Describe{self.title}", request, self.region)
            return description
        except ServiceError:
            return None


class _Model(Resource):
    title = "Model"


class _EndpointConfig(Resource):
    title = "EndpointConfig"


class _Endpoint(Resource):
    title = "Endpoint"

    def is_created(self) -> bool:
        """Return whether the endpoint is in service.

        Raises: ServiceError if it or its update failed.
        """
        description = self._description() or {"FailureReason": "The endpoint was deleted."}
        if reason := description.get("FailureReason"):
            raise invalid(f"Endpoint {self.name}: {reason}")
        return bool(description["EndpointStatus"] == "InService")

    def update(self, properties: Record) -> Resource:
        """Start the servers of another configuration."""
        request = _request("UpdateEndpoint", {**properties, "EndpointName": self.name})
        self.call("UpdateEndpoint", request, self.region)
        self.properties = properties
        return self


class _Unsupported:
    """A type of resource that does not exist here."""

    @classmethod
    def has_cfn_attr(cls, _: str) -> bool:
        return True

    @classmethod
    def create_from_cloudformation_json(cls, *_: Any, **more: Any) -> None:
        raise invalid(
            f"Resources of the type {more['ResourceType']} are not offered here. Leave it out of"
            " the template."
        )


_CLASSES = {f"AWS::SageMaker::{c.title}": c for c in (_Model, _EndpointConfig, _Endpoint)}


def install(call: Call) -> None:
    """Replace moto's SageMaker resources, and roll back stacks that fail."""
    Resource.call = staticmethod(call)
    find_class = parsing.resource_class_from_type
    backend: Any = models.CloudFormationBackend
    resources: Any = parsing.ResourceMap
    stacks: Any = models.Stack
    create_stack, update_stack = backend.create_stack, backend.update_stack
    execute_change_set, update_map = backend.execute_change_set, resources.update
    delete = stacks.delete

    def resource_class_from_type(resource_type: str) -> Any:
        if resource_type in _IGNORED:
            return None
        if resource_type.startswith("AWS::SageMaker::"):
            return _CLASSES.get(resource_type, _Unsupported)
        return find_class(resource_type) or _Unsupported

    @functools.wraps(create_stack)
    def create(self: Any, name: str, *args: Any, **more: Any) -> Any:
        if any(stack.name == name for stack in self.stacks.values()):
            return create_stack(self, name, *args, **more)  # which raises an error
        try:
            create_stack(self, name, *args, **more)
        except ServiceError as error:
            _fail(self.get_stack(name), "CREATE", error)
        return _settle(self.get_stack(name), "CREATE")

    @functools.wraps(update_stack)
    def update(self: Any, name: str, *args: Any, **more: Any) -> Any:
        try:
            update_stack(self, name, *args, **more)
        except ServiceError as error:
            _fail(self.get_stack(name), "UPDATE", error)
        return _settle(self.get_stack(name), "UPDATE")

    @functools.wraps(execute_change_set)
    def execute(self: Any, change_set_name: str, stack_name: str | None = None) -> None:
        change_set = self.describe_change_set(change_set_name)
        stack, kind = change_set.stack, change_set.change_set_type
        try:
            execute_change_set(self, change_set_name, stack_name)
        except ServiceError as error:
            change_set.execution_status = "EXECUTE_FAILED"
            _fail(stack, kind, error)
        else:  # moto leaves out the outputs
            template = change_set.template_dict
            stack.output_map = parsing.OutputMap(stack.resource_map, template, stack.stack_id)
        _settle(stack, kind)

    @functools.wraps(update_map)
    def update_resources(self: Any, *args: Any, **more: Any) -> None:
        update_map(self, *args, **more)
        for _ in _CLASSES:  # a new model changes its configuration, which changes its endpoint
            for name, resource in list(_sagemaker_resources(self)):
                definition = self._resource_json_map[name]
                self._parsed_resources[name] = parsing.parse_and_update_resource(
                    name, definition, self, self._account_id, resource.region
                )

    def delete_stack(self: Any) -> None:
        delete(self)
        _forget(self)

    parsing.resource_class_from_type = resource_class_from_type
    backend.create_stack, backend.update_stack = create, update
    backend.execute_change_set, resources.update = execute, update_resources
    stacks.delete = delete_stack


def _sagemaker_resources(resource_map: Any) -> Iterator[tuple[str, Resource]]:
    for name, resource in resource_map._parsed_resources.items():
        if isinstance(resource, Resource) and name in resource_map._resource_json_map:
            yield name, resource


def _settle(stack: Any, kind: str) -> Any:
    """Return a stack; a thread completes it when its endpoints are in service."""
    if stack.status in (f"{kind}_COMPLETE", "CREATE_IN_PROGRESS"):
        stack.stack_status_reason = None
        if any(True for _ in _sagemaker_resources(stack.resource_map)):
            if stack.events[-1].resource_status == f"{kind}_COMPLETE":
                stack.events.pop()
            stack.status = f"{kind}_IN_PROGRESS"
            threading.Thread(target=_complete, args=(stack, kind), daemon=True).start()
    return stack


def _complete(stack: Any, kind: str) -> None:
    try:
        while not all(r.is_created() for _, r in list(_sagemaker_resources(stack.resource_map))):
            time.sleep(0.2)
    except ServiceError as error:
        if stack.status == f"{kind}_IN_PROGRESS":
            _fail(stack, kind, error)
    if stack.status == f"{kind}_IN_PROGRESS":
        stack.status = f"{kind}_COMPLETE"
        stack._add_stack_event(stack.status)


def _fail(stack: Any, kind: str, error: ServiceError) -> None:
    """Roll a new stack back; a stack whose update fails stays as it is."""
    stack._add_stack_event(f"{kind}_FAILED", resource_status_reason=error.message)
    if kind == "CREATE":
        stack.resource_map.delete()
        _forget(stack)
        stack._add_stack_event("ROLLBACK_COMPLETE")
    stack.status = "ROLLBACK_COMPLETE" if kind == "CREATE" else "UPDATE_FAILED"
    stack.stack_status_reason = error.message


def _forget(stack: Any) -> None:
    """Empty a stack's map, in which moto creates each resource that is looked up."""
    stack.resource_map._resource_json_map = {}
    stack.output_map = parsing.OutputMap(stack.resource_map, {}, stack.stack_id)


def _request(operation: str, properties: Record) -> Record:
    """Return the request of properties, in which a template may write a number as text."""
    members = _members(operation)
    return {k: _typed(v, members[k]) for k, v in properties.items() if k in members}


def _members(operation: str) -> Mapping[str, Any]:
    members: Mapping[str, Any] = validation.model().operation_model(operation).input_shape.members
    return members


def _typed(value: Any, shape: Any) -> Any:
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        return {
            k: _typed(v, shape.members[k]) if k in shape.members else v for k, v in value.items()
        }
    if kind == "list" and isinstance(value, list):
        return [_typed(entry, shape.member) for entry in value]
    if kind == "map" and isinstance(value, dict):
        return {key: _typed(entry, shape.value) for key, entry in value.items()}
    if kind == "string" and isinstance(value, int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if kind == "boolean" and value in ("true", "false"):
        return value == "true"
    if kind in ("integer", "float", "double") and isinstance(value, str):
        try:
            return int(value) if kind == "integer" else float(value)
        except ValueError:
            return value  # which the operation refuses
    return value
