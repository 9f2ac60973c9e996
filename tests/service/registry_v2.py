"""A model from a training job to the registry and from there to an endpoint, by the SDK v2."""

import sys

import boto3
import sagemaker
from sagemaker import ModelPackage
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.serializers import JSONSerializer

image, bucket = sys.argv[1:]
session, role = sagemaker.Session(), sagemaker.get_execution_role()
fm = Estimator(
    image,
    role,
    instance_count=1,
    instance_type="ml.c4.xlarge",
    output_path=f"s3://{bucket}/registry",
    sagemaker_session=session,
)
fm.set_hyperparameters(feature_dim=30, num_factors=2, predictor_type="regressor")
fm.fit({"train": f"s3://{bucket}/data/train"}, logs=False)
registration = {
    "content_types": ["application/json"],
    "response_types": ["application/json"],
    "inference_instances": ["ml.c4.xlarge"],
    "transform_instances": ["ml.c4.xlarge"],
    "model_package_group_name": "by-the-sdk",
}
fm.create_model().register(**registration, customer_metadata_properties={"dataset": "planted"})
package = fm.create_model().register(**registration, approval_status="Approved")
print("ARN", package.model_package_arn)
sm = boto3.client("sagemaker")
versions = sm.list_model_packages(ModelPackageGroupName="by-the-sdk")["ModelPackageSummaryList"]
print("VERSIONS", [(v["ModelPackageVersion"], v["ModelApprovalStatus"]) for v in versions])
for summary in versions:
    model = ModelPackage(
        role=role, model_package_arn=summary["ModelPackageArn"], sagemaker_session=session
    )
    model.deploy(1, "ml.c4.xlarge", wait=False)
    sm.get_waiter("endpoint_in_service").wait(EndpointName=model.endpoint_name)
    predictor = sagemaker.Predictor(
        model.endpoint_name, session, JSONSerializer(), JSONDeserializer()
    )
    answer = predictor.predict({"instances": [{"features": [0.5] * 30}]})
    print("SCORE", answer["predictions"][0]["score"])
    predictor.delete_endpoint()
