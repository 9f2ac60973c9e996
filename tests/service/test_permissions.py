"""What is asked of IAM before a job is made, and what nobody answers."""

import pytest
from botocore.exceptions import ClientError

from support.service import ROLE, training

ACTIONS = ["sagemaker:CreateTrainingJob", "s3:GetObject"]


def test_the_role_of_the_service_may_do_all_and_sagemaker_may_assume_it(service):
    iam = service.client("iam")
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=ROLE, ActionNames=ACTIONS
    )
    results = [result for page in pages for result in page["EvaluationResults"]]
    assert [result["EvalActionName"] for result in results] == ACTIONS
    assert {result["EvalDecision"] for result in results} == {"allowed"}
    trust = iam.get_role(RoleName=ROLE.rpartition("/")[2])["Role"]["AssumeRolePolicyDocument"]
    assert trust["Statement"][0]["Principal"] == {"Service": "sagemaker.amazonaws.com"}


def test_a_role_that_is_not_there_is_named(service):
    iam = service.client("iam")
    with pytest.raises(ClientError, match=r"\(NoSuchEntity\).*nobody") as error:
        iam.simulate_principal_policy(
            PolicySourceArn="arn:aws:iam::123456789012:role/nobody", ActionNames=ACTIONS
        )
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("SageMakerRole", ""),
        ("AmazonSageMaker-ExecutionRole-20200101T000001", "service-role/"),
    ],
)
def test_the_roles_that_examples_name_exist(service, name, path):
    iam = service.client("iam")
    arn = f"arn:aws:iam::123456789012:role/{path}{name}"
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=arn, ActionNames=ACTIONS
    )
    assert {r["EvalDecision"] for page in pages for r in page["EvaluationResults"]} == {"allowed"}
    assert iam.get_role(RoleName=name)["Role"]["Arn"] == arn


def test_another_role_exists_once_it_is_created(service):
    iam = service.client("iam")
    with pytest.raises(ClientError, match=r"\(NoSuchEntity\).*SageMakerRole.*CreateRole"):
        iam.get_role(RoleName="mine")
    iam.create_role(RoleName="mine", AssumeRolePolicyDocument="{}")
    assert iam.get_role(RoleName="mine")["Role"]["RoleName"] == "mine"


@pytest.mark.parametrize("role", ["service-role/SageMakerRole", "arn:aws:iam::1:role/mine"])
def test_a_role_that_is_no_arn_is_refused(sm, role):
    with pytest.raises(ClientError, match=r"\(ValidationException\).*'roleArn' failed"):
        sm.create_training_job(**{**training("no-role"), "RoleArn": role})


@pytest.mark.parametrize(
    ("client", "operation", "arguments"),
    [
        ("iam", "get_context_keys_for_custom_policy", {"PolicyInputList": ["{}"]}),  # XML
        ("logs", "test_metric_filter", {"filterPattern": "x", "logEventMessages": ["x"]}),  # JSON
    ],
)
def test_what_the_service_lacks_is_an_error_that_says_so(service, client, operation, arguments):
    asked = getattr(service.client(client), operation)
    with pytest.raises(ClientError, match=rf"\(NotImplemented\).*{operation} action") as error:
        asked(**arguments)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
