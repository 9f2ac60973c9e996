"""The registry of SageMaker's operations: executed here, recorded by moto, or refused.

To add an operation, write its handler in the module of its resource, add a line to EXECUTED and
remove its name from `refusals` or `recorded`.
"""

from collections.abc import Callable, Mapping

from local_sagemaker.api import (
    hosting,
    members,
    recorded,
    runtime,
    tags,
    training,
    transform,
    tuning,
    validation,
)
from local_sagemaker.api.refusals import REFUSED, refusal
from local_sagemaker.context import Caller, Context
from local_sagemaker.errors import ServiceError
from local_sagemaker.storage.records import Record

Handler = Callable[[Context, Record, Caller], Record]

EXECUTED: Mapping[str, Handler] = {
    "CreateTrainingJob": training.create_training_job,
    "DescribeTrainingJob": training.describe_training_job,
    "ListTrainingJobs": training.list_training_jobs,
    "StopTrainingJob": training.stop_training_job,
    "DeleteTrainingJob": training.delete_training_job,
    "CreateHyperParameterTuningJob": tuning.create_hyper_parameter_tuning_job,
    "DescribeHyperParameterTuningJob": tuning.describe_hyper_parameter_tuning_job,
    "ListHyperParameterTuningJobs": tuning.list_hyper_parameter_tuning_jobs,
    "ListTrainingJobsForHyperParameterTuningJob": (
        tuning.list_training_jobs_for_hyper_parameter_tuning_job
    ),
    "StopHyperParameterTuningJob": tuning.stop_hyper_parameter_tuning_job,
    "DeleteHyperParameterTuningJob": tuning.delete_hyper_parameter_tuning_job,
    "CreateModel": hosting.create_model,
    "DescribeModel": hosting.describe_model,
    "ListModels": hosting.list_models,
    "DeleteModel": hosting.delete_model,
    "CreateEndpointConfig": hosting.create_endpoint_config,
    "DescribeEndpointConfig": hosting.describe_endpoint_config,
    "ListEndpointConfigs": hosting.list_endpoint_configs,
    "DeleteEndpointConfig": hosting.delete_endpoint_config,
    "CreateEndpoint": hosting.create_endpoint,
    "UpdateEndpoint": hosting.update_endpoint,
    "UpdateEndpointWeightsAndCapacities": hosting.update_endpoint_weights_and_capacities,
    "DescribeEndpoint": hosting.describe_endpoint,
    "ListEndpoints": hosting.list_endpoints,
    "DeleteEndpoint": hosting.delete_endpoint,
    "InvokeEndpoint": runtime.invoke_endpoint,
    "CreateTransformJob": transform.create_transform_job,
    "DescribeTransformJob": transform.describe_transform_job,
    "ListTransformJobs": transform.list_transform_jobs,
    "StopTransformJob": transform.stop_transform_job,
    "AddTags": tags.add_tags,
    "ListTags": tags.list_tags,
    "DeleteTags": tags.delete_tags,
}


def is_recorded(operation: str, request: Record, region: str) -> bool:
    """Return whether moto answers a request: a record, or the tags of one."""
    if operation in tags.OPERATIONS:
        return recorded.exists(*tags.resource(request), region)
    return operation in recorded.RECORDED


def check_recorded(operation: str, request: Record, region: str) -> None:
    """Raise a ServiceError if a request must not reach moto."""
    validation.check(operation, request)
    recorded.check(operation, request, region)


def call(context: Context, operation: str, request: Record, caller: Caller) -> Record:
    """Execute an operation and return its response.

    Raises: ServiceError.
    """
    if operation in REFUSED:
        raise refusal(operation)
    if operation not in EXECUTED:
        raise unknown(operation)
    validation.check(operation, request)
    members.check(operation, request)
    return validation.response(operation, EXECUTED[operation](context, request, caller))


def unknown(operation: str) -> ServiceError:
    """Return the error for an operation that no class of the registry holds."""
    text = f"{operation} is not an operation that the local SageMaker service knows."
    return ServiceError("UnknownOperationException", text, 404)
