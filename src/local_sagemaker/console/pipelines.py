"""Pipelines and their executions as the console displays them."""

import graphlib
from collections.abc import Mapping
from typing import Any

from local_sagemaker.api import dispatch
from local_sagemaker.console.views import seconds
from local_sagemaker.context import Caller, Context
from local_sagemaker.pipelines.definition import Definition, parse
from local_sagemaker.pipelines.records import ENDED
from local_sagemaker.storage.records import Record

_ARN = "PipelineExecutionArn"


def pipeline(context: Context, name: str) -> dict[str, Any]:
    """Return a pipeline with the steps of its latest definition. Raises: ServiceError."""
    record = _call(context, "DescribePipeline", PipelineName=name)
    definition = parse(record["PipelineDefinition"])
    return {
        "name": name,
        "created": seconds(record["CreationTime"]),
        "description": record.get("PipelineDescription"),
        "steps": _steps(definition),
    }


def execution(context: Context, name: str, identifier: str) -> dict[str, Any]:
    """Return an execution of a pipeline with all steps, also those that have not started.

    Raises: ServiceError.
    """
    pipeline_arn = _call(context, "DescribePipeline", PipelineName=name)["PipelineArn"]
    arn = f"{pipeline_arn}/execution/{identifier}"
    record = _call(context, "DescribePipelineExecution", **{_ARN: arn})
    text = _call(context, "DescribePipelineDefinitionForExecution", **{_ARN: arn})
    definition = parse(text["PipelineDefinition"])
    started = {step["StepName"]: step for step in _all_steps(context, arn)}
    parameters = _call(context, "ListPipelineParametersForExecution", **{_ARN: arn})
    status = record["PipelineExecutionStatus"]
    return {
        "arn": arn,
        "title": record.get("PipelineExecutionDisplayName"),
        "status": status,
        "reason": record.get("FailureReason"),
        "created": seconds(record["CreationTime"]),
        "parameters": {one["Name"]: one["Value"] for one in parameters["PipelineParameters"]},
        "steps": [
            {
                **step,
                **_state(started.get(step["name"])),
                "status": _status(definition, step["name"], started, status in ENDED),
            }
            for step in _steps(definition)
        ],
    }


def _call(context: Context, operation: str, **request: Any) -> Record:
    return dispatch.call(context, operation, request, Caller(waits=False))


def _all_steps(context: Context, arn: str) -> list[Record]:
    """Return the steps of an execution that have started, of all pages."""
    steps: list[Record] = []
    request = {_ARN: arn}
    while True:
        page = _call(context, "ListPipelineExecutionSteps", **request)
        steps += page["PipelineExecutionSteps"]
        if "NextToken" not in page:
            return steps
        request["NextToken"] = page["NextToken"]


def _steps(definition: Definition) -> list[dict[str, Any]]:
    """Return the members of each step that its definition determines.

    `after` has its dependencies without those that another of them depends on.
    """
    graph = {name: step.dependencies() for name, step in definition.steps.items()}
    ancestors: dict[str, set[str]] = {}
    for name in graphlib.TopologicalSorter(graph).static_order():
        ancestors[name] = graph[name].union(*(ancestors[near] for near in graph[name]))
    return [
        {
            "name": name,
            "title": step.members.get("DisplayName") or name,
            "type": step.type,
            "after": sorted(graph[name].difference(*(ancestors[near] for near in graph[name]))),
            "branch": step.branch,
        }
        for name, step in definition.steps.items()
    ]


def _state(record: Record | None) -> dict[str, Any]:
    """Return the members of a step that its execution determines."""
    record = record or {}
    details = list((record.get("Metadata") or {}).values())
    return {
        "reason": record.get("FailureReason"),
        "started": seconds(record.get("StartTime")),
        "ended": seconds(record.get("EndTime")),
        "arn": details[0].get("Arn") if details else None,
        "outcome": details[0].get("Outcome") if details else None,
        "cached": "CacheHitResult" in record,
    }


def _status(definition: Definition, name: str, started: Mapping[str, Record], is_over: bool) -> str:
    """Return the status of a step; one that has not started is Waiting, Skipped or NotRun."""
    if name in started:
        return str(started[name]["StepStatus"])
    if branch := definition.steps[name].branch:
        condition, outcome = branch
        decided = _state(started.get(condition))["outcome"]
        if decided not in (None, str(outcome)):
            return "Skipped"
        if _status(definition, condition, started, is_over) == "Skipped":
            return "Skipped"
    return "NotRun" if is_over else "Waiting"
