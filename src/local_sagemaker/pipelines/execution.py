"""An execution of a pipeline: starts each step when those that it depends on have succeeded."""

import threading
import time
from typing import Any

from local_sagemaker.context import Context
from local_sagemaker.errors import LocalError, ServiceError
from local_sagemaker.pipelines.definition import Step, parse
from local_sagemaker.pipelines.records import EXECUTION, STATUS, interrupt
from local_sagemaker.pipelines.resources import Call
from local_sagemaker.pipelines.runner import Runner, internal
from local_sagemaker.storage.records import Record

_PARALLEL = 50  # steps, without a ParallelismConfiguration
_WAIT_SECONDS = 3600.0
_REASON_LENGTH = 1300


class Execution:
    """Runs the steps in a thread of its own; their jobs wait in the service's queue.

    When a step has failed, no other one starts, and those that run go on to their end.
    """

    def __init__(self, context: Context, call: Call, name: str):
        """Take the function for operations, and the id of an execution whose record exists."""
        self._context, self._name = context, name
        record = self._record()
        self._definition = parse(record["PipelineDefinition"])
        self._dependencies = {n: s.dependencies() for n, s in self._definition.steps.items()}
        self._runner = Runner(context, call, record, self._definition)
        self._stopping = False
        self._limit = _limit(record)

    def submit(self) -> None:
        """Start the thread."""
        self._context.running[EXECUTION, self._name] = self
        threading.Thread(target=self._run, daemon=True).start()

    def abandon(self, reason: str) -> None:
        """Fail the execution, because the service stops."""
        self._runner.abandoned = True
        interrupt(self._context.store, self._name, reason)

    def _record(self) -> Record:
        return self._context.store.get(EXECUTION, self._name) or {}

    def _run(self) -> None:
        reason = None
        try:
            self._runner.create_trial()
            self._run_steps()
        except (LocalError, ServiceError) as error:
            reason = str(error)
        except Exception as error:
            reason = internal(error)
        finally:
            self._end(reason)
            if self._context.running.get((EXECUTION, self._name)) is self:
                del self._context.running[EXECUTION, self._name]

    def _run_steps(self) -> None:
        runner = self._runner
        while not runner.abandoned:
            for step in [step for step in runner.running if runner.has_ended(step)]:
                runner.finish(step, self._stopping)
            record = self._record()
            self._limit = _limit(record)
            if record.get(STATUS) == "Stopping" and not self._stopping:
                self._stopping = True
                runner.stop()
            elif record.get(STATUS) == "Executing":
                self._start_steps()
            if not runner.running and not runner.retries:
                break
            next_retry = min(runner.retries.values(), default=time.monotonic() + _WAIT_SECONDS)
            seconds = max(0.0, next_retry - time.monotonic())
            self._context.store.wait(EXECUTION, self._name, self._has_changed, seconds)

    def _has_changed(self, record: Record | None) -> bool:
        """Return whether a job has ended, or the execution itself was changed."""
        if record is None or self._runner.abandoned or _limit(record) != self._limit:
            return True
        stop = record[STATUS] == "Stopping" and not self._stopping
        return stop or any(self._runner.has_ended(step) for step in self._runner.running)

    def _start_steps(self) -> None:
        """Start the steps that are ready, and those that are ready when these have succeeded."""
        runner = self._runner
        for name in [name for name, at in runner.retries.items() if at <= time.monotonic()]:
            runner.start_again(self._definition.steps[name])
        started = True
        while started:
            started = False
            for step in self._definition.steps.values():
                if step.name not in runner.records and self._is_ready(step):
                    if not self._may_start():
                        return
                    runner.start(step)
                    started = True

    def _is_ready(self, step: Step) -> bool:
        """Return whether all that a step depends on has succeeded, and its branch was taken."""
        records = self._runner.records
        for name in self._dependencies[step.name]:
            if name not in records or records[name]["StepStatus"] != "Succeeded":
                return False
        if step.branch is None:
            return True
        condition, outcome = step.branch
        return bool(records[condition]["Properties"]["Outcome"] == outcome)

    def _may_start(self) -> bool:
        """Return whether no step has failed, and fewer run than may."""
        runner = self._runner
        failed = any(record["StepStatus"] == "Failed" for record in runner.records.values())
        return not failed and len(runner.running) + len(runner.retries) < self._limit

    def _end(self, reason: str | None) -> None:
        """Record the execution's final status."""
        if self._runner.abandoned:
            return
        failed = [
            f"{name}: {record['FailureReason']}"
            for name, record in self._runner.records.items()
            if record["StepStatus"] == "Failed"
        ]
        if failed and reason is None:
            reason = f"Step failure: One or multiple steps failed: {'; '.join(failed)}"

        def change(record: Record) -> dict[str, Any]:
            if record[STATUS] == "Stopping":
                return {STATUS: "Stopped"}
            if reason:
                return {STATUS: "Failed", "FailureReason": reason[:_REASON_LENGTH]}
            return {STATUS: "Succeeded"}

        store = self._context.store
        self._runner.keep_trying(lambda: store.modify(EXECUTION, self._name, change))


def _limit(record: Record) -> int:
    """Return how many steps of an execution may run at the same time."""
    configuration = record.get("ParallelismConfiguration") or {}
    return int(configuration.get("MaxParallelExecutionSteps", _PARALLEL))
