"""CloudFormation stacks whose SageMaker resources are created by the service's own operations.

moto's CloudFormation parses templates. A stack whose resource is refused, or has a type that moto
does not know, is rolled back with the reason.
"""

import functools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from moto.cloudformation import models, parsing

from local_sagemaker.errors import ServiceError
from local_sagemaker.server.stack_resources import CLASSES, Resource, Unsupported
from local_sagemaker.storage.records import Record

Call = Callable[[str, Record, str], Record]  # operation, request and region to the response
_IGNORED = ("AWS::CDK::Metadata", *parsing.NULL_MODELS)  # nothing is created for these on AWS


def install(call: Call) -> None:
    """Replace moto's SageMaker resources, and roll back stacks that fail."""
    Resource.call = staticmethod(call)
    _replace_types()
    _replace_operations()


def _replace_types() -> None:
    """Let a template have our resources, and update and delete them with their stack."""
    resources: Any = parsing.ResourceMap
    stacks: Any = models.Stack
    find_class, update_map = parsing.resource_class_from_type, resources.update
    delete = stacks.delete

    def resource_class_from_type(resource_type: str) -> Any:
        if resource_type in _IGNORED:
            return None
        if resource_type.startswith("AWS::SageMaker::"):
            return CLASSES.get(resource_type, Unsupported)
        return find_class(resource_type) or Unsupported

    @functools.wraps(update_map)
    def update_resources(self: Any, *args: Any, **more: Any) -> None:
        update_map(self, *args, **more)
        for _ in CLASSES:  # a new model changes its configuration, which changes its endpoint
            for name, resource in list(_sagemaker_resources(self)):
                definition = self._resource_json_map[name]
                self._parsed_resources[name] = parsing.parse_and_update_resource(
                    name, definition, self, self._account_id, resource.region
                )

    def delete_stack(self: Any) -> None:
        delete(self)
        _forget(self)

    parsing.resource_class_from_type = resource_class_from_type
    resources.update, stacks.delete = update_resources, delete_stack


def _replace_operations() -> None:
    """Let the operations that create and update stacks record a failure of our resources."""
    backend: Any = models.CloudFormationBackend
    create_stack, update_stack = backend.create_stack, backend.update_stack
    execute_change_set = backend.execute_change_set

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

    backend.create_stack, backend.update_stack = create, update
    backend.execute_change_set = execute


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
