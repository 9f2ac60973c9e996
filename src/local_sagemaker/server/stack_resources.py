"""The resources of CloudFormation stacks that the service's own operations create."""

from collections.abc import Mapping
from typing import Any, ClassVar

from moto.cloudformation.exceptions import UnformattedGetAttTemplateException

from local_sagemaker.api import validation
from local_sagemaker.errors import ServiceError, invalid
from local_sagemaker.storage.records import Record

_UPDATE_ONLY = {
    *("RetainAllVariantProperties", "ExcludeRetainedVariantProperties", "RetainDeploymentConfig")
}


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


class Unsupported:
    """A type of resource that does not exist here."""

    @classmethod
    def has_cfn_attr(cls, _: str) -> bool:
        """Return True, so that the type is refused rather than an attribute."""
        return True

    @classmethod
    def create_from_cloudformation_json(cls, *_: Any, **more: Any) -> None:
        """Raise a ValidationException that names the type."""
        raise invalid(
            f"Resources of the type {more['ResourceType']} are not offered here. Leave it out of"
            " the template."
        )


CLASSES = {f"AWS::SageMaker::{c.title}": c for c in (_Model, _EndpointConfig, _Endpoint)}


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
