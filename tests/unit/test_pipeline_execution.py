"""The order of an execution's steps, with jobs that a test ends."""

import json
import threading
from types import SimpleNamespace

import pytest

from local_sagemaker.errors import invalid
from local_sagemaker.pipelines.execution import Execution
from local_sagemaker.pipelines.records import EXECUTION, STATUS, restore, steps_of
from local_sagemaker.storage.database import Database
from local_sagemaker.storage.records import Store, now

JOB = "training-job"
SECONDS = 60
ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e"


def train(name, *after, **members):
    return {"Name": name, "Type": "Training", "Arguments": {}, "DependsOn": after, **members}


def fail(name, *after):
    return {"Name": name, "Type": "Fail", "Arguments": {"ErrorMessage": name}, "DependsOn": after}


def condition(name, conditions, yes=(), no=(), *after):
    arguments = {"Conditions": conditions, "IfSteps": yes, "ElseSteps": no}
    return {"Name": name, "Type": "Condition", "Arguments": arguments, "DependsOn": after}


NEVER = {"Type": "Equals", "LeftValue": 1, "RightValue": 2}


class Service:
    """A store, and operations on training jobs that only end when a test ends them."""

    def __init__(self, state):
        self.database = Database(state)
        self.store = Store(self.database)
        self.context = SimpleNamespace(store=self.store, running={}, s3=None)
        self.threads = set(threading.enumerate())
        self.refused = set()  # names of steps whose jobs are refused

    def call(self, operation, request):
        name = request.get("TrainingJobName", "")
        if operation == "CreateTrainingJob":
            (step,) = [tag["Value"] for tag in request["Tags"] if tag["Key"].endswith("step-name")]
            if step in self.refused:
                raise invalid("no space")
            record = {"TrainingJobStatus": "InProgress", "CreationTime": now(), "Step": step}
            self.store.add(JOB, name, record | {"Name": name})
            return {"TrainingJobArn": name}
        if operation == "StopTrainingJob":
            self.store.update(JOB, name, TrainingJobStatus="Stopped")
            return {}
        return self.store.get(JOB, name)

    def start(self, *steps, parallel=None):
        definition = json.dumps({"Version": "2020-12-01", "Steps": steps})
        record = {
            "Execution": "e",
            "PipelineName": "p",
            "PipelineArn": ARN.partition("/execution")[0],
            "PipelineExecutionArn": ARN,
            "PipelineDefinition": definition,
            "ParallelismConfiguration": parallel and {"MaxParallelExecutionSteps": parallel},
            "Parameters": {},
            STATUS: "Executing",
            "CreationTime": now(),
        }
        self.store.add(EXECUTION, "e", record)
        self.execution = Execution(self.context, self.call, "e")
        self.execution.submit()

    def jobs(self):
        """Return the steps whose jobs run, with the names of these."""
        jobs = self.store.all(JOB)
        return {
            job["Step"]: job["Name"] for job in jobs if job["TrainingJobStatus"] == "InProgress"
        }

    def until(self, condition):
        self.store.wait(EXECUTION, "e", lambda _: condition(), SECONDS)
        assert condition(), (self.statuses(), self.store.get(EXECUTION, "e"))

    def until_jobs(self, *steps):
        expected = dict.fromkeys(steps, "Executing")
        self.until(
            lambda: (
                self.jobs().keys() == expected.keys()
                and {n: s for n, s in self.statuses().items() if s == "Executing"} == expected
            )
        )

    def end(self, step, status="Completed", reason=None):
        changes = {"TrainingJobStatus": status, "FailureReason": reason}
        self.store.update(JOB, self.jobs()[step], **changes)

    def join(self):
        """Return when the threads of executions have ended."""
        for thread in set(threading.enumerate()) - self.threads:
            thread.join(SECONDS)

    def statuses(self):
        return {step["StepName"]: step["StepStatus"] for step in steps_of(self.store, "e")}

    def ended(self):
        """Return status and reason of the execution once it has ended."""
        self.until(lambda: self.store.get(EXECUTION, "e")[STATUS] not in ("Executing", "Stopping"))
        record = self.store.get(EXECUTION, "e")
        return record[STATUS], record.get("FailureReason")


@pytest.fixture
def service(tmp_path):
    service = Service(tmp_path)
    yield service
    service.execution.abandon("the test has ended")
    service.join()
    service.database.close()


def test_a_step_starts_when_all_that_it_depends_on_have_succeeded(service):
    service.start(train("D", "B", "C"), train("A"), train("B", "A"), train("C", "A"))
    for running, ended in ((("A",), "A"), (("B", "C"), "C"), (("B",), "B"), (("D",), "D")):
        service.until_jobs(*running)
        service.end(ended)
    assert service.ended() == ("Succeeded", None)
    assert list(service.statuses()) == ["A", "B", "C", "D"]


def test_only_so_many_steps_run_at_the_same_time(service):
    service.start(*(train(name) for name in "ABCD"), parallel=2)
    service.until_jobs("A", "B")
    service.end("A")
    service.until_jobs("B", "C")
    service.store.update(EXECUTION, "e", ParallelismConfiguration={"MaxParallelExecutionSteps": 3})
    service.until_jobs("B", "C", "D")


def test_after_a_failure_the_running_steps_go_on_and_no_other_starts(service):
    service.start(train("A"), train("B"), train("C", "A"), train("D", "B"))
    service.until_jobs("A", "B")
    service.end("A", "Failed", "AlgorithmError: loss is NaN")
    service.until(lambda: service.statuses()["A"] == "Failed")
    assert service.jobs().keys() == {"B"}
    assert service.store.get(EXECUTION, "e")[STATUS] == "Executing"
    service.end("B")
    assert service.ended() == (
        "Failed",
        "Step failure: One or multiple steps failed: A: AlgorithmError: loss is NaN",
    )
    assert service.statuses() == {"A": "Failed", "B": "Succeeded"}


def test_a_branch_that_is_not_taken_is_skipped_with_what_depends_on_it(service):
    inner = condition("Inner", [], [train("Deep")])
    service.start(
        condition("Check", [NEVER], [train("Yes"), inner], [train("No")]),
        train("AfterYes", "Yes"),
        train("AfterNo", "No"),
        train("AfterCheck", "Check"),
    )
    service.until_jobs("No", "AfterCheck")
    service.end("No")
    service.until_jobs("AfterNo", "AfterCheck")
    service.end("AfterNo")
    service.end("AfterCheck")
    assert service.ended() == ("Succeeded", None)
    assert set(service.statuses()) == {"Check", "No", "AfterNo", "AfterCheck"}


def test_a_refused_job_fails_its_step(service):
    service.refused.add("A")
    service.start(train("A"))
    reason = "ClientError: Failed to invoke sagemaker:CreateTrainingJob. Error Details: no space"
    assert service.ended()[1].endswith(f"A: {reason}")


def test_a_job_that_is_stopped_or_deleted_by_itself_fails_its_step(service):
    service.start(train("A"), train("B"))
    service.until_jobs("A", "B")
    service.end("A", "Stopped")
    service.store.remove(JOB, service.jobs()["B"])
    status, reason = service.ended()
    assert status == "Failed"
    assert "was stopped: Stopped." in reason and "was deleted." in reason


def test_a_stop_ends_the_jobs(service):
    service.start(train("A"), train("B"), train("C", "A"))
    service.until_jobs("A", "B")
    service.end("B")
    service.until(lambda: service.statuses()["B"] == "Succeeded")
    service.store.move(EXECUTION, "e", STATUS, "Executing", "Stopping")
    assert service.ended() == ("Stopped", None)
    assert service.statuses() == {"A": "Stopped", "B": "Succeeded"}


def test_an_execution_that_stops_starts_no_other_step(service):
    service.start(train("A"), train("B"), parallel=1)
    service.until_jobs("A")
    service.store.move(EXECUTION, "e", STATUS, "Executing", "Stopping")
    assert service.ended() == ("Stopped", None)
    assert service.statuses() == {"A": "Stopped"}


POLICY = {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "MaxAttempts": 2}


def test_a_retry_policy_starts_another_job_after_an_internal_error(service):
    policies = [{**POLICY, "IntervalSeconds": 0}]
    service.start(train("A", RetryPolicies=policies), train("B", RetryPolicies=policies))
    service.until_jobs("A", "B")
    service.end("A", "Failed", "InternalServerError: disk")
    service.until(lambda: steps_of(service.store, "e")[0]["AttemptCount"] == 2)
    service.until_jobs("A", "B")
    service.end("B", "Failed", "AlgorithmError: not internal")
    service.end("A", "Failed", "InternalServerError: again")
    status, reason = service.ended()
    assert "A: InternalServerError: again" in reason and "B: AlgorithmError" in reason


def test_a_stop_ends_a_step_that_waits_for_another_attempt(service):
    service.start(train("A", RetryPolicies=[{**POLICY, "IntervalSeconds": 86400}]))
    service.until_jobs("A")
    service.end("A", "Failed", "InternalServerError: disk")
    service.until(lambda: steps_of(service.store, "e")[0]["AttemptCount"] == 2)
    service.store.move(EXECUTION, "e", STATUS, "Executing", "Stopping")
    assert service.ended() == ("Stopped", None)
    assert service.statuses() == {"A": "Stopped"}


def test_the_end_of_the_service_fails_what_runs(service):
    service.start(train("A"), train("B", "A"))
    service.until_jobs("A")
    service.end("A")
    service.until_jobs("B")
    service.execution.abandon("the service ends")
    assert service.ended() == ("Failed", "the service ends")
    assert service.statuses() == {"A": "Succeeded", "B": "Failed"}
    service.end("B")
    service.join()
    assert service.ended() == ("Failed", "the service ends")


def test_a_restart_marks_what_ran_as_failed(service):
    service.start(train("A"))
    service.until_jobs("A")
    (note,) = restore(service.store)
    assert ARN in note
    assert service.ended()[0] == "Failed"
    assert service.statuses() == {"A": "Failed"}
    assert restore(service.store) == []


def test_a_second_attempt_keeps_the_steps_that_succeeded(service):
    service.start(train("A"), fail("Stop", "A"))
    service.until_jobs("A")
    service.end("A")
    assert service.ended()[0] == "Failed"
    service.store.remove("pipeline-execution-step", "e/Stop")
    service.store.update(EXECUTION, "e", **{STATUS: "Executing", "FailureReason": None})
    Execution(service.context, service.call, "e").submit()
    assert service.ended()[1].endswith("Stop: Stop")
    assert len(service.store.all(JOB)) == 1
