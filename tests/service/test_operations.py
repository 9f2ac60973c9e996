"""SageMaker's operations on the wire: refused ones name themselves, records are kept."""

import http.client
import json
import re

import pytest
from botocore.exceptions import ClientError

from local_sagemaker.api import validation
from local_sagemaker.api.refusals import REFUSED


def call(service, operation):
    """Send a minimal request for an operation; return status, code and message."""
    models = [validation.model(service) for service in validation.SERVICES]
    model = next(each for each in models if operation in each.operation_names)
    http_model = model.operation_model(operation).http
    headers, path = {"Content-Type": "application/json"}, http_model["requestUri"]
    if model.service_name == "sagemaker":
        headers["X-Amz-Target"] = f"SageMaker.{operation}"
    connection = http.client.HTTPConnection(service.url.partition("://")[2], timeout=30)
    try:
        path = re.sub(r"\{\w+\}", "x", path)
        connection.request(http_model["method"], path, b"{}", headers)
        response = connection.getresponse()
        body = json.loads(response.read())
        return response.status, response.getheader("x-amzn-ErrorType"), body["message"]
    finally:
        connection.close()


def test_each_refused_operation_is_refused_by_name(service):
    for operation, group in REFUSED.items():
        status, code, message = call(service, operation)
        assert (status, code) == (501, "NotImplemented"), operation
        assert operation in message and message.endswith(group.advice)


def test_boto3_raises_the_refusal(sm):
    with pytest.raises(ClientError, match=r"\(NotImplemented\).*CreateProcessingJob") as raised:
        sm.create_processing_job(
            ProcessingJobName="p",
            ProcessingResources={
                "ClusterConfig": {
                    "InstanceCount": 1,
                    "InstanceType": "ml.m5.large",
                    "VolumeSizeInGB": 1,
                }
            },
            AppSpecification={"ImageUri": "image"},
            RoleArn="arn:aws:iam::123456789012:role/r",
        )
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_records_are_kept_and_never_overwritten(service, sm):
    sm.create_experiment(ExperimentName="e")
    sm.create_trial(TrialName="t", ExperimentName="e")
    sm.create_trial_component(TrialComponentName="c", Parameters={"k": {"NumberValue": 1.0}})
    sm.associate_trial_component(TrialComponentName="c", TrialName="t")
    metrics = [{"MetricName": "rmse", "Timestamp": 1_700_000_000, "Step": 1, "Value": 0.5}]
    client = service.client("sagemaker-metrics")
    assert client.batch_put_metrics(TrialComponentName="c", MetricData=metrics)["Errors"] == []
    for create in (
        lambda: sm.create_experiment(ExperimentName="e"),
        lambda: sm.create_trial(TrialName="t", ExperimentName="e"),
        lambda: sm.create_trial_component(TrialComponentName="c"),
    ):
        with pytest.raises(ClientError, match=r"\(ValidationException\).*already exists"):
            create()
    component = sm.describe_trial_component(TrialComponentName="c")
    assert component["Parameters"] == {"k": {"NumberValue": 1.0}}
    assert component["Metrics"][0]["MetricName"] == "rmse"
    with pytest.raises(ClientError, match=r"\(ResourceNotFound\).*'nobody'"):
        sm.describe_experiment(ExperimentName="nobody")


def test_the_model_registry_keeps_packages(sm):
    group = sm.create_model_package_group(ModelPackageGroupName="g")["ModelPackageGroupArn"]
    package = sm.create_model_package(
        ModelPackageGroupName="g", ModelApprovalStatus="PendingManualApproval"
    )["ModelPackageArn"]
    sm.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
    described = sm.describe_model_package(ModelPackageName=package)
    assert described["ModelApprovalStatus"] == "Approved"
    sm.add_tags(ResourceArn=group, Tags=[{"Key": "a", "Value": "b"}])
    assert sm.list_tags(ResourceArn=group)["Tags"] == [{"Key": "a", "Value": "b"}]


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:sagemaker:us-east-1:123456789012:model/nobody",
        "arn:aws:sagemaker:us-east-1:123456789012:cluster/nobody",
        "arn:aws:sagemaker:us-east-1:123456789012:nothing",
    ],
)
def test_tags_of_an_unknown_resource_are_an_error_of_the_caller(sm, arn):
    with pytest.raises(ClientError, match=r"\(ValidationException\).*Could not find"):
        sm.list_tags(ResourceArn=arn)
