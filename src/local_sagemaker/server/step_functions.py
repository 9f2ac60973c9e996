"""State machines that are executed, with tasks that call the service's SageMaker operations.

moto's interpreter of the Amazon States Language runs them. It forwards a task to SageMaker, and
lacks the `.sync` form, which waits until a job has ended.
"""

import json
import os
import time
import uuid
from typing import Any

from moto.core.config import default_user_config
from moto.stepfunctions import models
from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task import state_task_factory
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    resource,
    state_task_service_aws_sdk,
    state_task_service_unsupported,
)
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.utils.boto_client import boto_client_for
from moto.stepfunctions.parser.models import (
    StepFunctionsParserBackend,
    stepfunctions_parser_backends,
)

from local_sagemaker.api.dispatch import EXECUTED
from local_sagemaker.jobs.base import ENDED

_POLL_SECONDS = 0.5
_JOBS = ("TrainingJob", "TransformJob", "ProcessingJob", "HyperParameterTuningJob")


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

    def _eval_integration_pattern(
        self,
        env: Any,
        resource_runtime_part: Any,
        normalised_parameters: Any,
        state_credentials: Any,
    ) -> None:
        """Wait until the job has ended; its description is the task's output."""
        env.stack.pop()
        job = self.resource.api_action.removeprefix("create")
        client = boto_client_for(resource_runtime_part.region, "sagemaker", state_credentials)
        describe = getattr(client, self._get_boto_service_action(f"describe{job}"))
        description: dict[str, Any] = {f"{job}Status": "InProgress"}
        while env.is_running() and description[f"{job}Status"] not in ENDED:
            time.sleep(_POLL_SECONDS)
            description = describe(**{f"{job}Name": normalised_parameters[f"{job}Name"]})
        description.pop("ResponseMetadata", None)
        text = json.dumps(description, default=lambda moment: int(moment.timestamp() * 1000))
        if description[f"{job}Status"] != "Completed":
            raise FailureEventException(self._failure(env, "States.TaskFailed", text))
        env.stack.append(json.loads(text))

    def _failure(self, env: Any, error: str, cause: str) -> Any:
        details: Any = EventDetails  # all its members are optional
        failed = TaskFailedEventDetails(
            error=error,
            cause=cause,
            resource=self._get_sfn_resource(),
            resourceType=self._get_sfn_resource_type(),
        )
        return FailureEvent(
            env=env,
            error_name=ErrorName(error),
            event_type=HistoryEventType.TaskFailed,
            event_details=details(taskFailedEventDetails=failed),
        )


class SdkTask(state_task_service_aws_sdk.StateTaskServiceAwsSdk):
    """A task whose resource is `arn:aws:states:::aws-sdk:…`, with times as text in its output."""

    def _eval_service_task(self, env: Any, *args: Any, **more: Any) -> None:
        super()._eval_service_task(env, *args, **more)
        text = json.dumps(env.stack.pop(), default=lambda moment: moment.isoformat())
        env.stack.append(json.loads(text))


_TASKS = {"sagemaker": SageMakerTask, "aws-sdk": SdkTask}


def install(port: int) -> None:
    """Make moto execute state machines, whose tasks send requests to a port of this machine."""
    os.environ["MOTO_PORT"] = str(port)
    factory: Any = state_task_factory
    machines: Any = models
    backend: Any = StepFunctionsParserBackend
    find_task, start = factory.state_task_service_for, backend.start_execution

    def task_for(service_name: str) -> Any:
        return _TASKS.get(service_name, lambda: find_task(service_name))()

    def start_execution(self: Any, arn: str, name: str | None, *args: Any, **more: Any) -> Any:
        return start(self, arn, name or str(uuid.uuid4()), *args, **more)

    factory.state_task_service_for = task_for
    backend.start_execution = start_execution
    default_user_config["stepfunctions"]["execute_state_machine"] = True
    # CloudFormation creates state machines there.
    machines.stepfunctions_backends = stepfunctions_parser_backends
