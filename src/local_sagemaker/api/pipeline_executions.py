"""SageMaker's operations on executions of pipelines and their steps."""

import json
import secrets
import string
import time

from local_sagemaker.api.long_poll import first_describe, forget
from local_sagemaker.api.pagination import listing, page
from local_sagemaker.api.pipelines import executions_of, find, find_version
from local_sagemaker.context import Caller, Context
from local_sagemaker.errors import conflict, not_found
from local_sagemaker.pipelines.definition import parse
from local_sagemaker.pipelines.execution import Execution
from local_sagemaker.pipelines.parameters import values
from local_sagemaker.pipelines.records import ENDED, EXECUTION, STATUS, STEP, steps_of
from local_sagemaker.storage.records import Record, now

_ARN, _TOKEN = "PipelineExecutionArn", "ClientRequestToken"
_CHARACTERS = string.ascii_lowercase + string.digits
_STEPS = 100  # of a page without MaxResults: the SDKs read one page


def start_pipeline_execution(context: Context, request: Record, caller: Caller) -> Record:
    """Create an execution and start it."""
    pipeline = find(context, request["PipelineName"], caller)
    for execution in executions_of(context, pipeline):  # a request that was sent twice
        if execution[_TOKEN] == request[_TOKEN]:
            return execution
    version = find_version(context, pipeline, request.get("PipelineVersionId"))
    definition = parse(version["PipelineDefinition"])
    name = "".join(secrets.choice(_CHARACTERS) for _ in range(12))
    record = {
        "PipelineExecutionDisplayName": f"execution-{time.time_ns() // 10**6}",
        "ParallelismConfiguration": pipeline.get("ParallelismConfiguration"),
        **request,
        "Execution": name,
        "PipelineName": pipeline["PipelineName"],
        "PipelineArn": pipeline["PipelineArn"],
        _ARN: f"{pipeline['PipelineArn']}/execution/{name}",
        STATUS: "Executing",
        "PipelineVersionId": version["PipelineVersionId"],
        "PipelineDefinition": version["PipelineDefinition"],
        "Parameters": values(definition.parameters, request.get("PipelineParameters") or ()),
        "CreationTime": now(),
        "CreatedBy": {},
        "LastModifiedBy": {},
    }
    context.store.add(EXECUTION, name, record)
    _submit(context, name, caller)
    return record


def describe_pipeline_execution(context: Context, request: Record, caller: Caller) -> Record:
    """Return an execution. The first call waits until it has ended: see `first_describe`."""
    name = _find(context, request)["Execution"]
    first_describe(context, EXECUTION, name, caller, _has_ended)
    return _find(context, request)


def list_pipeline_executions(context: Context, request: Record, caller: Caller) -> Record:
    """Return the executions of a pipeline."""
    records = [
        {
            **record,
            "StartTime": record["CreationTime"],
            "PipelineExecutionFailureReason": record.get("FailureReason"),
        }
        for record in executions_of(context, find(context, request["PipelineName"], caller))
    ]
    return listing("ListPipelineExecutions", records, request, _ARN)


def update_pipeline_execution(context: Context, request: Record, _: Caller) -> Record:
    """Change the names of an execution, or how many of its steps run at the same time."""
    record = _find(context, request)
    changes = {name: value for name, value in request.items() if name != _ARN}
    context.store.update(EXECUTION, record["Execution"], **changes)
    return record


def stop_pipeline_execution(context: Context, request: Record, _: Caller) -> Record:
    """Ask an execution and the jobs of its steps to stop."""
    record = _find(context, request)
    if record[STATUS] != "Executing":
        raise conflict(
            f"Pipeline execution with ARN {record[_ARN]} has the status {record[STATUS]}. Only"
            " executions with the status Executing can be stopped."
        )
    context.store.move(EXECUTION, record["Execution"], STATUS, "Executing", "Stopping")
    return record


def retry_pipeline_execution(context: Context, request: Record, caller: Caller) -> Record:
    """Run the steps of an execution that failed, were stopped or did not start."""
    record = _find(context, request)
    name = record["Execution"]
    if record.get("RetryToken") == request[_TOKEN]:  # a request that was sent twice
        return record
    with context.store.together():
        if _find(context, request)[STATUS] not in ("Failed", "Stopped"):
            raise conflict(
                f"Pipeline execution with ARN {record[_ARN]} has the status {record[STATUS]}. Only"
                " executions with the status Failed or Stopped can be retried."
            )
        for step in steps_of(context.store, name):
            if step["StepStatus"] != "Succeeded":
                context.store.remove(STEP, step["Key"])
        changes = {STATUS: "Executing", "FailureReason": None, "RetryToken": request[_TOKEN]}
        if "ParallelismConfiguration" in request:
            changes["ParallelismConfiguration"] = request["ParallelismConfiguration"]
        context.store.update(EXECUTION, name, **changes)
    _submit(context, name, caller)
    return record


def list_pipeline_execution_steps(context: Context, request: Record, _: Caller) -> Record:
    """Return the steps that have started, the latest first."""
    records = steps_of(context.store, _find(context, request)["Execution"])
    request = {"MaxResults": _STEPS, **request, "SortBy": "Number"}
    return listing("ListPipelineExecutionSteps", records, request, "StepName")


def list_pipeline_parameters_for_execution(context: Context, request: Record, _: Caller) -> Record:
    """Return the values of an execution's parameters."""
    parameters = [
        {"Name": name, "Value": value if isinstance(value, str) else json.dumps(value)}
        for name, value in sorted(_find(context, request)["Parameters"].items())
    ]
    chosen, token = page(parameters, request, _STEPS)
    return {"PipelineParameters": chosen, **token}


def describe_pipeline_definition_for_execution(
    context: Context, request: Record, _: Caller
) -> Record:
    """Return the definition that an execution has."""
    return _find(context, request)


def _submit(context: Context, name: str, caller: Caller) -> None:
    # This module is part of the registry.
    from local_sagemaker.api import dispatch

    forget(context, EXECUTION, name)
    inner = Caller(caller.region, waits=False)
    Execution(
        context, lambda op, request: dispatch.call(context, op, request, inner), name
    ).submit()


def _find(context: Context, request: Record) -> Record:
    resource = request.get(_ARN, "")
    record = context.store.get(EXECUTION, resource.rpartition("/")[2])
    if record is None or record[_ARN] != resource:
        raise not_found(f"Pipeline execution '{resource}' does not exist.")
    return record


def _has_ended(record: Record | None) -> bool:
    return record is None or record[STATUS] in ENDED
