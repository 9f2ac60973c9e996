"""The model registry: groups, versions, approval, and models that are made from packages."""

import itertools
import re

import pytest
from botocore.exceptions import ClientError

from support import sdk
from support.service import BUCKET, IMAGE, ROLE, ROOT, ended, run_sdk, training

ACCOUNT = "arn:aws:sagemaker:us-east-1:123456789012"
_number = itertools.count()


def specification(**changes):
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/m.tar.gz", **changes}
    return {
        "Containers": [container],
        "SupportedContentTypes": ["application/json"],
        "SupportedResponseMIMETypes": ["application/json"],
    }


@pytest.fixture
def group(sm):
    name = f"group-{next(_number)}"
    sm.create_model_package_group(ModelPackageGroupName=name)
    return name


def register(sm, group, **members):
    request = {"InferenceSpecification": specification(), **members}
    return sm.create_model_package(ModelPackageGroupName=group, **request)["ModelPackageArn"]


def refused(pattern):
    return pytest.raises(ClientError, match=pattern)


def test_a_group_and_its_versions(sm, group):
    first, second = register(sm, group), register(sm, group, ModelApprovalStatus="Approved")
    assert first == f"{ACCOUNT}:model-package/{group}/1"
    assert second == f"{ACCOUNT}:model-package/{group}/2"
    described = sm.describe_model_package(ModelPackageName=first)
    assert described == sm.describe_model_package(ModelPackageName=f"{group}/1") | {
        "ResponseMetadata": described["ResponseMetadata"]
    }
    expected = {
        "ModelPackageName": group,
        "ModelPackageGroupName": group,
        "ModelPackageVersion": 1,
        "ModelPackageArn": first,
        "InferenceSpecification": specification(),
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        "ModelApprovalStatus": "PendingManualApproval",
        "CertifyForMarketplace": False,
    }
    assert {name: described[name] for name in expected} == expected
    sm.delete_model_package(ModelPackageName=second)
    assert register(sm, group).endswith("/3")  # the number of a deleted version is not used again
    about = sm.describe_model_package_group(ModelPackageGroupName=group)
    assert about["ModelPackageGroupStatus"] == "Completed"
    assert about["ModelPackageGroupArn"] == f"{ACCOUNT}:model-package-group/{group}"


def test_a_group_is_deleted_when_it_is_empty(sm, group):
    package = register(sm, group)
    with refused(r"\(ConflictException\).*still contains Model Packages"):
        sm.delete_model_package_group(ModelPackageGroupName=group)
    sm.delete_model_package(ModelPackageName=package)
    sm.delete_model_package_group(ModelPackageGroupName=group)
    with refused(rf"ModelPackageGroup .*/{group} does not exist"):
        sm.describe_model_package_group(ModelPackageGroupName=group)
    for call in (sm.describe_model_package, sm.delete_model_package):
        with refused(rf"\(ValidationException\).*ModelPackage {package} does not exist"):
            call(ModelPackageName=package)


def test_a_repeated_request_registers_one_version(sm, group):
    arns = {register(sm, group, ClientToken=group) for _ in range(3)}
    assert len(arns) == 1
    with refused(r"Model Package Group already exists"):
        sm.create_model_package_group(ModelPackageGroupName=group)


def test_a_package_without_a_group(sm, group):
    name = f"{group}-alone"
    request = {"ModelPackageName": name, "InferenceSpecification": specification()}
    arn = sm.create_model_package(**request, Tags=[{"Key": "a", "Value": "b"}])["ModelPackageArn"]
    assert arn == f"{ACCOUNT}:model-package/{name}"
    described = sm.describe_model_package(ModelPackageName=name)
    assert "ModelApprovalStatus" not in described and "ModelPackageVersion" not in described
    assert sm.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    with refused(r"ModelPackage already exists"):
        sm.create_model_package(**request)
    with refused("does not apply to a package without a group"):
        sm.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    sm.create_model(
        ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"ModelPackageName": name}
    )


def test_lists_by_group_approval_type_and_page(sm, group):
    approved = [register(sm, group, ModelApprovalStatus="Approved") for _ in range(2)]
    rejected = register(sm, group, ModelApprovalStatus="Rejected")
    alone = sm.create_model_package(ModelPackageName=f"{group}-x")["ModelPackageArn"]

    def arns(**filters):
        pages = sm.get_paginator("list_model_packages").paginate(SortOrder="Ascending", **filters)
        return [s["ModelPackageArn"] for page in pages for s in page["ModelPackageSummaryList"]]

    assert arns(ModelPackageGroupName=group) == [*approved, rejected]
    assert arns(ModelPackageGroupName=group, MaxResults=1) == [*approved, rejected]
    assert arns(ModelPackageGroupName=group, ModelApprovalStatus="Approved") == approved
    assert arns(NameContains=group) == [alone]
    assert arns(NameContains=group, ModelPackageType="Versioned") == [*approved, rejected]
    assert arns(NameContains=group, ModelPackageType="Both") == [*approved, rejected, alone]
    names = sm.list_model_package_groups(NameContains=group)["ModelPackageGroupSummaryList"]
    assert [entry["ModelPackageGroupName"] for entry in names] == [group]
    assert not sm.list_model_package_groups(CrossAccountFilterOption="CrossAccount")[
        "ModelPackageGroupSummaryList"
    ]
    with refused("does not exist"):
        arns(ModelPackageGroupName="nobody")


def test_an_update_changes_what_it_names(sm, group):
    package = register(sm, group, CustomerMetadataProperties={"a": "1", "b": "2"})
    more = {"Name": "other", **specification(Environment={"A": "1"})}
    sm.update_model_package(
        ModelPackageArn=package,
        ModelApprovalStatus="Approved",
        ApprovalDescription="looked at",
        CustomerMetadataProperties={"b": "3", "c": "4"},
        CustomerMetadataPropertiesToRemove=["a"],
        AdditionalInferenceSpecificationsToAdd=[more],
    )
    described = sm.describe_model_package(ModelPackageName=package)
    assert described["ModelApprovalStatus"] == "Approved"
    assert described["ApprovalDescription"] == "looked at"
    assert described["CustomerMetadataProperties"] == {"b": "3", "c": "4"}
    assert described["AdditionalInferenceSpecifications"] == [more]
    with refused("names of additional inference specifications must be unique"):
        sm.update_model_package(
            ModelPackageArn=package, AdditionalInferenceSpecificationsToAdd=[more]
        )
    container = {"ModelPackageName": package, "InferenceSpecificationName": "other"}
    sm.create_model(ModelName=group, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    model = sm.describe_model(ModelName=group)["PrimaryContainer"]
    assert model == {
        "Mode": "SingleModel",
        **container, "Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/m.tar.gz",
        "Environment": {"A": "1"},
    }  # fmt: skip


def test_several_packages_are_described_at_once(sm, group):
    package, missing = register(sm, group), f"{ACCOUNT}:model-package/{group}/9"
    answer = sm.batch_describe_model_package(ModelPackageArnList=[package, missing])
    assert set(answer["ModelPackageSummaries"]) == {package}
    assert answer["ModelPackageSummaries"][package]["InferenceSpecification"] == specification()
    error = answer["BatchDescribeModelPackageErrorMap"][missing]
    assert error["ErrorCode"] == "ValidationException"
    assert error["ErrorResponse"].endswith("does not exist.")


def test_a_policy_of_a_group(sm, group):
    with refused(r"\(ResourceNotFound\)"):
        sm.get_model_package_group_policy(ModelPackageGroupName=group)
    with refused("ResourcePolicy must be JSON"):
        sm.put_model_package_group_policy(ModelPackageGroupName=group, ResourcePolicy="{")
    sm.put_model_package_group_policy(ModelPackageGroupName=group, ResourcePolicy="{}")
    kept = sm.get_model_package_group_policy(ModelPackageGroupName=group)
    assert kept["ResourcePolicy"] == "{}"
    sm.delete_model_package_group_policy(ModelPackageGroupName=group)
    with refused(r"\(ResourceNotFound\)"):
        sm.get_model_package_group_policy(ModelPackageGroupName=group)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"ModelPackageName": "n"}, "Exactly one of ModelPackageName and ModelPackageGroupName"),
        ({"Tags": [{"Key": "a", "Value": "b"}]}, "has the tags of the group"),
        ({"CertifyForMarketplace": True}, "CertifyForMarketplace True is not offered"),
        ({"ManagedStorageType": "Restricted"}, "ManagedStorageType 'Restricted' is not offered"),
        (
            {"SourceAlgorithmSpecification": {"SourceAlgorithms": [{"AlgorithmName": "a"}]}},
            "SourceAlgorithmSpecification is not offered",
        ),
    ],
)
def test_what_would_not_be_done_is_refused(sm, group, members, message):
    with refused(rf"\(ValidationException\).*{message}"):
        register(sm, group, **members)


@pytest.mark.parametrize("status", ["PendingManualApproval", "Rejected"])
def test_a_package_that_is_not_approved_makes_no_model(sm, group, status):
    package = register(sm, group, ModelApprovalStatus=status)
    with refused(rf"\(ValidationException\).*{package}.*{status}"):
        sm.create_model(
            ModelName=group, ExecutionRoleArn=ROLE, PrimaryContainer={"ModelPackageName": package}
        )


@pytest.mark.parametrize(
    ("container", "message"),
    [
        ({"ModelPackageName": "nobody/1"}, "ModelPackage .*/nobody/1 does not exist"),
        ({"ModelPackageName": "g", "Image": IMAGE}, "cannot have a Image too"),
        ({}, "must have an Image or a ModelPackageName"),
    ],
)
def test_containers_that_no_package_can_complete(sm, container, message):
    with refused(rf"\(ValidationException\).*{message}"):
        sm.create_model(
            ModelName="none", ExecutionRoleArn=ROLE, Containers=[{"Environment": {}, **container}]
        )


def test_an_endpoint_serves_the_model_of_a_deleted_package(service, sm, group):
    sm.create_training_job(**training(group))
    job = ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=group)
    uri = job["ModelArtifacts"]["S3ModelArtifacts"]
    package = register(
        sm,
        group,
        ModelApprovalStatus="Approved",
        InferenceSpecification=specification(ModelDataUrl=uri),
    )
    containers = [{"ModelPackageName": f"{group}/1"}]
    sm.create_model(ModelName=group, ExecutionRoleArn=ROLE, Containers=containers)
    sm.delete_model_package(ModelPackageName=package)
    variant = {
        "VariantName": "v", "ModelName": group, "InstanceType": "ml.c4.xlarge",
        "InitialInstanceCount": 1,
    }  # fmt: skip
    sm.create_endpoint_config(EndpointConfigName=group, ProductionVariants=[variant])
    sm.create_endpoint(EndpointName=group, EndpointConfigName=group)
    described = ended(sm.describe_endpoint, "EndpointStatus", EndpointName=group)
    assert described["EndpointStatus"] == "InService"
    answer = service.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=group, ContentType="text/csv", Body=b",".join([b"1"] * 30)
    )
    assert b'"score"' in answer["Body"].read()
    sm.delete_endpoint(EndpointName=group)


@pytest.mark.sdk
def test_a_registered_model_is_deployed_by_the_sdk_v2(service):
    if reason := sdk.missing(2, containers=False):
        pytest.skip(reason)
    output = run_sdk(service, 2, ROOT / "tests/service/registry_v2.py", IMAGE, BUCKET)
    assert "VERSIONS [(2, 'Approved'), (1, 'PendingManualApproval')]" in output
    scores = re.findall(r"^SCORE (\S+)$", output, re.MULTILINE)
    assert len(scores) == 2 and scores[0] == scores[1]
