"""The registry of SageMaker's operations: executed here, recorded here, or refused.

To add an operation, write its handler in the module of its resource, add a line to EXECUTED, or to
RECORDED if nothing acts on what it keeps, and remove its name from `refusals`.
"""

from collections.abc import Callable, Mapping

from local_sagemaker.api import (
    associations,
    defaults,
    experiments,
    hosting,
    lineage,
    members,
    model_registry,
    pipeline_executions,
    pipelines,
    processing,
    runtime,
    search,
    tags,
    training,
    transform,
    trial_components,
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
    "ListMonitoringSchedules": hosting.list_monitoring_schedules,
    "InvokeEndpoint": runtime.invoke_endpoint,
    "InvokeEndpointAsync": runtime.invoke_endpoint_async,
    "InvokeEndpointWithResponseStream": runtime.invoke_endpoint_with_response_stream,
    "CreateTransformJob": transform.create_transform_job,
    "DescribeTransformJob": transform.describe_transform_job,
    "ListTransformJobs": transform.list_transform_jobs,
    "StopTransformJob": transform.stop_transform_job,
    "CreateProcessingJob": processing.create_processing_job,
    "DescribeProcessingJob": processing.describe_processing_job,
    "ListProcessingJobs": processing.list_processing_jobs,
    "StopProcessingJob": processing.stop_processing_job,
    "DeleteProcessingJob": processing.delete_processing_job,
    "CreateExperiment": experiments.create_experiment,
    "DescribeExperiment": experiments.describe_experiment,
    "ListExperiments": experiments.list_experiments,
    "UpdateExperiment": experiments.update_experiment,
    "DeleteExperiment": experiments.delete_experiment,
    "CreateTrial": experiments.create_trial,
    "DescribeTrial": experiments.describe_trial,
    "ListTrials": experiments.list_trials,
    "UpdateTrial": experiments.update_trial,
    "DeleteTrial": experiments.delete_trial,
    "CreateTrialComponent": trial_components.create_trial_component,
    "DescribeTrialComponent": trial_components.describe_trial_component,
    "ListTrialComponents": trial_components.list_trial_components,
    "UpdateTrialComponent": trial_components.update_trial_component,
    "DeleteTrialComponent": trial_components.delete_trial_component,
    "AssociateTrialComponent": trial_components.associate_trial_component,
    "DisassociateTrialComponent": trial_components.disassociate_trial_component,
    "BatchPutMetrics": trial_components.batch_put_metrics,
    "BatchGetMetrics": trial_components.batch_get_metrics,
    "Search": search.search,
    "GetSearchSuggestions": search.get_search_suggestions,
    "CreateModelPackageGroup": model_registry.create_model_package_group,
    "DescribeModelPackageGroup": model_registry.describe_model_package_group,
    "ListModelPackageGroups": model_registry.list_model_package_groups,
    "DeleteModelPackageGroup": model_registry.delete_model_package_group,
    "CreateModelPackage": model_registry.create_model_package,
    "DescribeModelPackage": model_registry.describe_model_package,
    "ListModelPackages": model_registry.list_model_packages,
    "UpdateModelPackage": model_registry.update_model_package,
    "DeleteModelPackage": model_registry.delete_model_package,
    "BatchDescribeModelPackage": model_registry.batch_describe_model_package,
    "QueryLineage": associations.query_lineage,
    "CreatePipeline": pipelines.create_pipeline,
    "DescribePipeline": pipelines.describe_pipeline,
    "ListPipelines": pipelines.list_pipelines,
    "UpdatePipeline": pipelines.update_pipeline,
    "DeletePipeline": pipelines.delete_pipeline,
    "ListPipelineVersions": pipelines.list_pipeline_versions,
    "UpdatePipelineVersion": pipelines.update_pipeline_version,
    "StartPipelineExecution": pipeline_executions.start_pipeline_execution,
    "DescribePipelineExecution": pipeline_executions.describe_pipeline_execution,
    "ListPipelineExecutions": pipeline_executions.list_pipeline_executions,
    "StopPipelineExecution": pipeline_executions.stop_pipeline_execution,
    "RetryPipelineExecution": pipeline_executions.retry_pipeline_execution,
    "UpdatePipelineExecution": pipeline_executions.update_pipeline_execution,
    "ListPipelineExecutionSteps": pipeline_executions.list_pipeline_execution_steps,
    "ListPipelineParametersForExecution": (
        pipeline_executions.list_pipeline_parameters_for_execution
    ),
    "DescribePipelineDefinitionForExecution": (
        pipeline_executions.describe_pipeline_definition_for_execution
    ),
    "AddTags": tags.add_tags,
    "ListTags": tags.list_tags,
    "DeleteTags": tags.delete_tags,
}

RECORDED: Mapping[str, Handler] = {
    "CreateArtifact": lineage.create_artifact,
    "DescribeArtifact": lineage.describe_artifact,
    "ListArtifacts": lineage.list_artifacts,
    "UpdateArtifact": lineage.update_artifact,
    "DeleteArtifact": lineage.delete_artifact,
    "CreateAction": lineage.create_action,
    "DescribeAction": lineage.describe_action,
    "ListActions": lineage.list_actions,
    "UpdateAction": lineage.update_action,
    "DeleteAction": lineage.delete_action,
    "CreateContext": lineage.create_context,
    "DescribeContext": lineage.describe_context,
    "ListContexts": lineage.list_contexts,
    "UpdateContext": lineage.update_context,
    "DeleteContext": lineage.delete_context,
    "AddAssociation": associations.add_association,
    "ListAssociations": associations.list_associations,
    "DeleteAssociation": associations.delete_association,
    "GetModelPackageGroupPolicy": model_registry.get_model_package_group_policy,
    "PutModelPackageGroupPolicy": model_registry.put_model_package_group_policy,
    "DeleteModelPackageGroupPolicy": model_registry.delete_model_package_group_policy,
}


def call(context: Context, operation: str, request: Record, caller: Caller) -> Record:
    """Execute an operation and return its response.

    Raises: ServiceError.
    """
    if operation in REFUSED:
        raise refusal(operation)
    handler = EXECUTED.get(operation) or RECORDED.get(operation)
    if handler is None:
        raise unknown(operation)
    validation.check(operation, request)
    request = validation.known(operation, request)
    members.check(operation, request)
    response = handler(context, request, caller)
    return validation.response(operation, defaults.complete(operation, response))


def unknown(operation: str) -> ServiceError:
    """Return the error for an operation that no class of the registry holds."""
    text = f"{operation} is not an operation that the local SageMaker service knows."
    return ServiceError("UnknownOperationException", text, 404)
