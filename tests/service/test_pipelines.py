"""Pipelines through boto3: their steps, expressions, conditions, failures, stops and retries."""

import json
import time
import uuid

import pytest

from support import sdk
from support.job import PATIENCE
from support.recordio import sparse_file
from support.service import (
    BUCKET,
    IMAGE,
    ROLE,
    ROOT,
    down,
    kill,
    planted,
    processing,
    run_sdk,
    training,
    up,
)

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


def test_twenty_parallel_steps_are_stopped_in_the_middle(sm, pipeline):
    quick = [train(f"Quick{i}") for i in range(6)]
    endless = [train(f"Endless{i}", epochs="100000000") for i in range(14)]
    execution = pipeline(
        *quick, *endless, ParallelismConfiguration={"MaxParallelExecutionSteps": 10}
    )
    until = time.monotonic() + PATIENCE
    while list(statuses(sm, execution).values()).count("Succeeded") < 6:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert list(statuses(sm, execution).values()).count("Executing") <= 10
    sm.stop_pipeline_execution(PipelineExecutionArn=execution)
    with pytest.raises(sm.exceptions.ConflictException, match="can be stopped"):
        sm.stop_pipeline_execution(PipelineExecutionArn=execution)
    assert wait(sm, execution)[STATUS] == "Stopped"
    ended = steps(sm, execution)
    assert {ended[step["Name"]]["StepStatus"] for step in quick} == {"Succeeded"}
    stopped = [step for name, step in ended.items() if name.startswith("Endless")]
    assert 9 <= len(stopped) <= 10  # the others never started
    for step in stopped:
        assert step["StepStatus"] == "Stopped"
        job = sm.describe_training_job(TrainingJobName=name_of(step))
        assert job["TrainingJobStatus"] == "Stopped"


def test_a_cached_step_reuses_the_outputs_of_an_earlier_execution(sm, pipeline):
    config = {"Enabled": True, "ExpireAfter": "PT1H"}
    first = pipeline(
        train(epochs={"Std:Join": {"Values": [get("Parameters.Epochs")]}}, CacheConfig=config),
        parameters=[{"Name": "Epochs", "Type": "Integer", "DefaultValue": 1}],
    )
    assert wait(sm, first)[STATUS] == "Succeeded"
    name = first.split("/")[1]

    def again(epochs):
        execution = sm.start_pipeline_execution(
            PipelineName=name, PipelineParameters=[{"Name": "Epochs", "Value": epochs}]
        )["PipelineExecutionArn"]
        assert wait(sm, execution)[STATUS] == "Succeeded"
        return steps(sm, execution)["Train"]

    hit, miss = again("1"), again("2")
    assert hit["CacheHitResult"] == {"SourcePipelineExecutionArn": first}
    assert hit["Metadata"] == steps(sm, first)["Train"]["Metadata"]
    assert "CacheHitResult" not in miss and miss["Metadata"] != hit["Metadata"]


def test_a_tuning_step_has_its_best_job_and_a_transform_step_its_output(sm, s3, pipeline):
    job = train()["Arguments"]
    objective = {"Type": "Maximize", "MetricName": "test:binary_classification_accuracy"}
    static = job.pop("HyperParameters")
    ranges = [{"Name": "linear_lr", "MinValue": "0.01", "MaxValue": "0.1"}]
    tuning = {
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": objective,
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": {"ContinuousParameterRanges": ranges},
        },
        "TrainingJobDefinition": {**job, "StaticHyperParameters": static},
    }
    best = get("Steps.Tune.TrainingJobSummaries[0].TrainingJobName")
    data = {"Std:Join": {"On": "/", "Values": [f"s3://{BUCKET}/out", best, "output/model.tar.gz"]}}
    model = {"PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": data}, "ExecutionRoleArn": ROLE}
    output = {"Std:Join": {"Values": [f"s3://{BUCKET}/scores/", get("Execution.StepName")]}}
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/data/test"}
    transform = {
        "ModelName": get("Steps.Model.ModelName"),
        "TransformInput": {
            "DataSource": {"S3DataSource": source},
            "ContentType": "application/x-recordio-protobuf",
        },
        "TransformOutput": {"S3OutputPath": output},
        "TransformResources": {"InstanceType": "ml.c4.xlarge", "InstanceCount": 1},
    }
    execution = pipeline(
        {"Name": "Tune", "Type": "Tuning", "Arguments": tuning},
        {"Name": "Model", "Type": "Model", "Arguments": model},
        {"Name": "Score", "Type": "Transform", "Arguments": transform},
    )
    described = wait(sm, execution)
    assert described[STATUS] == "Succeeded", described
    ended = steps(sm, execution)
    tuned = sm.describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name_of(ended["Tune"], "TuningJob")
    )
    created = sm.describe_model(ModelName=name_of(ended["Model"], "Model"))
    uri = created["PrimaryContainer"]["ModelDataUrl"]
    assert uri.split("/")[-3] == tuned["BestTrainingJob"]["TrainingJobName"]
    assert s3.get_object(Bucket=BUCKET, Key="scores/Score/part-0.out")["Body"].read()


def test_a_pipeline_has_versions_tags_and_a_definition_in_s3(sm, s3):
    name = f"p-{uuid.uuid4().hex[:8]}"
    first, second = definition(fail("one")), definition(fail("two"))
    location = {"Bucket": BUCKET, "ObjectKey": f"definitions/{name}"}
    s3.put_object(Bucket=BUCKET, Key=location["ObjectKey"], Body=first)
    resource = sm.create_pipeline(
        PipelineName=name,
        PipelineDefinitionS3Location=location,
        RoleArn=ROLE,
        Tags=[{"Key": "a", "Value": "b"}],
    )["PipelineArn"]
    assert sm.list_tags(ResourceArn=resource)["Tags"] == [{"Key": "a", "Value": "b"}]
    same = sm.update_pipeline(PipelineName=name, PipelineDescription="new")
    assert same["PipelineVersionId"] == 1
    changed = sm.update_pipeline(PipelineName=name, PipelineDefinition=second)
    assert changed["PipelineVersionId"] == 2
    described = sm.describe_pipeline(PipelineName=resource)
    assert (described["PipelineDefinition"], described["PipelineDescription"]) == (second, "new")
    assert sm.describe_pipeline(PipelineName=name, PipelineVersionId=1)["PipelineDefinition"] == (
        first
    )
    sm.update_pipeline_version(
        PipelineArn=resource, PipelineVersionId=1, PipelineVersionDisplayName="first"
    )
    execution = sm.start_pipeline_execution(PipelineName=name, PipelineVersionId=1)
    reason = wait(sm, execution["PipelineExecutionArn"])["FailureReason"]
    assert reason.endswith("Stop: one")
    versions = sm.list_pipeline_versions(PipelineName=name)["PipelineVersionSummaries"]
    assert [v["PipelineVersionId"] for v in versions] == [2, 1]
    assert versions[1]["PipelineVersionDisplayName"] == "first"
    assert versions[1]["LastExecutionPipelineExecutionArn"] == execution["PipelineExecutionArn"]
    used = sm.describe_pipeline_definition_for_execution(**execution_of(execution))
    assert used["PipelineDefinition"] == first
    listed = sm.list_pipelines(PipelineNamePrefix=name)["PipelineSummaries"]
    assert [p["PipelineName"] for p in listed] == [name]
    sm.update_pipeline_execution(**execution_of(execution), PipelineExecutionDisplayName="shown")
    (summary,) = sm.list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"]
    assert summary["PipelineExecutionDisplayName"] == "shown"
    assert summary["PipelineExecutionStatus"] == "Failed"
    sm.delete_pipeline(PipelineName=name)
    with pytest.raises(sm.exceptions.ResourceNotFound, match=name):
        sm.describe_pipeline_execution(**execution_of(execution))


def execution_of(response):
    return {"PipelineExecutionArn": response["PipelineExecutionArn"]}


def test_a_request_that_is_sent_twice_creates_one_execution(sm, pipeline):
    execution = pipeline(fail("a"))
    name, token = execution.split("/")[1], "t" * 32
    first, second = (
        sm.start_pipeline_execution(PipelineName=name, ClientRequestToken=token) for _ in range(2)
    )
    assert execution_of(first) == execution_of(second) != {"PipelineExecutionArn": execution}


def test_parameters_are_checked_and_listed(sm, pipeline):
    parameters = [
        {"Name": "Count", "Type": "Integer"},
        {"Name": "Switch", "Type": "Boolean", "DefaultValue": True},
    ]
    text = {"Std:Join": {"Values": [get("Parameters.Count"), get("Parameters.Switch")]}}
    count = {"Name": "Count", "Value": "3"}
    execution = pipeline(fail(text), parameters=parameters, start={"PipelineParameters": [count]})
    assert wait(sm, execution)["FailureReason"].endswith("Stop: 3true")
    listed = sm.list_pipeline_parameters_for_execution(PipelineExecutionArn=execution)
    assert listed["PipelineParameters"] == [count, {"Name": "Switch", "Value": "true"}]
    for values, message in (
        ([], "must have a value: Count"),
        ([{"Name": "Count", "Value": "many"}], "must be of type Integer"),
        ([count, {"Name": "Other", "Value": "1"}], "no parameter 'Other'"),
    ):
        with pytest.raises(sm.exceptions.ClientError, match=message):
            sm.start_pipeline_execution(
                PipelineName=execution.split("/")[1], PipelineParameters=values
            )


def test_what_does_not_exist_or_is_not_offered_is_named(sm, pipeline):
    execution = pipeline(train(epochs="100000000"))
    name, errors = execution.split("/")[1], sm.exceptions
    source = {"Bucket": BUCKET, "ObjectKey": "missing"}
    selected = {"SelectedSteps": [{"StepName": "Train"}]}
    for call, request, error, message in (
        (sm.delete_pipeline, {"PipelineName": name}, errors.ConflictException, "runs"),
        (
            sm.retry_pipeline_execution,
            {"PipelineExecutionArn": execution},
            errors.ConflictException,
            "has the status Executing",
        ),
        (
            sm.start_pipeline_execution,
            {"PipelineName": name, "PipelineVersionId": 7},
            errors.ResourceNotFound,
            "no version 7",
        ),
        (
            sm.start_pipeline_execution,
            {"PipelineName": name, "SelectiveExecutionConfig": selected},
            errors.ClientError,
            "SelectiveExecutionConfig is not offered here",
        ),
        (
            sm.describe_pipeline_execution,
            {"PipelineExecutionArn": f"{execution}x"},
            errors.ResourceNotFound,
            f"{execution}x",
        ),
        (sm.create_pipeline, {"PipelineName": name, "RoleArn": ROLE}, errors.ClientError, "one of"),
        (
            sm.create_pipeline,
            {"PipelineName": name, "RoleArn": ROLE, "PipelineDefinition": definition(fail(""))},
            errors.ClientError,
            "already exists",
        ),
        (
            sm.update_pipeline,
            {"PipelineName": name, "PipelineDefinitionS3Location": source},
            errors.ClientError,
            "cannot be read",
        ),
    ):
        with pytest.raises(error, match=message):
            call(**request)
    sm.stop_pipeline_execution(PipelineExecutionArn=execution)
    assert wait(sm, execution)[STATUS] == "Stopped"


def test_a_step_that_the_service_refuses_fails_with_its_reason(sm, pipeline):
    step = train()
    step["Arguments"]["OutputDataConfig"] = {"S3OutputPath": get("Parameters.Output")}
    output = {"Name": "Output", "Type": "String", "DefaultValue": "s3://missing-bucket/x"}
    execution = pipeline(step, parameters=[output])
    assert wait(sm, execution)[STATUS] == "Failed"
    reason = steps(sm, execution)["Train"]["FailureReason"]
    assert reason.startswith(
        "ClientError: Failed to invoke sagemaker:CreateTrainingJob. Error Details: "
    )
    assert '"missing-bucket" does not exist' in reason


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"Name": "Ask", "Type": "Callback", "Arguments": {}}, "'Ask': the type 'Callback' is not"),
        (train(DependsOn=["Other"]), "depends on 'Other', which is not a step"),
        (train(epochs=get("Steps.Other.X")), "refers to 'Steps.Other.X': there is no such step"),
        (train(epochs=get("Steps.Train.TrainingJobName")), "depend on each other: Train"),
        (train(epochs=get("Parameters.X")), "'Parameters.X': there is no such parameter"),
        (train(Arguments={"Image": "x"}), "CreateTrainingJob has no argument Image"),
        (train(Arguments={}), "Value null at 'algorithmSpecification'|'outputDataConfig'"),
        (train(RetryPolicies=[{"ExceptionType": ["Any"]}]), "ExceptionType of a retry policy"),
        (
            train(
                Arguments={
                    **train()["Arguments"],
                    "TensorBoardOutputConfig": {"S3OutputPath": "s3://b"},
                }
            ),
            "'Train': TensorBoardOutputConfig is not offered here",
        ),
    ],
    ids=lambda value: None if isinstance(value, dict) else value[:30],
)
def test_a_definition_that_cannot_be_executed_is_refused(sm, step, message):
    with pytest.raises(sm.exceptions.ClientError, match=message) as raised:
        sm.create_pipeline(
            PipelineName="refused", PipelineDefinition=definition(step), RoleArn=ROLE
        )
    assert raised.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(sm.exceptions.ResourceNotFound):
        sm.describe_pipeline(PipelineName="refused")


def test_a_restart_fails_what_ran_and_a_retry_goes_on(tmp_path):
    service = up(tmp_path / "state")
    s3, sm = service.client("s3"), service.client("sagemaker")
    s3.create_bucket(Bucket=BUCKET)
    for seed, name in enumerate(("train", "test")):
        x, y = planted(seed)
        s3.put_object(Bucket=BUCKET, Key=f"data/{name}/part-0", Body=sparse_file(x, y))
    epochs = {"Std:Join": {"Values": [get("Parameters.Epochs")]}}
    text = definition(
        train("First"),
        train("Second", DependsOn=["First"], epochs=epochs),
        parameters=[{"Name": "Epochs", "Type": "String", "DefaultValue": "100000000"}],
    )
    sm.create_pipeline(PipelineName="p", PipelineDefinition=text, RoleArn=ROLE)
    execution = sm.start_pipeline_execution(PipelineName="p")["PipelineExecutionArn"]
    until = time.monotonic() + PATIENCE
    while statuses(sm, execution).get("Second") != "Executing":
        assert time.monotonic() < until
        time.sleep(0.1)
    kill(service)
    service = up(tmp_path / "state")
    try:
        sm = service.client("sagemaker")
        described = sm.describe_pipeline_execution(PipelineExecutionArn=execution)
        assert described[STATUS] == "Failed"
        assert described["FailureReason"] == (
            "InternalServerError: the local service ended while the pipeline ran."
        )
        lost = steps(sm, execution)
        assert lost["First"]["StepStatus"] == "Succeeded"
        assert lost["Second"]["StepStatus"] == "Failed"
        assert lost["Second"]["FailureReason"] == described["FailureReason"]
        sm.retry_pipeline_execution(PipelineExecutionArn=execution)
        until = time.monotonic() + PATIENCE
        while statuses(sm, execution).get("Second") != "Executing":
            assert time.monotonic() < until
            time.sleep(0.1)
        assert steps(sm, execution)["First"] == lost["First"]
        sm.stop_pipeline_execution(PipelineExecutionArn=execution)
        assert wait(sm, execution)[STATUS] == "Stopped"
    finally:
        down(service)


@pytest.mark.sdk
@pytest.mark.parametrize("version", [2, 3])
def test_a_pipeline_of_the_sdk(service, version):
    if reason := sdk.missing(version, containers=False):
        pytest.skip(reason)
    script = ROOT / f"tests/service/pipelines_v{version}.py"
    lines = run_sdk(service, version, script, IMAGE, BUCKET).splitlines()
    shown = [line for line in lines if line.startswith(("FIRST", "LOW", "STOP"))]
    more = {2: ["FIRST Tune Succeeded"], 3: []}
    last = {
        2: ["Register-RegisterModel", "Create-CreateModel", "Score"],
        3: ["Register"],
    }
    assert shown == [
        "FIRST Succeeded",
        "FIRST Train Succeeded",
        *more[version],
        "FIRST Check Succeeded",
        *(f"FIRST {name} Succeeded" for name in last[version]),
        "LOW Failed",
        "LOW Train Succeeded from the cache",
        *(line.replace("FIRST", "LOW") for line in more[version]),
        "LOW Check Succeeded",
        "LOW TooLow Failed the accuracy is below 1.1",
        "STOP Stopped",
        f"STOPPED {['Stopped'] * {2: 2, 3: 1}[version]}",
    ]
    assert any("Waiter encountered a terminal failure state" in line for line in lines)
    assert (
        "REASON Step failure: One or multiple steps failed: TooLow: the accuracy is below 1.1"
        in lines
    )


REPORT = """
import json, pathlib, sys
report = {"metrics": {"rmse": {"value": 0.5}}, "list": [{"a": "b"}], "argument": sys.argv[1]}
pathlib.Path("/opt/ml/processing/report/evaluation.json").write_text(json.dumps(report))
"""


def test_a_property_file_of_a_processing_step_decides_a_condition(sm, s3, pipeline):
    name = f"report-{uuid.uuid4().hex[:8]}"
    prefix = [f"s3://{BUCKET}", get("Execution.PipelineExecutionId"), name]
    place = {"S3Uri": {"Std:Join": {"On": "/", "Values": prefix}}, "S3UploadMode": "EndOfJob"}
    output = {
        "OutputName": "report",
        "S3Output": place | {"LocalPath": "/opt/ml/processing/report"},
    }
    arguments = processing(
        s3, name, REPORT, get("Parameters.Word"), ProcessingOutputConfig={"Outputs": [output]}
    )
    del arguments["ProcessingJobName"]
    file = {"PropertyFileName": "Report", "OutputName": "report", "FilePath": "evaluation.json"}

    def read(path):
        source = {"Get": "Steps.Evaluate.PropertyFiles.Report"}
        return {"Std:JsonGet": {"PropertyFile": source, "Path": path}}

    uri = get("Steps.Evaluate.ProcessingOutputConfig.Outputs['report'].S3Output.S3Uri")
    again = {"Std:Join": {"On": "/", "Values": [uri, "evaluation.json"]}}
    passes = {"Type": "LessThan", "LeftValue": read("metrics.rmse.value"), "RightValue": 0.4}
    values = [
        read("argument"),
        read("list[0].a"),
        {"Std:JsonGet": {"S3Uri": again, "Path": "metrics.rmse.value"}},
    ]
    execution = pipeline(
        {
            "Name": "Evaluate",
            "Type": "Processing",
            "Arguments": arguments,
            "PropertyFiles": [file],
        },
        condition([passes], [train()], [fail({"Std:Join": {"On": " ", "Values": values}})]),
        fail(read("missing"), name="Unread", DependsOn=["Stop"]),
        parameters=[{"Name": "Word", "Type": "String", "DefaultValue": "word"}],
        experiment={
            "ExperimentName": get("Execution.PipelineName"),
            "TrialName": get("Execution.PipelineExecutionId"),
        },
    )
    described = wait(sm, execution)
    assert described["FailureReason"].endswith("failed: Stop: word b 0.5"), described
    job = sm.describe_processing_job(
        ProcessingJobName=name_of(steps(sm, execution)["Evaluate"], "ProcessingJob")
    )
    assert job["ExperimentConfig"]["TrialName"] == execution.rpartition("/")[2]
    missing = pipeline(fail({"Std:JsonGet": {"S3Uri": uri_of(execution), "Path": "x"}}))
    assert "Stop: ClientError: " in wait(sm, missing)["FailureReason"]


def uri_of(execution):
    return f"s3://{BUCKET}/{execution.rpartition('/')[2]}/nothing.json"
