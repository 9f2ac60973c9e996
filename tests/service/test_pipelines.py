"""Pipelines through boto3: their steps, expressions, conditions, failures, stops and retries."""

import json
import time
import uuid

import pytest

from support.job import PATIENCE
from support.service import BUCKET, IMAGE, ROLE, training

STATUS = "PipelineExecutionStatus"


def get(path):
    return {"Get": path}


def train(name="Train", **members):
    """Return a Training step; lower-case members are hyperparameters."""
    hyperparameters = {k: v for k, v in members.items() if k.islower()}
    arguments = training("-", HyperParameters={"epochs": "1", **hyperparameters})
    del arguments["TrainingJobName"]
    more = {k: v for k, v in members.items() if not k.islower()}
    return {"Name": name, "Type": "Training", "Arguments": arguments, **more}


def register(group, model_data, name="Register"):
    container = {"Image": IMAGE, "ModelDataUrl": model_data}
    specification = {
        "Containers": [container],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["application/json"],
    }
    arguments = {
        "ModelPackageGroupName": group,
        "ModelApprovalStatus": "Approved",
        "InferenceSpecification": specification,
    }
    return {"Name": name, "Type": "RegisterModel", "Arguments": arguments}


def condition(conditions, if_steps=(), else_steps=(), name="Check", **members):
    arguments = {
        "Conditions": conditions,
        "IfSteps": list(if_steps),
        "ElseSteps": list(else_steps),
    }
    return {"Name": name, "Type": "Condition", "Arguments": arguments, **members}


def fail(message, name="Stop", **members):
    return {"Name": name, "Type": "Fail", "Arguments": {"ErrorMessage": message}, **members}


def definition(*steps, parameters=(), **members):
    content = {"Version": "2020-12-01", "Parameters": list(parameters), "Steps": list(steps)}
    return json.dumps(content | members)


@pytest.fixture
def pipeline(sm):
    """Return a function that creates a pipeline and starts it."""
    names = []

    def create(*steps, start=None, parameters=(), experiment=None, **members):
        name = f"p-{uuid.uuid4().hex[:8]}"
        text = definition(*steps, parameters=parameters, PipelineExperimentConfig=experiment)
        sm.create_pipeline(PipelineName=name, PipelineDefinition=text, RoleArn=ROLE, **members)
        names.append(name)
        return sm.start_pipeline_execution(PipelineName=name, **start or {})["PipelineExecutionArn"]

    return create


def wait(sm, execution, *statuses):
    """Return the description of an execution once it has one of these statuses, or has ended."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        described = sm.describe_pipeline_execution(PipelineExecutionArn=execution)
        if described[STATUS] in (*statuses, "Succeeded", "Failed", "Stopped"):
            return described
        time.sleep(0.05)
    raise AssertionError(f"the execution has not ended: {described}")


def steps(sm, execution):
    """Return the steps of an execution by name, in the order of their start."""
    entries = sm.list_pipeline_execution_steps(
        PipelineExecutionArn=execution, SortOrder="Ascending"
    )["PipelineExecutionSteps"]
    return {entry["StepName"]: entry for entry in entries}


def statuses(sm, execution):
    return {name: entry["StepStatus"] for name, entry in steps(sm, execution).items()}


def name_of(step, kind="TrainingJob"):
    return step["Metadata"][kind]["Arn"].partition("/")[2]


def test_a_model_is_trained_checked_registered_and_created(sm, pipeline):
    data = get("Steps.Train.ModelArtifacts.S3ModelArtifacts")
    metric = get("Steps.Train.FinalMetricDataList['test:binary_classification_accuracy'].Value")
    limit = get("Parameters.Least")
    group = f"g-{uuid.uuid4().hex[:8]}"
    model = {"ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": data}}
    passes = {"Type": "GreaterThanOrEqualTo", "LeftValue": metric, "RightValue": limit}
    execution = pipeline(
        condition(
            [passes],
            [register(group, data), {"Name": "Model", "Type": "Model", "Arguments": model}],
            [fail({"Std:Join": {"On": " ", "Values": ["accuracy", metric, "<", limit]}})],
        ),
        train(epochs={"Std:Join": {"On": "", "Values": [get("Parameters.Epochs")]}}),
        parameters=[
            {"Name": "Least", "Type": "Float", "DefaultValue": 0.1},
            {"Name": "Epochs", "Type": "Integer"},
        ],
        start={"PipelineParameters": [{"Name": "Epochs", "Value": "2"}]},
        experiment={
            "ExperimentName": get("Execution.PipelineName"),
            "TrialName": get("Execution.PipelineExecutionId"),
        },
    )
    described = wait(sm, execution)
    assert described[STATUS] == "Succeeded", described
    started = steps(sm, execution)
    assert {name: step["StepStatus"] for name, step in started.items()} == dict.fromkeys(
        ("Train", "Check", "Register", "Model"), "Succeeded"
    )
    assert list(started)[:2] == ["Train", "Check"]
    assert started["Check"]["Metadata"] == {"Condition": {"Outcome": "True"}}
    identifier = execution.rpartition("/")[2]
    name = name_of(started["Train"])
    assert name.startswith(f"pipelines-{identifier}-Train-")
    job = sm.describe_training_job(TrainingJobName=name)
    assert job["HyperParameters"]["epochs"] == "2"
    tags = sm.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"]
    assert {"Key": "sagemaker:pipeline-execution-arn", "Value": execution} in tags
    package = sm.describe_model_package(
        ModelPackageName=started["Register"]["Metadata"]["RegisterModel"]["Arn"]
    )
    assert package["ModelPackageGroupName"] == group
    assert package["ModelApprovalStatus"] == "Approved"
    uri = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    assert uri == job["ModelArtifacts"]["S3ModelArtifacts"]
    created = sm.describe_model(ModelName=name_of(started["Model"], "Model"))
    assert created["PrimaryContainer"]["ModelDataUrl"] == uri
    assert described["PipelineExperimentConfig"]["TrialName"] == identifier
    (component,) = sm.list_trial_components(TrialName=identifier)["TrialComponentSummaries"]
    assert component["TrialComponentSource"]["SourceArn"] == job["TrainingJobArn"]


def test_a_condition_that_fails_ends_with_the_message_of_the_fail_step(sm, pipeline):
    value = {"Type": "Equals", "LeftValue": get("Parameters.Name"), "RightValue": "a"}
    execution = pipeline(
        condition(
            [{"Type": "Not", "Condition": {"Type": "Or", "Conditions": [value]}}],
            [train()],
            [fail(get("Parameters.Name"))],
        ),
        parameters=[{"Name": "Name", "Type": "String", "EnumValues": ["a", "b"]}],
        start={"PipelineParameters": [{"Name": "Name", "Value": "a"}]},
    )
    described = wait(sm, execution)
    assert described[STATUS] == "Failed"
    assert described["FailureReason"] == ("Step failure: One or multiple steps failed: Stop: a")
    started = steps(sm, execution)
    assert list(started) == ["Check", "Stop"]
    assert started["Stop"]["Metadata"] == {"Fail": {"ErrorMessage": "a"}}
    assert started["Stop"]["FailureReason"] == "a"


def test_after_a_failure_no_step_starts_and_a_retry_goes_on(sm, s3, pipeline):
    """What runs at the time of the failure goes on to its end."""
    key = f"later/{uuid.uuid4().hex}"
    bad = train("Bad", DependsOn=["First"])
    bad["Arguments"]["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] = (
        f"s3://{BUCKET}/{key}"
    )
    execution = pipeline(train("First"), bad, train("Last", DependsOn=["Bad"]))
    described = wait(sm, execution)
    assert described[STATUS] == "Failed"
    failed = steps(sm, execution)
    assert {n: s["StepStatus"] for n, s in failed.items()} == {
        "First": "Succeeded",
        "Bad": "Failed",
    }
    assert failed["Bad"]["FailureReason"].startswith("ClientError: ")
    assert failed["Bad"]["FailureReason"] in described["FailureReason"]
    data = s3.get_object(Bucket=BUCKET, Key="data/train/part-0")["Body"].read()
    s3.put_object(Bucket=BUCKET, Key=f"{key}/part-0", Body=data)
    sm.retry_pipeline_execution(PipelineExecutionArn=execution)
    assert wait(sm, execution)[STATUS] == "Succeeded"
    retried = steps(sm, execution)
    assert list(retried) == ["First", "Bad", "Last"]
    assert retried["First"] == failed["First"]
    with pytest.raises(sm.exceptions.ConflictException, match="Succeeded"):
        sm.retry_pipeline_execution(PipelineExecutionArn=execution)
