"""Runs single steps of an execution, and keeps their records."""

import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from local_sagemaker.context import Context
from local_sagemaker.errors import LocalError, ServiceError, write_log
from local_sagemaker.jobs.base import ENDED
from local_sagemaker.pipelines import cache, conditions, retries
from local_sagemaker.pipelines.definition import Definition, Step
from local_sagemaker.pipelines.expressions import evaluate
from local_sagemaker.pipelines.records import EXECUTION, STEP, steps_of
from local_sagemaker.pipelines.resources import Call, Resources
from local_sagemaker.pipelines.scope import StepScope
from local_sagemaker.pipelines.steps import STEP_TYPES, StepType, resource_name
from local_sagemaker.storage.records import Record, keep_trying, now

_REASON_LENGTH = 1024
_INTERNAL = "InternalServerError"


class Runner:
    """Starts steps, and records how their jobs ended.

    Attributes:
        records: the records of the steps that have started, by name.
        running: the steps with a job that runs.
        retries: when to start steps again whose retry policies ask for it, by the monotonic clock.
        abandoned: whether the service stops, so that nothing is recorded any more.
    """

    def __init__(self, context: Context, call: Call, execution: Record, definition: Definition):
        """Take the function for operations, the execution's record and its definition."""
        self._context, self._execution, self._definition = context, execution, definition
        self._resources = Resources(call, execution["PipelineExecutionArn"])
        steps = steps_of(context.store, execution["Execution"])
        self.records = {step["StepName"]: step for step in steps}
        self.running: list[Step] = []
        self.retries: dict[str, float] = {}
        self.abandoned = False

    def create_trial(self) -> None:
        """Create the experiment and the trial that the definition asks for.

        Raises: LocalError or ServiceError with the reason if that is not possible.
        """
        if self._definition.experiment:
            config = evaluate(self._definition.experiment, self._scope({}))
            config = self._resources.create_trial(config)
            name = self._execution["Execution"]
            self.keep_trying(
                lambda: self._context.store.update(EXECUTION, name, PipelineExperimentConfig=config)
            )

    def start(self, step: Step) -> None:
        """Start a step; one without a job has ended when this returns."""
        self.save(
            step,
            StepStatus="Starting",
            StartTime=now(),
            StepDisplayName=step.members.get("DisplayName"),
            StepDescription=step.members.get("Description"),
            AttemptCount=1,
        )
        self._try(step, lambda: self._execute(step))

    def start_again(self, step: Step) -> None:
        """Start a step whose time for another attempt has come."""
        del self.retries[step.name]
        self._try(step, lambda: self._execute(step))

    def has_ended(self, step: Step) -> bool:
        """Return whether a step's job has ended."""
        return self._job(step)[0] in ENDED

    def finish(self, step: Step, stopping: bool) -> None:
        """Record how the job of a step ended; `stopping` is whether it was asked to stop."""
        self.running.remove(step)
        status, reason = self._job(step)
        if status == "Completed":
            self._try(step, lambda: self._succeed(step, STEP_TYPES[step.type]))
        elif status == "Stopped" and stopping:
            self.save(step, StepStatus="Stopped", EndTime=now())
        elif status == "Stopped":
            name = self.records[step.name]["Resource"]
            self._fail(step, f"ClientError: {name} was stopped: {reason or status}.")
        else:
            self._fail(step, reason, retries.JOB_ERROR)

    def stop(self) -> None:
        """Stop the jobs that run, and the steps that wait for another attempt."""
        for step in self.running:
            self.save(step, StepStatus="Stopping")
            self._resources.stop(STEP_TYPES[step.type], self.records[step.name]["Resource"])
        for name in self.retries:
            self.save(self._definition.steps[name], StepStatus="Stopped", EndTime=now())
        self.retries.clear()

    def save(self, step: Step, **changes: Any) -> None:
        """Change the record of a step, or add it."""
        store, key = self._context.store, f"{self._execution['Execution']}/{step.name}"
        if step.name in self.records:
            self.records[step.name] |= changes
            self.keep_trying(lambda: store.update(STEP, key, **changes))
            return
        number = max((record["Number"] for record in self.records.values()), default=0) + 1
        members = ("Execution", "PipelineName", "PipelineExecutionArn")
        record = {member: self._execution[member] for member in members}
        record |= {"Key": key, "StepName": step.name, "Number": number, "CreationTime": now()}
        self.records[step.name] = record | changes
        self.keep_trying(lambda: store.add(STEP, key, record | changes))

    def keep_trying(self, change: Callable[[], Any]) -> None:
        """Make a change of the store; wait for space on a full disk, unless the service stops."""
        keep_trying(change, lambda: self.abandoned)

    def _try(self, step: Step, action: Callable[[], None]) -> None:
        """Do something for a step, which fails if that raises an error."""
        try:
            action()
        except (LocalError, ServiceError) as error:
            self._fail(step, str(error))
        except Exception as error:
            self._fail(step, internal(error), retries.SERVICE_FAULT)

    def _execute(self, step: Step) -> None:
        if step.type == "Condition":
            self._decide(step)
        elif step.type == "Fail":
            message = step.arguments.get("ErrorMessage", "")
            text = str(evaluate(message, self._scope({"StepName": step.name})))
            self.save(step, Metadata={"Fail": {"ErrorMessage": text}})
            self._fail(step, text)
        else:
            self._create(step, STEP_TYPES[step.type])

    def _decide(self, step: Step) -> None:
        values = evaluate(step.arguments["Conditions"], self._scope({"StepName": step.name}))
        outcome = all(conditions.holds(condition) for condition in values)
        self._complete(step, {"Condition": {"Outcome": str(outcome)}}, {"Outcome": outcome})

    def _create(self, step: Step, kind: StepType) -> None:
        """Create the resource of a step, or reuse that of an earlier execution."""
        arguments, member = dict(step.arguments), f"{kind.title}Name"
        variables = {"StepName": step.name}
        name = None
        if "ModelPackageGroupName" not in arguments:
            prefix = evaluate(arguments.pop(member, None), self._scope(variables))
            name = resource_name(kind, self._execution["Execution"], step.name, prefix)
            variables[member] = name
        request = evaluate(arguments, self._scope(variables))
        if (step.members.get("CacheConfig") or {}).get("Enabled"):
            digest = cache.key(step.type, request)
            if hit := self._cached(step, digest):
                source = {"SourcePipelineExecutionArn": hit["PipelineExecutionArn"]}
                self.save(step, CacheHitResult=source)
                return self._complete(step, hit["Metadata"], hit["Properties"])
            self.save(step, CacheKey=digest)
        if name is not None:
            request[member] = name
        arn = self._resources.create(kind, request, step.name)
        metadata = {kind.metadata: {"Arn": arn}}
        self.save(step, StepStatus="Executing", Metadata=metadata, Resource=name or arn)
        if kind.job:
            self.running.append(step)
        else:
            self._succeed(step, kind)

    def _cached(self, step: Step, digest: str) -> Record | None:
        pipeline = self._execution["PipelineName"]
        records = [
            record
            for record in self._context.store.all(STEP)
            if (record["PipelineName"], record["StepName"]) == (pipeline, step.name)
        ]
        return cache.find(records, digest, step.members["CacheConfig"])

    def _scope(self, variables: Mapping[str, str]) -> StepScope:
        s3, definition = self._context.s3, self._definition
        return StepScope(s3, definition, self._execution, self.records, variables)

    def _job(self, step: Step) -> tuple[str, str]:
        """Return the status of a step's job and the reason for it."""
        kind, name = STEP_TYPES[step.type], self.records[step.name]["Resource"]
        record = self._context.store.get(kind.job or "", name)
        if record is None:
            return "Failed", f"ClientError: {name} was deleted."
        reason = record.get("FailureReason") or record.get("SecondaryStatus") or ""
        return record[f"{kind.title}Status"], reason

    def _succeed(self, step: Step, kind: StepType) -> None:
        record = self.records[step.name]
        properties = self._resources.describe(kind, record["Resource"])
        self._complete(step, record["Metadata"], properties)

    def _complete(self, step: Step, metadata: Record, properties: Record) -> None:
        changes = {"Metadata": metadata, "Properties": properties, "EndTime": now()}
        self.save(step, StepStatus="Succeeded", **changes)

    def _fail(self, step: Step, reason: str, exception: str = "") -> None:
        """Record that a step failed, unless its retry policies ask for another attempt."""
        record, policies = self.records[step.name], step.members.get("RetryPolicies") or ()
        attempt = record["AttemptCount"]
        if reason.startswith(_INTERNAL) and not self.abandoned:
            elapsed = (now() - record["StartTime"]).total_seconds()
            delay = retries.delay(policies, exception, attempt, elapsed)
            if delay is not None:
                self.save(step, AttemptCount=attempt + 1)
                self.retries[step.name] = time.monotonic() + delay
                return
        text = reason[:_REASON_LENGTH]
        self.save(step, StepStatus="Failed", FailureReason=text, EndTime=now())


def internal(error: Exception) -> str:
    """Return the FailureReason for an error of the service, which is written to the log."""
    write_log(traceback.format_exc())
    return f"{_INTERNAL}: {type(error).__name__}: {error}"
