"""The SageMaker operations that the service refuses, with what to do instead.

A line of a group is either the names of operations, or `verbs: resources`, which stands for each
verb with each resource; `List` takes the plural.
"""

from dataclasses import dataclass

from local_sagemaker.errors import ServiceError


@dataclass(frozen=True)
class Group:
    """Operations that are refused for the same reason."""

    title: str
    advice: str  # what a caller does instead, a sentence
    lines: tuple[str, ...]

    def operations(self) -> list[str]:
        """Return the names of the group's operations."""
        names = []
        for line in self.lines:
            verbs, colon, resources = line.partition(":")
            if not colon:
                names += line.split()
            for resource in resources.split():
                names += [f"{v}{resource}{'s' if v == 'List' else ''}" for v in verbs.split()]
        return names


_NOT_SIMULATED = "It has no local equivalent; use AWS for it."
GROUPS = (
    Group(
        "Callback steps of pipelines",
        "Use a Processing step: pipelines have no Callback steps here.",
        ("SendPipelineExecutionStepFailure SendPipelineExecutionStepSuccess",),
    ),
    Group(
        "Changes of training jobs",
        "Stop the job and create another.",
        ("UpdateTrainingJob",),
    ),
    Group(
        "Model cards",
        "Pass the card as the ModelCard of CreateModelPackage.",
        (
            "Create Delete Describe List Update: ModelCard",
            "Create Describe List: ModelCardExportJob",
            "ListModelCardVersions",
        ),
    ),
    Group(
        "Lineage groups",
        "Use QueryLineage: the account has no other lineage than its own.",
        ("Describe List: LineageGroup", "GetLineageGroupPolicy"),
    ),
    Group(
        "Notebook instances and Studio",
        "Run Jupyter on this machine with `local-sagemaker notebook`.",
        (
            "Create Delete Describe List Start Stop Update: NotebookInstance",
            "Create Delete Describe List Update: NotebookInstanceLifecycleConfig",
            "Create Delete Describe List Update: Domain UserProfile Space AppImageConfig",
            "Create Delete Describe List Update: Image ImageVersion Project",
            "Create Delete Describe List: App StudioLifecycleConfig",
            "Create Delete Describe Update: CodeRepository",
            "ListCodeRepositories ListAliases ListResourceCatalogs StartSession",
            "CreatePresignedDomainUrl CreatePresignedNotebookInstanceUrl",
            "DisableSagemakerServicecatalogPortfolio EnableSagemakerServicecatalogPortfolio",
            "GetSagemakerServicecatalogPortfolioStatus",
        ),
    ),
    Group(
        "Algorithms and other kinds of training",
        "Use CreateTrainingJob or CreateHyperParameterTuningJob with an image.",
        (
            "Create Delete Describe List: Algorithm",
            "Create Describe List Stop: AutoMLJob",
            "Create Describe: AutoMLJobV2",
            "Create Delete Describe List Stop: AIBenchmarkJob AIRecommendationJob Job",
            "Create Delete Describe List Stop: TrainingSession",
            "Create Delete Describe List: AIWorkloadConfig",
            "Create Describe Extend List: TrainingPlan",
            "Describe List: JobSchemaVersion",
            "ListCandidatesForAutoMLJob DescribeTrainingPlanExtensionHistory",
            "SearchTrainingPlanOfferings DescribeReservedCapacity",
            "ListUltraServersByReservedCapacity",
        ),
    ),
    Group(
        "Compilation, optimization and edge devices",
        "Export the model with `fm-model`.",
        (
            "Create Delete Describe List Stop: CompilationJob OptimizationJob",
            "Create Describe List Stop: EdgePackagingJob",
            "Create Delete Describe List: EdgeDeploymentPlan",
            "Create Delete Start Stop: EdgeDeploymentStage",
            "Create Delete Describe List Update: DeviceFleet",
            "Describe List: Device",
            "Deregister Register Update: Devices",
            "GetDeviceFleetReport ListStageDevices",
        ),
    ),
    Group(
        "Other kinds of hosting",
        "Use CreateEndpoint with one model for each variant.",
        (
            "Create Delete Describe List Update: InferenceComponent InferenceRouter",
            "Create Delete Describe List Update: GlobalInferenceGateway",
            "Create Delete Describe List Start Stop Update: InferenceExperiment",
            "Create Describe List Stop: InferenceRecommendationsJob",
            "Add List Remove: InferenceGateway",
            "Delete Get Put: EndpointPolicy",
            "UpdateInferenceComponentRuntimeConfig ListInferenceRecommendationsJobSteps",
            "GetScalingConfigurationRecommendation ListModelMetadata",
        ),
    ),
    Group(
        "Monitoring of models",
        "Read the endpoint's log and metrics in CloudWatch.",
        (
            "Create Delete Describe List: DataQualityJobDefinition ModelBiasJobDefinition",
            "Create Delete Describe List: ModelExplainabilityJobDefinition",
            "Create Delete Describe List: ModelQualityJobDefinition",
            "Create Delete Describe Start Stop Update: MonitoringSchedule",
            "List Update: MonitoringAlert",
            "ListMonitoringAlertHistory ListMonitoringExecutions",
        ),
    ),
    Group(
        "Feature store",
        "Keep features as files in S3.",
        (
            "Create Delete Describe List Update: FeatureGroup",
            "Describe Update: FeatureMetadata",
        ),
    ),
    Group(
        "Labelling",
        _NOT_SIMULATED,
        (
            "Create Describe List Stop: LabelingJob",
            "Create Delete Describe List: FlowDefinition HumanTaskUi",
            "Create Delete Describe List Update: Workforce Workteam",
            "Describe List: SubscribedWorkteam",
            "ListLabelingJobsForWorkteam RenderUiTemplate",
        ),
    ),
    Group(
        "Clusters",
        _NOT_SIMULATED,
        (
            "Create Delete Describe List Update: Cluster ClusterExtension",
            "Create Delete Describe List Update: ClusterSchedulerConfig ComputeQuota",
            "Describe List: ClusterEvent ClusterNode ClusterOperation",
            "Attach Detach: ClusterNodeVolume",
            "AttachClusterNodeNetworkInterface MoveClusterNodes UpdateClusterSoftware",
            "BatchAddClusterNodes BatchDeleteClusterNodes BatchRebootClusterNodes",
            "BatchReplaceClusterNodes ListClusterExtensionVersions StartClusterHealthCheck",
        ),
    ),
    Group(
        "Hubs, MLflow and partner applications",
        _NOT_SIMULATED,
        (
            "Create Delete Describe List Update: Hub MlflowApp PartnerApp",
            "Create Delete Describe List Start Stop Update: MlflowTrackingServer",
            "Delete Describe Import List Update: HubContent",
            "Create Delete Update: HubContentReference",
            "CreateHubContentPresignedUrls ListHubContentVersions CreatePartnerAppPresignedUrl",
            "CreatePresignedMlflowAppUrl CreatePresignedMlflowTrackingServerUrl",
        ),
    ),
)
REFUSED = {name: group for group in GROUPS for name in group.operations()}


def refusal(operation: str) -> ServiceError:
    """Return the error for a refused operation: its name and what to do instead."""
    advice = REFUSED[operation].advice
    text = f"The local SageMaker service does not execute {operation}. {advice}"
    return ServiceError("NotImplemented", text, 501)
