"""Experiments, trials and trial components, those of jobs included, and Search."""

import datetime
import json
import subprocess
import time

import pytest
from botocore.exceptions import ClientError

from support import sdk
from support.service import BUCKET, IMAGE, ROLE, ROOT, down, ended, kill, training, up

SCRIPT = ROOT / "tests" / "service" / "experiments_v2.py"
JOB = "exp-job-aws-training-job"


@pytest.fixture(scope="module")
def job(sm):
    """A training job of a trial, and another without an experiment."""
    sm.create_experiment(ExperimentName="exp", Tags=[{"Key": "team", "Value": "blue"}])
    sm.create_trial(TrialName="exp-trial", ExperimentName="exp")
    config = {
        "ExperimentName": "exp",
        "TrialName": "exp-trial",
        "TrialComponentDisplayName": "shown",
        "RunName": "my-run",
    }
    tags = [{"Key": "project", "Value": "search"}]
    sm.create_training_job(**training("exp-job", ExperimentConfig=config, Tags=tags))
    one_epoch = {"epochs": "1"}
    sm.create_training_job(**training("exp-other", HyperParameters=one_epoch, Tags=tags))
    for name in ("exp-other", "exp-job"):
        done = ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
        assert done["TrainingJobStatus"] == "Completed"
    return done


def names(response, member="TrainingJob", name=None):
    return [result[member][name or f"{member}Name"] for result in response["Results"]]


def search(sm, *filters, resource="TrainingJob", **more):
    keys = ("Name", "Operator", "Value")
    expression = {"Filters": [dict(zip(keys, each, strict=False)) for each in filters]}
    return sm.search(Resource=resource, SearchExpression=expression, **more)


def test_an_existing_name_is_refused_and_nothing_is_overwritten(sm):
    sm.create_experiment(ExperimentName="kept", Description="first")
    sm.create_trial(TrialName="kept-trial", ExperimentName="kept")
    parameters = {"k": {"NumberValue": 1.0}}
    sm.create_trial_component(TrialComponentName="kept-component", Parameters=parameters)
    for create in (
        lambda: sm.create_experiment(ExperimentName="kept"),
        lambda: sm.create_experiment(ExperimentName="Kept"),
        lambda: sm.create_trial(TrialName="kept-trial", ExperimentName="kept"),
        lambda: sm.create_trial_component(TrialComponentName="kept-component"),
    ):
        with pytest.raises(ClientError, match=r"\(ValidationException\).*already exists"):
            create()
    assert sm.describe_experiment(ExperimentName="kept")["Description"] == "first"
    component = sm.describe_trial_component(TrialComponentName="kept-component")
    assert component["Parameters"] == parameters


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("describe_experiment", {"ExperimentName": "nobody"}),
        ("update_trial", {"TrialName": "nobody", "DisplayName": "n"}),
        ("delete_trial_component", {"TrialComponentName": "nobody"}),
        ("create_trial", {"TrialName": "t", "ExperimentName": "nobody"}),
        ("list_trials", {"ExperimentName": "nobody"}),
        ("list_trial_components", {"TrialName": "nobody"}),
        ("associate_trial_component", {"TrialComponentName": "nobody", "TrialName": "nobody"}),
    ],
)
def test_what_does_not_exist_is_not_found(sm, operation, request_):
    with pytest.raises(sm.exceptions.ResourceNotFound, match="nobody' does not exist"):
        getattr(sm, operation)(**request_)


def test_what_is_linked_is_not_deleted(sm):
    sm.create_experiment(ExperimentName="linked")
    sm.create_trial(TrialName="linked-trial", ExperimentName="linked")
    sm.create_trial_component(TrialComponentName="linked-component")
    pair = {"TrialComponentName": "linked-component", "TrialName": "linked-trial"}
    sm.associate_trial_component(**pair)
    assert sm.list_trials(TrialComponentName="linked-component")["TrialSummaries"]
    for delete in (
        lambda: sm.delete_experiment(ExperimentName="linked"),
        lambda: sm.delete_trial(TrialName="linked-trial"),
        lambda: sm.delete_trial_component(TrialComponentName="linked-component"),
    ):
        with pytest.raises(ClientError, match=r"is linked to 1 or more .* cannot be deleted"):
            delete()
    sm.disassociate_trial_component(**pair)
    with pytest.raises(sm.exceptions.ResourceNotFound, match="is not associated"):
        sm.disassociate_trial_component(**pair)
    sm.delete_trial_component(TrialComponentName="linked-component")
    sm.delete_trial(TrialName="linked-trial")
    sm.delete_experiment(ExperimentName="linked")
    with pytest.raises(sm.exceptions.ResourceNotFound):
        sm.describe_experiment(ExperimentName="linked")


def test_an_update_merges_and_removes(sm):
    artifacts = {"a": {"Value": "s3://b/a"}, "b": {"Value": "s3://b/b"}}
    sm.create_trial_component(
        TrialComponentName="merged",
        Parameters={"one": {"NumberValue": 1}, "two": {"StringValue": "2"}},
        InputArtifacts=artifacts,
        OutputArtifacts=artifacts,
        StartTime=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
    )
    sm.update_trial_component(
        TrialComponentName="merged",
        DisplayName="new",
        Status={"PrimaryStatus": "Failed", "Message": "m"},
        Parameters={"three": {"NumberValue": 3}},
        ParametersToRemove=["two"],
        InputArtifactsToRemove=["a"],
        OutputArtifactsToRemove=["b"],
    )
    component = sm.describe_trial_component(TrialComponentName="merged")
    assert component["Parameters"] == {"one": {"NumberValue": 1}, "three": {"NumberValue": 3}}
    assert list(component["InputArtifacts"]) == ["b"]
    assert list(component["OutputArtifacts"]) == ["a"]
    assert component["Status"] == {"PrimaryStatus": "Failed", "Message": "m"}
    assert (component["DisplayName"], component["StartTime"].year) == ("new", 2026)
    with pytest.raises(ClientError, match=r"(?s)'parameters'.*less than or equal to 300"):
        many = {f"p{index}": {"NumberValue": index} for index in range(299)}
        sm.update_trial_component(TrialComponentName="merged", Parameters=many)
    assert len(sm.describe_trial_component(TrialComponentName="merged")["Parameters"]) == 2


def test_metrics_are_summarized(service, sm):
    sm.create_trial_component(TrialComponentName="Measured")
    client = service.client("sagemaker-metrics")
    at = int(time.time())
    data = [{"MetricName": "loss", "Timestamp": at, "Value": v} for v in (3.0, 1.0)]
    data.append({"MetricName": "loss", "Timestamp": at, "Step": 9, "Value": 2.0})
    response = client.batch_put_metrics(TrialComponentName="measured", MetricData=data)
    assert not response.get("Errors")
    component = sm.describe_trial_component(TrialComponentName="Measured")
    (summary,) = component["Metrics"]
    assert summary.pop("TimeStamp").timestamp() == at
    assert summary.pop("StdDev") == pytest.approx(0.8165, abs=1e-4)
    assert summary == {
        "MetricName": "loss",
        "SourceArn": component["TrialComponentArn"],
        **{"Min": 1.0, "Max": 3.0, "Avg": 2.0, "Last": 2.0, "Count": 3},
    }
    with pytest.raises(ClientError, match="ResourceNotFound"):
        client.batch_put_metrics(TrialComponentName="nobody", MetricData=data)


def query(resource, metric, statistic="Last", **more):
    axis = {"Period": "IterationNumber", "XAxisType": "IterationNumber"}
    names = {"ResourceArn": resource, "MetricName": metric, "MetricStat": statistic}
    return {**names, **axis, **more}


def test_metrics_are_read_step_by_step(service, sm):
    arn = sm.create_trial_component(TrialComponentName="stepwise")["TrialComponentArn"]
    client = service.client("sagemaker-metrics")
    values = ((7, 100, 1.0), (2, 100, 5.0), (7, 200, 3.0))
    data = [
        {"MetricName": "loss", "Step": step, "Timestamp": at, "Value": value}
        for step, at, value in values
    ]
    client.batch_put_metrics(TrialComponentName="stepwise", MetricData=data)
    statistics = ("Min", "Max", "Avg", "Count", "StdDev", "Last")
    queries = [query(arn, "loss", statistic) for statistic in statistics]
    results = client.batch_get_metrics(MetricQueries=queries)["MetricQueryResults"]
    assert [result["Status"] for result in results] == ["Complete"] * 6
    assert [result["XAxisValues"] for result in results] == [[2, 7]] * 6
    assert [result["MetricValues"] for result in results] == [
        *([5.0, 1.0], [5.0, 3.0], [5.0, 2.0], [1.0, 2.0], [0.0, 1.0], [5.0, 3.0])
    ]


def test_the_metrics_of_a_training_job_are_read_by_its_arn_and_its_component(service, job, sm):
    metric = "train:binary_classification_accuracy:epoch"
    component = sm.describe_trial_component(TrialComponentName=JOB)
    arns = (job["TrainingJobArn"], component["TrialComponentArn"])
    client = service.client("sagemaker-metrics")
    queries = [query(arn, metric) for arn in arns]
    first, second = client.batch_get_metrics(MetricQueries=queries)["MetricQueryResults"]
    assert first == second
    assert first["XAxisValues"] == [0, 1, 2]
    final = {entry["MetricName"]: entry["Value"] for entry in job["FinalMetricDataList"]}
    assert first["MetricValues"][-1] == pytest.approx(final[metric])


def test_a_query_that_names_no_resource_has_a_status(service, sm):
    arn = sm.create_trial_component(TrialComponentName="asked")["TrialComponentArn"]
    job = arn.replace("experiment-trial-component/asked", "training-job/nobody")
    resources = (arn, arn.replace("asked", "nobody"), job, job.replace("training", "processing"))
    client = service.client("sagemaker-metrics")
    response = client.batch_get_metrics(MetricQueries=[query(arn, "m") for arn in resources])
    known, *unknown = response["MetricQueryResults"]
    assert known == {"Status": "Complete", "XAxisValues": [], "MetricValues": []}
    texts = ("does not exist", "does not exist", "must be of a training-job")
    for result, text in zip(unknown, texts, strict=True):
        assert result["Status"] == "ValidationError"
        assert text in result["Message"]


@pytest.mark.parametrize(
    ("member", "value"),
    [("Period", "OneMinute"), ("XAxisType", "Timestamp"), ("Start", 1), ("End", 2)],
)
def test_metrics_over_time_are_refused(service, sm, member, value):
    client = service.client("sagemaker-metrics")
    arn = "arn:aws:sagemaker:us-east-1:123456789012:training-job/nobody"
    with pytest.raises(ClientError, match=rf"\(ValidationException\).*{member} '?{value}"):
        client.batch_get_metrics(MetricQueries=[query(arn, "m", **{member: value})])


def test_a_training_job_has_a_trial_component(job, sm):
    component = sm.describe_trial_component(TrialComponentName=JOB)
    assert component["Source"] == {
        "SourceArn": job["TrainingJobArn"],
        "SourceType": "SageMakerTrainingJob",
    }
    assert component["DisplayName"] == "shown"
    assert component["Status"] == {
        "PrimaryStatus": "Completed",
        "Message": "Status: Completed, secondary status: Completed, failure reason: null.",
    }
    assert component["StartTime"] == job["TrainingStartTime"]
    assert component["EndTime"] == job["TrainingEndTime"]
    parameters = component["Parameters"]
    assert parameters["predictor_type"] == {"StringValue": "binary_classifier"}
    assert parameters["epochs"] == {"NumberValue": 3.0}
    assert parameters["SageMaker.InstanceType"] == {"StringValue": "ml.c4.xlarge"}
    assert parameters["SageMaker.InstanceCount"] == {"NumberValue": 1.0}
    assert parameters["SageMaker.VolumeSizeInGB"] == {"NumberValue": 1.0}
    assert component["InputArtifacts"] == {
        "SageMaker.ImageUri": {"Value": IMAGE},
        "train": {"Value": f"s3://{BUCKET}/data/train"},
        "test": {"Value": f"s3://{BUCKET}/data/test"},
    }
    model = job["ModelArtifacts"]["S3ModelArtifacts"]
    assert component["OutputArtifacts"] == {"SageMaker.ModelArtifact": {"Value": model}}
    metrics = {metric["MetricName"]: metric for metric in component["Metrics"]}
    final = {metric["MetricName"]: metric["Value"] for metric in job["FinalMetricDataList"]}
    assert {name: metric["Last"] for name, metric in metrics.items()} == pytest.approx(final)
    assert metrics["train:binary_classification_accuracy:epoch"]["Count"] == 3
    assert job["ExperimentConfig"]["TrialName"] == "exp-trial"


def test_the_component_of_a_job_is_listed_changed_and_associated(job, sm):
    def listed(**filters):
        summaries = sm.list_trial_components(**filters)["TrialComponentSummaries"]
        return [summary["TrialComponentName"] for summary in summaries]

    assert listed(SourceArn=job["TrainingJobArn"]) == [JOB]
    assert listed(ExperimentName="exp") == listed(TrialName="exp-trial") == [JOB]
    sm.create_trial(TrialName="exp-later", ExperimentName="exp")
    sm.associate_trial_component(TrialComponentName=JOB, TrialName="exp-later")
    assert listed(TrialName="exp-later") == [JOB]
    changes = {"Parameters": {"note": {"StringValue": "n"}}, "ParametersToRemove": ["epochs"]}
    sm.update_trial_component(TrialComponentName=JOB, **changes)
    parameters = sm.describe_trial_component(TrialComponentName=JOB)["Parameters"]
    assert parameters["note"] == {"StringValue": "n"}
    assert "epochs" not in parameters and "num_factors" in parameters
    found = search(
        sm,
        ("Parents.TrialName", "Equals", "exp-later"),
        ("Metrics.train:progress", "Equals", "100"),
        resource="ExperimentTrialComponent",
    )
    (result,) = found["Results"]
    assert result["TrialComponent"]["SourceDetail"]["TrainingJob"]["TrainingJobName"] == "exp-job"
    assert result["TrialComponent"]["RunName"] == "my-run"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"ExperimentName": "nobody"}, "Experiment '.*nobody' does not exist"),
        ({"ExperimentName": "exp", "TrialName": "nobody"}, "Trial '.*nobody' does not exist"),
        ({"ExperimentName": "exp-two", "TrialName": "exp-trial"}, "belongs to Experiment exp, not"),
    ],
)
def test_an_experiment_config_names_what_exists(job, sm, config, message):
    if not sm.search(
        Resource="Experiment",
        SearchExpression={"Filters": [{"Name": "ExperimentName", "Value": "exp-two"}]},
    )["Results"]:
        sm.create_experiment(ExperimentName="exp-two")
    with pytest.raises(ClientError, match=message):
        sm.create_training_job(**training("exp-refused", ExperimentConfig=config))
    assert not search(sm, ("TrainingJobName", "Equals", "exp-refused"))["Results"]


def test_a_transform_job_has_a_component_and_its_deleted_job_has_none(job, sm):
    image = {"Image": IMAGE, "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"]}
    sm.create_model(ModelName="exp-model", PrimaryContainer=image, ExecutionRoleArn=ROLE)
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/data/test"}}
    sm.create_transform_job(
        TransformJobName="exp-transform",
        ModelName="exp-model",
        TransformInput={"DataSource": source, "ContentType": "application/x-recordio-protobuf"},
        TransformOutput={"S3OutputPath": f"s3://{BUCKET}/scores"},
        TransformResources={"InstanceType": "ml.c4.xlarge", "InstanceCount": 1},
        ExperimentConfig={"ExperimentName": "exp"},
    )
    component = sm.describe_trial_component(TrialComponentName="exp-transform-aws-transform-job")
    assert component["Source"]["SourceType"] == "SageMakerTransformJob"
    assert component["Parameters"]["SageMaker.ModelName"] == {"StringValue": "exp-model"}
    assert component["OutputArtifacts"]["SageMaker.TransformOutput"]["Value"].endswith("/scores")
    # Without a TrialName there is a new trial.
    assert sm.describe_trial(TrialName="exp-transform")["ExperimentName"] == "exp"
    (result,) = search(sm, ("ModelName", "Equals", "exp-model"), resource="Model")["Results"]
    assert result["Model"]["LastBatchTransformJob"]["TransformJobName"] == "exp-transform"
    ended(sm.describe_transform_job, "TransformJobStatus", TransformJobName="exp-transform")
    sm.create_training_job(**training("exp-gone", HyperParameters={"epochs": "1"}))
    ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="exp-gone")
    sm.delete_training_job(TrainingJobName="exp-gone")
    with pytest.raises(sm.exceptions.ResourceNotFound):
        sm.describe_trial_component(TrialComponentName="exp-gone-aws-training-job")


def test_search_finds_training_jobs(job, sm):
    both, tag = {"exp-job", "exp-other"}, ("Tags.project", "Equals", "search")
    assert set(names(search(sm, tag))) == both
    assert names(search(sm, tag, ("HyperParameters.epochs", "GreaterThan", "2"))) == ["exp-job"]
    assert set(names(search(sm, tag, ("TrainingJobStatus", "Equals", "Completed")))) == both
    metric = "train:binary_classification_accuracy"
    response = search(sm, tag, sort_by_metric := (f"Metrics.{metric}", "Exists"))
    assert response["TotalHits"] == {"Value": 2, "Relation": "EqualTo"}
    for order in ("Ascending", "Descending"):
        found = search(sm, tag, SortBy=sort_by_metric[0], SortOrder=order)["Results"]
        values = [
            {m["MetricName"]: m["Value"] for m in each["TrainingJob"]["FinalMetricDataList"]}
            for each in found
        ]
        in_order = [value[metric] for value in values]
        assert in_order == sorted(in_order, reverse=order == "Descending")
    everything = sm.search(Resource="TrainingJob")
    assert both <= set(names(everything))
    assert everything["TotalHits"]["Value"] >= 2


def test_search_pages(job, sm):
    request = {"Resource": "TrainingJob", "SortBy": "TrainingJobName", "SortOrder": "Ascending"}
    pages = sm.get_paginator("search").paginate(**request, PaginationConfig={"PageSize": 1})
    found = [name for page in pages for name in names(page)]
    assert found == sorted(found) and {"exp-job", "exp-other"} <= set(found)
    token = sm.search(**request, MaxResults=1)["NextToken"]
    with pytest.raises(ClientError, match="NextToken is not valid"):
        sm.search(**{**request, "SortOrder": "Descending"}, NextToken=token)


def test_visibility_conditions_hide_other_values(job, sm):
    def visible(value):
        conditions = [{"Key": "Tags.project", "Value": value}]
        return names(sm.search(Resource="TrainingJob", VisibilityConditions=conditions))

    assert "exp-job" in visible("search") and "exp-job" not in visible("other")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"Resource": "FeatureGroup"}, "Resource must be one of TrainingJob, .*; got FeatureGroup"),
        ({"Resource": "Model", "SortBy": "Nothing"}, "Unknown property name: Nothing"),
        (
            {"Resource": "Experiment", "SearchExpression": {"Filters": [{"Name": "No.thing"}]}},
            "Unknown property name: No.thing",
        ),
        (
            {"Resource": "Model", "CrossAccountFilterOption": "CrossAccount"},
            "CrossAccountFilterOption must be SameAccount",
        ),
    ],
)
def test_a_search_that_cannot_be_is_refused(sm, request_, message):
    with pytest.raises(ClientError, match=rf"\(ValidationException\).*{message}"):
        sm.search(**request_)


def test_suggestions_are_property_names(job, sm):
    def suggested(hint, resource="TrainingJob"):
        query = {"PropertyNameQuery": {"PropertyNameHint": hint}}
        response = sm.get_search_suggestions(Resource=resource, SuggestionQuery=query)
        return [each["PropertyName"] for each in response["PropertyNameSuggestions"]]

    assert "TrainingJobName" in suggested("TrainingJobN")
    assert {"HyperParameters.epochs"} == set(suggested("HyperParameters.epo"))
    assert suggested("Metrics.train:prog") == ["Metrics.train:progress"]
    assert suggested("Tags.proj") == ["Tags.project"]


def test_a_restart_keeps_experiments(tmp_path):
    state = tmp_path / "state"
    service = up(state)
    sm = service.client("sagemaker")
    arn = sm.create_experiment(ExperimentName="e")["ExperimentArn"]
    sm.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    sm.create_trial(TrialName="t", ExperimentName="e")
    sm.create_trial_component(TrialComponentName="c")
    sm.associate_trial_component(TrialComponentName="c", TrialName="t")
    data = [{"MetricName": "m", "Timestamp": time.time(), "Value": 1.0}]
    service.client("sagemaker-metrics").batch_put_metrics(TrialComponentName="c", MetricData=data)
    before = sm.describe_trial_component(TrialComponentName="c")
    kill(service)
    service = up(state)
    try:
        sm = service.client("sagemaker")
        after = sm.describe_trial_component(TrialComponentName="c")
        assert {**after, "ResponseMetadata": 0} == {**before, "ResponseMetadata": 0}
        assert sm.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
        parents = ("Parents.ExperimentName", "Equals", "e")
        assert search(sm, parents, resource="ExperimentTrialComponent")["Results"]
    finally:
        down(service)


@pytest.mark.sdk
def test_runs_of_the_sdk_v2(job, service):
    if reason := sdk.missing(2, containers=False):
        pytest.skip(reason)
    uris = (f"s3://{BUCKET}/data/train", f"s3://{BUCKET}/out")
    done = subprocess.run(
        [sdk.python(2), SCRIPT, IMAGE, *uris],
        env=service.environment(),
        capture_output=True,
        text=True,
        timeout=sdk.PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    printed = json.loads(done.stdout.partition("PRINTED ")[2])
    left, file = printed.pop("left"), printed["inputs"].pop("notes")
    assert "sdk-runs" in left and "sdk-experiment" not in left
    assert file.startswith("s3://sagemaker-us-east-1-") and file.endswith("/notes.txt")
    jobs = ["job-in-run-aws-training-job", "job-with-config-aws-training-job"]
    assert printed == {
        "parameters": {"lr": 0.1, "kind": "fm", "layers": 2, "again": 1},
        "inputs": {},
        "outputs": {"model": "s3://bucket/model.tar.gz"},
        "metrics": {"loss": [25, 1.0]},
        "runs": ["first", "second"],
        "components": [*jobs, "sdk-runs-first", "sdk-runs-second"],
        "job": ["shown", 2.0, "ml.c4.xlarge"],
        "job metrics": ["train:progress - Last"],
        "sorted": ["sdk-runs-second", "sdk-runs-first"],
        "produced": ["ConfusionMatrix"],
        "trials": ["sdk-trial"],
    }
