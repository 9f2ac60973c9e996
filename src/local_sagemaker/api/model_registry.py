"""SageMaker's operations on model packages and their groups."""

import json
import threading
from collections.abc import Sequence

from local_sagemaker.api import validation
from local_sagemaker.api.pagination import listing
from local_sagemaker.context import Caller, Context, arn
from local_sagemaker.errors import ServiceError, conflict, invalid, not_found
from local_sagemaker.storage import lineage
from local_sagemaker.storage.records import Record, now

GROUP, PACKAGE = "model-package-group", "model-package"
_UPDATED = (
    *("ModelApprovalStatus", "ApprovalDescription", "ModelPackageRegistrationType"),
    *("InferenceSpecification", "SourceUri", "ModelCard", "ModelLifeCycle"),
)
_changing = threading.Lock()  # a version's number, and a group without packages, must stay so


def create_model_package_group(context: Context, request: Record, caller: Caller) -> Record:
    """Create a group, in which packages are versions."""
    name = request["ModelPackageGroupName"]
    resource = arn(GROUP, name, caller.region)
    record = {
        **request,
        "ModelPackageGroupArn": resource,
        "ModelPackageGroupStatus": "Completed",
        "CreationTime": now(),
        "CreatedBy": {},
        "LatestVersion": 0,
    }
    with context.store.together():
        if not context.store.add(GROUP, name, record):
            raise invalid(f"Model Package Group already exists: {resource}")
        lineage.record_group(context.store, record)
    return {"ModelPackageGroupArn": resource}


def describe_model_package_group(context: Context, request: Record, caller: Caller) -> Record:
    """Return a group."""
    return _group(context, request, caller)


def list_model_package_groups(context: Context, request: Record, _: Caller) -> Record:
    """Return the groups; there are none of other accounts."""
    other = request.get("CrossAccountFilterOption") == "CrossAccount"
    records = [] if other else context.store.all(GROUP)
    return listing("ListModelPackageGroups", records, request, "ModelPackageGroupName")


def delete_model_package_group(context: Context, request: Record, caller: Caller) -> Record:
    """Delete a group that has no packages."""
    with _changing:
        group = _group(context, request, caller)
        name = group["ModelPackageGroupName"]
        if any(r.get("ModelPackageGroupName") == name for r in context.store.all(PACKAGE)):
            raise conflict(
                f"Model Package Group {group['ModelPackageGroupArn']} cannot be deleted because"
                " it still contains Model Packages."
            )
        context.store.remove(GROUP, name)
    return {}


def get_model_package_group_policy(context: Context, request: Record, caller: Caller) -> Record:
    """Return a group's policy; with one account, no access depends on it."""
    group = _group(context, request, caller)
    if group.get("ResourcePolicy") is None:
        raise not_found(f"{group['ModelPackageGroupArn']} has no resource policy.")
    return group


def put_model_package_group_policy(context: Context, request: Record, caller: Caller) -> Record:
    """Keep a group's policy."""
    group = _group(context, request, caller)
    try:
        json.loads(request["ResourcePolicy"])
    except (ValueError, RecursionError) as error:
        raise invalid(f"ResourcePolicy must be JSON: {error}.") from error
    policy = request["ResourcePolicy"]
    context.store.update(GROUP, group["ModelPackageGroupName"], ResourcePolicy=policy)
    return group


def delete_model_package_group_policy(context: Context, request: Record, caller: Caller) -> Record:
    """Delete a group's policy."""
    group = get_model_package_group_policy(context, request, caller)
    context.store.update(GROUP, group["ModelPackageGroupName"], ResourcePolicy=None)
    return {}


def create_model_package(context: Context, request: Record, caller: Caller) -> Record:
    """Register a package: the next version of its group, or a package with a name of its own."""
    group = request.get("ModelPackageGroupName")
    if (group is None) == ("ModelPackageName" not in request):
        raise invalid("Exactly one of ModelPackageName and ModelPackageGroupName is required.")
    if group and request.get("Tags"):
        raise invalid("A package in a group has the tags of the group; it cannot have its own.")
    with _changing:
        for record in context.store.all(PACKAGE):  # a request that was sent twice
            if record.get("ClientToken", "") == request.get("ClientToken"):
                return record
        record = {
            "CertifyForMarketplace": False,
            **request,
            "CreationTime": now(),
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        }
        if group:
            return _add_version(context, record, caller)
        name = request["ModelPackageName"]
        resource = arn(PACKAGE, name, caller.region)
        record |= {"ModelApprovalStatus": None, "ModelPackageArn": resource}
        with context.store.together():
            if not context.store.add(PACKAGE, name, record):
                raise invalid(f"ModelPackage already exists: {resource}")
            lineage.record_package(context.store, record, None)
    return record


def describe_model_package(context: Context, request: Record, caller: Caller) -> Record:
    """Return a package, by its ARN, its name, or its group and version."""
    record = _package(context, request["ModelPackageName"], caller)
    if request.get("IncludedData") == "MetadataOnly":
        record["ModelCard"] = None
    return record


def list_model_packages(context: Context, request: Record, caller: Caller) -> Record:
    """Return the packages of a group, or those of a type."""
    group, approval = request.get("ModelPackageGroupName"), request.get("ModelApprovalStatus")
    if group is not None:
        group = _group(context, request, caller)["ModelPackageGroupName"]
    kind = request.get("ModelPackageType", "Versioned" if group else "Unversioned")
    records = [
        record
        for record in context.store.all(PACKAGE)
        if kind in ("Both", "Versioned" if "ModelPackageVersion" in record else "Unversioned")
        and group in (None, record.get("ModelPackageGroupName"))
        and approval in (None, record["ModelApprovalStatus"])
    ]
    return listing("ListModelPackages", records, request, "ModelPackageName")


def update_model_package(context: Context, request: Record, caller: Caller) -> Record:
    """Change a package's approval and other members."""
    record = _package(context, request["ModelPackageArn"], caller)
    if "ModelApprovalStatus" in request and "ModelPackageVersion" not in record:
        raise invalid("ModelApprovalStatus does not apply to a package without a group.")
    changes = {name: request[name] for name in _UPDATED if name in request}
    metadata = {
        **(record.get("CustomerMetadataProperties") or {}),
        **request.get("CustomerMetadataProperties", {}),
    }
    for key in request.get("CustomerMetadataPropertiesToRemove", ()):
        metadata.pop(key, None)
    if len(metadata) > 50:
        raise invalid(f"A package may have 50 customer metadata properties; got {len(metadata)}.")
    more = [
        *(record.get("AdditionalInferenceSpecifications") or ()),
        *request.get("AdditionalInferenceSpecificationsToAdd", ()),
    ]
    if len({entry["Name"] for entry in more}) != len(more):
        raise invalid("The names of additional inference specifications must be unique.")
    changes |= {
        "CustomerMetadataProperties": metadata or None,
        "AdditionalInferenceSpecifications": more or None,
        "LastModifiedBy": {},
    }
    before = record["ModelApprovalStatus"]
    with context.store.together():
        context.store.update(PACKAGE, _key(record["ModelPackageArn"]), **changes)
        if changes.get("ModelApprovalStatus", before) != before:
            lineage.record_approval(context.store, {**record, **changes})
    return record


def delete_model_package(context: Context, request: Record, caller: Caller) -> Record:
    """Delete a package; models that were created from it keep their copy."""
    record = _package(context, request["ModelPackageName"], caller)
    context.store.remove(PACKAGE, _key(record["ModelPackageArn"]))
    return {}


def batch_describe_model_package(context: Context, request: Record, caller: Caller) -> Record:
    """Return several packages by their ARNs, with an error for each that does not exist."""
    shape = validation.model().shape_for("BatchDescribeModelPackageSummary")
    summaries, errors = {}, {}
    for resource in request["ModelPackageArnList"]:
        try:
            summaries[resource] = validation.select(_package(context, resource, caller), shape)
        except ServiceError as error:
            errors[resource] = {"ErrorCode": error.code, "ErrorResponse": error.message}
    return {"ModelPackageSummaries": summaries, "BatchDescribeModelPackageErrorMap": errors}


def model_containers(
    context: Context, definitions: Sequence[Record], caller: Caller
) -> list[Record]:
    """Return a model's containers, with those of a package in place of a container that names it.

    Raises: ServiceError if a package does not exist or is not approved, or if it has several
        containers where only one can be.
    """
    containers = []
    for definition in definitions:
        found = _package_containers(context, definition, caller)
        if len(found) > 1 and (len(definitions) > 1 or definition.get("Environment")):
            raise invalid(
                f"Model package {definition['ModelPackageName']} has {len(found)} containers; it"
                " must be a model's only container, without an Environment."
            )
        containers += found
    return containers


def _package_containers(context: Context, container: Record, caller: Caller) -> list[Record]:
    """Return the containers of the package that a container names, or the container alone."""
    reference = container.get("ModelPackageName")
    if reference is None:
        return [container]
    for member in ("Image", "ModelDataUrl", "ModelDataSource"):
        if member in container:
            raise invalid(f"A container with a ModelPackageName cannot have a {member} too.")
    package = _package(context, reference, caller)
    resource, approval = package["ModelPackageArn"], package["ModelApprovalStatus"]
    if approval not in (None, "Approved"):
        raise invalid(
            f'Cannot create a model from model package "{resource}": its approval status is'
            f" {approval}, and must be Approved."
        )
    specification = package.get("InferenceSpecification")
    if name := container.get("InferenceSpecificationName"):
        more = package.get("AdditionalInferenceSpecifications") or ()
        specification = next((entry for entry in more if entry["Name"] == name), None)
    if specification is None:
        raise invalid(f'Model package "{resource}" has no such InferenceSpecification.')
    shape = validation.model().shape_for("ContainerDefinition")
    return [
        {
            **validation.select(source, shape),
            **container,
            "Environment": {**source.get("Environment", {}), **container.get("Environment", {})},
        }
        for source in specification["Containers"]
    ]


def _add_version(context: Context, record: Record, caller: Caller) -> Record:
    group = _group(context, record, caller)
    name, version = group["ModelPackageGroupName"], group["LatestVersion"] + 1
    record |= {
        "ModelPackageName": name,
        "ModelPackageGroupName": name,
        "ModelPackageVersion": version,
        "ModelPackageArn": arn(PACKAGE, f"{name}/{version}", caller.region),
        "ModelApprovalStatus": record.get("ModelApprovalStatus", "PendingManualApproval"),
    }
    with context.store.together():
        context.store.update(GROUP, name, LatestVersion=version)
        context.store.add(PACKAGE, f"{name}/{version}", record)
        lineage.record_package(context.store, record, group)
    return record


def _group(context: Context, request: Record, caller: Caller) -> Record:
    return _find(context, GROUP, request["ModelPackageGroupName"], caller)


def _package(context: Context, reference: str, caller: Caller) -> Record:
    return _find(context, PACKAGE, reference, caller)


def _find(context: Context, kind: str, reference: str, caller: Caller) -> Record:
    """Return the record that an ARN or a name refers to."""
    title = "ModelPackageGroup" if kind == GROUP else "ModelPackage"
    record = context.store.get(kind, _key(reference))
    is_arn = reference.startswith("arn:")
    if record is None or (is_arn and record[f"{title}Arn"] != reference):
        resource = reference if is_arn else arn(kind, reference, caller.region)
        raise invalid(f"{title} {resource} does not exist.")
    return record


def _key(reference: str) -> str:
    """Return the name in the store for an ARN or a name; that of a version has a slash."""
    return reference.partition("/")[2] if reference.startswith("arn:") else reference
