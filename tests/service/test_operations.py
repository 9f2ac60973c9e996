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
    with pytest.raises(ClientError, match=r"\(NotImplemented\).*ListCodeRepositories") as raised:
        sm.list_code_repositories()
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


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
