"""SageMaker's operations on pipelines and their versions."""

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local_sagemaker.api import step_arguments
from local_sagemaker.api.pagination import listing
from local_sagemaker.context import Caller, Context, arn
from local_sagemaker.errors import conflict, invalid, not_found
from local_sagemaker.pipelines.definition import parse
from local_sagemaker.pipelines.records import ENDED, EXECUTION, PIPELINE, STATUS, STEP, VERSION
from local_sagemaker.storage.records import Record, now

_TEXT, _LOCATION = "PipelineDefinition", "PipelineDefinitionS3Location"


def create_pipeline(context: Context, request: Record, caller: Caller) -> Record:
    """Create a pipeline; its definition must be one that can be executed here."""
    name, definition = request["PipelineName"], _definition(context, request)
    if definition is None:
        raise invalid(f"Exactly one of {_TEXT} and {_LOCATION} is required.")
    resource = arn(PIPELINE, name, caller.region)
    record = {
        "PipelineDisplayName": name,
        **_settings(request),
        "PipelineArn": resource,
        "PipelineStatus": "Active",
        "CreationTime": now(),
        "CreatedBy": {},
        "LastModifiedBy": {},
    }
    with context.store.together():
        if context.store.add(PIPELINE, name, record):
            _add_version(context, name, definition)
        elif (context.store.get(PIPELINE, name) or {})["ClientRequestToken"] != request[
            "ClientRequestToken"
        ]:
            raise invalid(
                "Pipeline names must be unique within an AWS account and region. Pipeline with"
                f" name ({name}) already exists."
            )
    return {"PipelineArn": resource}


def update_pipeline(context: Context, request: Record, caller: Caller) -> Record:
    """Change a pipeline; a new definition is its next version."""
    record = find(context, request["PipelineName"], caller)
    name, definition = record["PipelineName"], _definition(context, request)
    with context.store.together():
        context.store.update(PIPELINE, name, **_settings(request))
        version = find_version(context, record, None)
        if definition not in (None, version[_TEXT]):
            version = _add_version(context, name, str(definition))
    return {**record, "PipelineVersionId": version["PipelineVersionId"]}


def describe_pipeline(context: Context, request: Record, caller: Caller) -> Record:
    """Return a pipeline with the definition of its latest version, or of another one."""
    record = find(context, request["PipelineName"], caller)
    version = find_version(context, record, request.get("PipelineVersionId"))
    return {**version, **record, "LastRunTime": _last_run(context, record)}


def list_pipelines(context: Context, request: Record, _: Caller) -> Record:
    """Return the pipelines; none is managed by AWS."""
    records = [
        {**record, "LastExecutionTime": _last_run(context, record)}
        for record in context.store.all(PIPELINE)
        if record["PipelineName"].startswith(request.get("PipelineNamePrefix", ""))
    ]
    if request.get("ManagedBy") == "AWS":
        records = []
    return listing("ListPipelines", records, request, "PipelineName")


def delete_pipeline(context: Context, request: Record, caller: Caller) -> Record:
    """Delete a pipeline with its versions and executions; what these created stays."""
    record, store = find(context, request["PipelineName"], caller), context.store
    name = record["PipelineName"]
    with store.together():
        if any(e[STATUS] not in ENDED for e in executions_of(context, record)):
            raise conflict(f"Pipeline {record['PipelineArn']} has an execution that runs.")
        for kind, member in ((STEP, "Key"), (EXECUTION, "Execution"), (VERSION, "Key")):
            for entry in store.all(kind):
                if entry["PipelineName"] == name:
                    store.remove(kind, entry[member])
        store.remove(PIPELINE, name)
    return record


def list_pipeline_versions(context: Context, request: Record, caller: Caller) -> Record:
    """Return the versions of a pipeline, the latest first."""
    record = find(context, request["PipelineName"], caller)
    last = {
        e["PipelineVersionId"]: e["PipelineExecutionArn"] for e in executions_of(context, record)
    }
    versions = [
        {**version, "LastExecutionPipelineExecutionArn": last.get(version["PipelineVersionId"])}
        for version in _versions(context, record)
    ]
    request = {**request, "SortBy": "PipelineVersionId"}
    return listing("ListPipelineVersions", versions, request, "PipelineName")


def update_pipeline_version(context: Context, request: Record, caller: Caller) -> Record:
    """Change the display name or the description of a version."""
    version = find_version(
        context, find(context, request["PipelineArn"], caller), request["PipelineVersionId"]
    )
    changes = {k: v for k, v in request.items() if k.startswith("PipelineVersionD")}
    context.store.update(VERSION, version["Key"], **changes)
    return version


def find(context: Context, reference: str, caller: Caller) -> Record:
    """Return the pipeline that a name or an ARN refers to. Raises: ServiceError."""
    record = context.store.get(PIPELINE, reference.rpartition("/")[2])
    is_arn = reference.startswith("arn:")
    if record is None or (is_arn and record["PipelineArn"] != reference):
        resource = reference if is_arn else arn(PIPELINE, reference, caller.region)
        raise not_found(f"Pipeline '{resource}' does not exist.")
    return record


def find_version(context: Context, pipeline: Record, version: int | None) -> Record:
    """Return a version of a pipeline, or its latest one. Raises: ServiceError."""
    versions = _versions(context, pipeline)
    record = next((v for v in versions if version in (None, v["PipelineVersionId"])), None)
    if record is None:
        raise not_found(f"Pipeline '{pipeline['PipelineArn']}' has no version {version}.")
    return record


def executions_of(context: Context, pipeline: Record) -> list[Record]:
    """Return the executions of a pipeline, in the order of their start."""
    name = pipeline["PipelineName"]
    return [record for record in context.store.all(EXECUTION) if record["PipelineName"] == name]


def _settings(request: Record) -> Record:
    return {name: value for name, value in request.items() if name not in (_TEXT, _LOCATION)}


def _definition(context: Context, request: Record) -> str | None:
    """Return the valid definition of a request, or None if it has none."""
    text, location = request.get(_TEXT), request.get(_LOCATION)
    if text is not None and location is not None:
        raise invalid(f"Only one of {_TEXT} and {_LOCATION} is allowed.")
    if location is not None:
        members = {"Bucket": "Bucket", "ObjectKey": "Key", "VersionId": "VersionId"}
        source = {members[name]: value for name, value in location.items()}
        try:
            text = context.s3.get_object(**source)["Body"].read().decode()
        except (BotoCoreError, ClientError, UnicodeError) as error:
            raise invalid(f"{_LOCATION} cannot be read: {error}") from error
    if text is not None:
        step_arguments.check(parse(text))
    return text


def _versions(context: Context, pipeline: Record) -> list[Record]:
    """Return the versions of a pipeline, the latest first."""
    name = pipeline["PipelineName"]
    versions = [record for record in context.store.all(VERSION) if record["PipelineName"] == name]
    return sorted(versions, key=lambda record: -record["PipelineVersionId"])


def _add_version(context: Context, name: str, definition: str) -> Record:
    pipeline = context.store.get(PIPELINE, name) or {}
    number = len(_versions(context, pipeline)) + 1
    record: dict[str, Any] = {
        "Key": f"{name}/{number}",
        "PipelineName": name,
        "PipelineArn": pipeline["PipelineArn"],
        "PipelineVersionId": number,
        _TEXT: definition,
        "CreationTime": now(),
    }
    context.store.add(VERSION, record["Key"], record)
    return record


def _last_run(context: Context, pipeline: Record) -> Any:
    return max((e["CreationTime"] for e in executions_of(context, pipeline)), default=None)
