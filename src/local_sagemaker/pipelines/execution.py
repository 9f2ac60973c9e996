"""An execution of a pipeline: starts each step when those that it depends on have succeeded."""

import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from local_sagemaker.context import Context
from local_sagemaker.errors import LocalError, ServiceError, write_log
from local_sagemaker.jobs.base import ENDED as JOB_ENDED
from local_sagemaker.pipelines import cache, conditions
from local_sagemaker.pipelines.definition import Step, parse
from local_sagemaker.pipelines.expressions import evaluate
from local_sagemaker.pipelines.records import EXECUTION, STATUS, STEP, interrupt, steps_of
from local_sagemaker.pipelines.resources import Call, Resources
from local_sagemaker.pipelines.scope import StepScope
from local_sagemaker.pipelines.steps import STEP_TYPES, StepType, resource_name
from local_sagemaker.storage.records import Record, keep_trying, now

_PARALLEL = 50  # steps, without a ParallelismConfiguration
_WAIT_SECONDS = 3600.0
_REASON_LENGTH, _STEP_REASON_LENGTH = 1300, 1024


class Execution:
    """Runs the steps in a thread of its own; their jobs wait in the service's queue."""

    def __init__(self, context: Context, call: Call, name: str):
        """Take the id of an execution whose record exists, and the function for operations."""
        self._context, self._name = context, name
        record = context.store.get(EXECUTION, name) or {}
        self._definition = parse(record["PipelineDefinition"])
        self._dependencies = {n: s.dependencies() for n, s in self._definition.steps.items()}
        self._steps = {step["StepName"]: step for step in steps_of(context.store, name)}
        self._resources = Resources(call, record["PipelineExecutionArn"])
        self._running: list[Step] = []  # those with a job
        self._stops_sent = False
        self._abandoned: str | None = None

    def submit(self) -> None:
        """Start the thread."""
        self._context.running[EXECUTION, self._name] = self
        threading.Thread(target=self._run, daemon=True).start()

    def abandon(self, reason: str) -> None:
        """Fail the execution, because the service stops."""
        self._abandoned = reason
        interrupt(self._context.store, self._name, reason)

    def _run(self) -> None:
        reason = None
        try:
            if experiment := self._definition.experiment:
                config = self._resources.create_trial(evaluate(experiment, self._scope({})))
                self._update(PipelineExperimentConfig=config)
            self._run_steps()
        except (LocalError, ServiceError) as error:
            reason = f"ClientError: {error}"
        except Exception as error:
            reason = _internal(error)
        finally:
            self._end(reason)
            if self._context.running.get((EXECUTION, self._name)) is self:
                del self._context.running[EXECUTION, self._name]

    def _run_steps(self) -> None:
        while not self._abandoned:
            self._running = [step for step in self._running if not self._has_ended(step)]
            if self._status() == "Stopping":
                self._stop_jobs()
            else:
                self._start_steps()
            if not self._running:
                break
            self._context.store.wait(EXECUTION, self._name, self._has_changed, _WAIT_SECONDS)

    def _status(self) -> Any:
        return (self._context.store.get(EXECUTION, self._name) or {}).get(STATUS)

    def _has_changed(self, record: Record | None) -> bool:
        """Return whether a job has ended, or the execution is to stop."""
        if record is None or self._abandoned:
            return True
        stop = record[STATUS] == "Stopping" and not self._stops_sent
        return stop or any(self._job(step)[0] in JOB_ENDED for step in self._running)

    def _job(self, step: Step) -> tuple[str, str]:
        """Return status and FailureReason of a step's job."""
        kind, name = STEP_TYPES[step.type], self._steps[step.name]["Resource"]
        record = self._context.store.get(kind.job or "", name)
        if record is None:
            return "Failed", f"ClientError: {name} was deleted."
        return record[f"{kind.title}Status"], record.get("FailureReason") or ""

    def _has_ended(self, step: Step) -> bool:
        """Return whether a step's job has ended, and record how."""
        status, reason = self._job(step)
        if status == "Completed":
            self._guard(step, lambda: self._succeed(step, STEP_TYPES[step.type]))
        elif status == "Failed":
            self._fail(step, reason)
        elif status == "Stopped" and self._stops_sent:
            self._save(step, StepStatus="Stopped", EndTime=now())
        elif status == "Stopped":
            self._fail(step, f"ClientError: {self._steps[step.name]['Resource']} was stopped.")
        return status in JOB_ENDED

    def _stop_jobs(self) -> None:
        if self._stops_sent:
            return
        self._stops_sent = True
        for step in self._running:
            self._save(step, StepStatus="Stopping")
            self._resources.stop(STEP_TYPES[step.type], self._steps[step.name]["Resource"])

    def _start_steps(self) -> None:
        """Start the steps that are ready, and those that are ready when these have succeeded."""
        started = True
        while started:
            started = False
            for step in self._definition.steps.values():
                if step.name not in self._steps and self._may_start(step):
                    self._start(step)
                    started = True

    def _may_start(self, step: Step) -> bool:
        record = self._context.store.get(EXECUTION, self._name) or {}
        limit = (record.get("ParallelismConfiguration") or {}).get("MaxParallelExecutionSteps")
        if record.get(STATUS) != "Executing" or len(self._running) >= (limit or _PARALLEL):
            return False
        if any(other["StepStatus"] == "Failed" for other in self._steps.values()):
            return False
        if any(
            self._steps.get(name, {}).get("StepStatus") != "Succeeded"
            for name in self._dependencies[step.name]
        ):
            return False
        if step.branch is None:
            return True
        condition, outcome = step.branch
        return bool(self._steps[condition]["Properties"]["Outcome"] == outcome)

    def _start(self, step: Step) -> None:
        members = step.members
        self._save(
            step,
            StepStatus="Starting",
            StartTime=now(),
            StepDisplayName=members.get("DisplayName"),
            StepDescription=members.get("Description"),
        )
        if step.type == "Condition":
            self._guard(step, lambda: self._decide(step))
        elif step.type == "Fail":
            self._guard(step, lambda: self._fail_as_told(step))
        else:
            self._guard(step, lambda: self._create(step, STEP_TYPES[step.type]))

    def _guard(self, step: Step, action: Callable[[], None]) -> None:
        """Do something for a step; the step fails if that raises an error."""
        try:
            action()
        except (LocalError, ServiceError) as error:
            self._fail(step, str(error))
        except Exception as error:
            self._fail(step, _internal(error))

    def _decide(self, step: Step) -> None:
        values = evaluate(step.arguments["Conditions"], self._scope({"StepName": step.name}))
        outcome = all(conditions.holds(condition) for condition in values)
        metadata = {"Condition": {"Outcome": str(outcome)}}
        self._complete(step, metadata, {"Outcome": outcome})

    def _fail_as_told(self, step: Step) -> None:
        message = step.arguments.get("ErrorMessage", "")
        text = str(evaluate(message, self._scope({"StepName": step.name})))
        self._save(step, Metadata={"Fail": {"ErrorMessage": text}})
        self._fail(step, text)

    def _create(self, step: Step, kind: StepType) -> None:
        """Create the resource of a step, or reuse that of an earlier execution."""
        arguments, member = dict(step.arguments), f"{kind.title}Name"
        variables: dict[str, str | None] = {"StepName": step.name}
        name = None
        if "ModelPackageGroupName" not in arguments:
            prefix = evaluate(arguments.pop(member, None), self._scope(variables))
            name = variables[member] = resource_name(kind, self._name, step.name, prefix)
        request = evaluate(arguments, self._scope(variables))
        config = step.members.get("CacheConfig") or {}
        if config.get("Enabled"):
            digest = cache.key(step.type, request)
            if hit := self._cached(step, digest, config):
                source = {"SourcePipelineExecutionArn": hit["PipelineExecutionArn"]}
                self._save(step, CacheHitResult=source)
                return self._complete(step, hit["Metadata"], hit["Properties"])
            self._save(step, CacheKey=digest)
        if name is not None:
            request[member] = name
        resource = self._resources.create(kind, request, step.name)
        self._save(
            step,
            StepStatus="Executing",
            Metadata={kind.metadata: {"Arn": resource}},
            Resource=name or resource,
        )
        if kind.job:
            self._running.append(step)
        else:
            self._succeed(step, kind)

    def _cached(self, step: Step, digest: str, config: Mapping[str, Any]) -> Record | None:
        pipeline = self._steps[step.name]["PipelineName"]
        records = [
            record
            for record in self._context.store.all(STEP)
            if (record["PipelineName"], record["StepName"]) == (pipeline, step.name)
        ]
        return cache.find(records, digest, config)

    def _scope(self, variables: Mapping[str, str | None]) -> StepScope:
        record = self._context.store.get(EXECUTION, self._name) or {}
        return StepScope(self._context.s3, self._definition, record, self._steps, variables)

    def _succeed(self, step: Step, kind: StepType) -> None:
        record = self._steps[step.name]
        properties = self._resources.describe(kind, record["Resource"])
        self._complete(step, record["Metadata"], properties)

    def _complete(self, step: Step, metadata: Record, properties: Record) -> None:
        changes = {"Metadata": metadata, "Properties": properties, "EndTime": now()}
        self._save(step, StepStatus="Succeeded", **changes)

    def _fail(self, step: Step, reason: str) -> None:
        text = reason[:_STEP_REASON_LENGTH]
        self._save(step, StepStatus="Failed", FailureReason=text, EndTime=now())

    def _save(self, step: Step, **changes: Any) -> None:
        """Change the record of a step, or add it."""
        store, key = self._context.store, f"{self._name}/{step.name}"
        if step.name in self._steps:
            self._steps[step.name] |= changes
            self._keep_trying(lambda: store.update(STEP, key, **changes))
            return
        execution = store.get(EXECUTION, self._name) or {}
        record = {member: execution[member] for member in ("PipelineName", "PipelineExecutionArn")}
        number = max((other["Number"] for other in self._steps.values()), default=0) + 1
        record |= {"Key": key, "Execution": self._name, "StepName": step.name, "Number": number}
        self._steps[step.name] = record | {"CreationTime": now(), **changes}
        self._keep_trying(lambda: store.add(STEP, key, self._steps[step.name]))

    def _update(self, **changes: Any) -> None:
        self._keep_trying(lambda: self._context.store.update(EXECUTION, self._name, **changes))

    def _keep_trying(self, change: Callable[[], Any]) -> None:
        keep_trying(change, lambda: self._abandoned)

    def _end(self, reason: str | None) -> None:
        """Record the execution's final status."""
        if self._abandoned:
            return
        failed = [
            f"{name}: {step['FailureReason']}"
            for name, step in self._steps.items()
            if step["StepStatus"] == "Failed"
        ]
        if failed and reason is None:
            reason = f"Step failure: One or multiple steps failed: {'; '.join(failed)}"

        def change(record: Record) -> Record:
            if record[STATUS] == "Stopping":
                return {STATUS: "Stopped"}
            if reason:
                return {STATUS: "Failed", "FailureReason": reason[:_REASON_LENGTH]}
            return {STATUS: "Succeeded"}

        self._keep_trying(lambda: self._context.store.modify(EXECUTION, self._name, change))


def _internal(error: Exception) -> str:
    write_log(traceback.format_exc())
    return f"InternalServerError: {type(error).__name__}: {error}"
