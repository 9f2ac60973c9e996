"""The lineage of a model, from its data to an endpoint, by the SDK v2."""

import sys

import sagemaker
from sagemaker.estimator import Estimator
from sagemaker.lineage.action import Action, ModelPackageApprovalAction
from sagemaker.lineage.artifact import Artifact, ModelArtifact
from sagemaker.lineage.association import Association
from sagemaker.lineage.context import Context, EndpointContext
from sagemaker.lineage.query import LineageQuery, LineageQueryDirectionEnum
from sagemaker.lineage.visualizer import LineageTableVisualizer

image, bucket = sys.argv[1:]
session, role = sagemaker.Session(), sagemaker.get_execution_role()
sm = session.sagemaker_client
common = {"sagemaker_session": session}
fm = Estimator(image, role, 1, "ml.c4.xlarge", output_path=f"s3://{bucket}/lineage", **common)
fm.set_hyperparameters(feature_dim=30, num_factors=2, predictor_type="regressor", epochs=1)
fm.fit({"train": f"s3://{bucket}/data/train"}, job_name="lin-sdk", logs=False)
package = fm.create_model().register(
    content_types=["application/json"],
    response_types=["application/json"],
    model_package_group_name="lin-sdk-group",
    approval_status="Approved",
)
package.deploy(1, "ml.c4.xlarge", endpoint_name="lin-sdk-endpoint")
endpoint = sm.describe_endpoint(EndpointName="lin-sdk-endpoint")["EndpointArn"]

print()  # after the marks of deploy
visualizer = LineageTableVisualizer(session)
step = {"Metadata": {"TrainingJob": {"Arn": fm.latest_training_job.describe()["TrainingJobArn"]}}}
for title, start in (
    ("JOB", {"training_job_name": "lin-sdk"}),
    ("COMPONENT", {"trial_component_name": "lin-sdk-aws-training-job"}),
    ("STEP", {"pipeline_execution_step": step}),
    ("PACKAGE", {"model_package_arn": package.model_package_arn}),
    ("ENDPOINT", {"endpoint_arn": endpoint}),
):
    for row in visualizer.show(**start).to_csv(index=False, header=False).splitlines():
        print(title, row)

(found,) = Context.list(source_uri=endpoint, **common)
context = EndpointContext.load(found.context_name, **common)
print("DATA", [artifact.source.source_uri for artifact in context.dataset_artifacts()])
print("JOBS", context.training_job_arns())
(found,) = Artifact.list(source_uri=package.model_package_arn, **common)
model = ModelArtifact.load(found.artifact_arn, **common)
print("ENDPOINTS", [each.source.source_uri for each in model.endpoint_contexts()])
(found,) = Action.list(source_uri=package.model_package_arn, action_type="Approval", **common)
approval = ModelPackageApprovalAction.load(found.action_name, **common)
print("APPROVED", [each.source.source_uri for each in approval.endpoints()])
result = LineageQuery(session).query([context.context_arn], LineageQueryDirectionEnum.ASCENDANTS)
print("GRAPH", len(result.vertices), len(result.edges))

note = Action.create("lin-sdk-note", "s3://b/n", action_type="Note", status="InProgress", **common)
Association.create(note.action_arn, context.context_arn, "AssociatedWith", **common)
note.set_tag({"Key": "k", "Value": "v"})
note.status, note.properties = "Completed", {"by": "hand"}
note.save()
loaded = Action.load("lin-sdk-note", **common)
print("NOTE", loaded.status, loaded.properties)
note.delete(disassociate=True)
sm.delete_endpoint(EndpointName="lin-sdk-endpoint")
