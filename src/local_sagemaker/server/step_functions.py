"""State machines that are executed, with tasks that call the service's SageMaker operations.

moto's interpreter of the Amazon States Language runs them. It forwards a task to SageMaker, and
lacks the `.sync` form, which waits until a job has ended.
"""

import json
import os
from collections.abc import Callable
from typing import Any

from moto.core.config import default_user_config
from moto.stepfunctions import models
from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name import failure_event
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.state.exec.state_task import state_task_factory
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    resource,
    state_task_service_unsupported,
)
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.utils.boto_client import boto_client_for
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from local_sagemaker.api.dispatch import EXECUTED

_JOBS = ("TrainingJob", "TransformJob", "HyperParameterTuningJob")


class SageMakerTask(state_task_service_unsupported.StateTaskServiceUnsupported):
    """A task whose resource is `arn:aws:states:::sagemaker:…`."""

    def __init__(self) -> None:
        """Allow the form `.sync`, of the operations that create jobs."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.__dict__["_supported_integration_patterns"] = {resource.ResourceCondition.Sync}

    def _validate_service_integration_is_supported(self) -> None:
        action = self.resource.api_action
        name, condition = action[:1].upper() + action[1:], self.resource.condition
        allowed = name in EXECUTED and condition in (None, resource.ResourceCondition.Sync)
        if not allowed or (condition and name.removeprefix("Create") not in _JOBS):
            raise ValueError(f"{self.resource.resource_arn} is not offered here.")

    def _from_error(self, env: Any, ex: Exception) -> Any:
        """Return the failure of a refused request, with its code and message."""
        response = getattr(ex, "response", None)
        if response is None:
            return super()._from_error(env, ex)
        return self._failure(
            env, f"SageMaker.{response['Error']['Code']}", response["Error"]["Message"]
        )

    def _build_sync_resolver(
        self,
        env: Any,
        resource_runtime_part: Any,
        normalised_parameters: Any,
        state_credentials: Any,
    ) -> Callable[[], Any]:
        """Return a function that returns the description of a job that has ended, or None."""
        env.stack.pop()
        job = self.resource.api_action.removeprefix("create")
        client = boto_client_for(resource_runtime_part.region, "sagemaker", state_credentials)
        snake = self._get_boto_service_action(f"describe{job}")
        name = {f"{job}Name": normalised_parameters[f"{job}Name"]}

        def resolve() -> Any:
            description = getattr(client, snake)(**name)
            description.pop("ResponseMetadata")
            status = description[f"{job}Status"]
            if status in ("Failed", "Stopped"):
                cause = json.dumps(description, default=str)
                raise failure_event.FailureEventException(
                    self._failure(env, "States.TaskFailed", cause)
                )
            return description if status == "Completed" else None

        return resolve

    def _failure(self, env: Any, error: str, cause: str) -> Any:
        details: Any = EventDetails  # all its members are optional
        failed = TaskFailedEventDetails(
            error=error,
            cause=cause,
            resource=self._get_sfn_resource(),
            resourceType=self._get_sfn_resource_type(),
        )
        return failure_event.FailureEvent(
            env=env,
            error_name=ErrorName(error),
            event_type=HistoryEventType.TaskFailed,
            event_details=details(taskFailedEventDetails=failed),
        )


def install(port: int) -> None:
    """Make moto execute state machines, whose tasks send requests to a port of this machine."""
    os.environ["MOTO_PORT"] = str(port)
    factory: Any = state_task_factory
    machines: Any = models
    find_task = factory.state_task_service_for

    def task_for(service_name: str) -> Any:
        return SageMakerTask() if service_name == "sagemaker" else find_task(service_name)

    factory.state_task_service_for = task_for
    default_user_config["stepfunctions"]["execute_state_machine"] = True
    # CloudFormation creates state machines there.
    machines.stepfunctions_backends = stepfunctions_parser_backends
