"""Search expressions: names, operators, nesting, sorting; and what a resource can be asked for."""

import datetime

import pytest

from local_sagemaker.api.search import RESOURCES, _document, _properties
from local_sagemaker.api.search_expression import matches, ordered, values
from local_sagemaker.errors import ServiceError

JOB = {
    "TrainingJobName": "Job-1",
    "TrainingJobStatus": "Completed",
    "HyperParameters": {"epochs": "3", "lr": "0.5", "kind": "fm", "f.beta": "1"},
    "InputDataConfig": [
        {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/train"}}},
        {"ChannelName": "test", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/test"}}},
    ],
    "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.c4.xlarge"},
    "EnableNetworkIsolation": False,
    "CreationTime": datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc),
    "Metrics": [{"MetricName": "train:binary_f_1.000", "Value": 0.25}],
    "Tags": [{"Key": "project", "Value": "lab"}, {"Key": "version", "Value": "1.0"}],
}
COMPONENT = {
    "TrialComponentName": "c",
    "Parameters": {"lr": {"NumberValue": 0.1}, "kind": {"StringValue": "fm"}},
    "InputArtifacts": {"train": {"MediaType": "text/csv", "Value": "s3://b/train"}},
    "Metrics": [{"MetricName": "loss", "Last": 1.0, "Min": 0.5, "Max": 2.0}],
    "Parents": [{"TrialName": "t", "ExperimentName": "e"}],
}
JOBS, COMPONENTS = _properties("TrainingJob"), _properties("ExperimentTrialComponent")


def condition(name, operator=None, value=None):
    members = {"Name": name, "Operator": operator, "Value": value}
    return {key: member for key, member in members.items() if member is not None}


def holds(*arguments, properties=JOBS, record=JOB):
    return matches(properties, {"Filters": [condition(*arguments)]}, _document(record))


@pytest.mark.parametrize(
    ("name", "operator", "value", "expected"),
    [
        ("TrainingJobName", "Equals", "Job-1", True),
        ("TrainingJobName", None, "Job-1", True),  # Equals is the default
        ("TrainingJobName", "Equals", "job-1", False),
        ("TrainingJobName", "NotEquals", "Job-2", True),
        ("TrainingJobName", "NotEquals", "Job-1", False),
        ("TrainingJobName", "Contains", "ob-", True),
        ("TrainingJobName", "In", "Job-0, Job-1", True),
        ("TrainingJobName", "In", "Job-0,Job", False),
        ("FailureReason", "NotExists", None, True),
        ("FailureReason", "Exists", None, False),
        ("FailureReason", "Equals", "x", False),
        ("FailureReason", "NotEquals", "x", True),
        ("TuningJobArn", "NotExists", None, True),
        ("ResourceConfig", "Exists", None, True),
        ("ResourceConfig.InstanceCount", "GreaterThanOrEqualTo", "1", True),
        ("ResourceConfig.InstanceCount", "GreaterThan", "1", False),
        ("resourceconfig.instancecount", "LessThan", "1.5", True),
        ("EnableNetworkIsolation", "Equals", "false", True),
        ("CreationTime", "GreaterThan", "2026-01-01T00:00:00Z", True),
        ("CreationTime", "LessThanOrEqualTo", "2026-01-02T00:00:00", True),
        ("CreationTime", "LessThan", "2026-01-02T00:00:00", False),
        ("HyperParameters.epochs", "Equals", "3", True),
        ("HyperParameters.epochs", "Equals", "3.0", True),
        ("HyperParameters.epochs", "GreaterThan", "10", False),  # as numbers, not as texts
        ("HyperParameters.lr", "LessThan", "0.6", True),
        ("HyperParameters.lr", "LessThan", "0.4", False),
        ("HyperParameters.lr", "Equals", "0", True),  # as an integer, because the value is one
        ("HyperParameters.kind", "Equals", "fm", True),
        ("HyperParameters.kind", "GreaterThan", "1", False),
        ("HyperParameters.f.beta", "Equals", "1", True),
        ("HyperParameters.none", "Exists", None, False),
        ("HyperParameters.none", "NotEquals", "1", True),
        ("Metrics.train:binary_f_1.000", "GreaterThan", "0.2", True),
        ("metrics.train:binary_f_1.000", "GreaterThan", "0.3", False),
        ("Tags.project", "Equals", "lab", True),
        ("Tags.version", "Equals", "1", False),  # a text
        ("Tags.none", "Exists", None, False),
        ("InputDataConfig.ChannelName", "Equals", "test", True),
        ("InputDataConfig.ChannelName", "NotEquals", "test", False),
        ("InputDataConfig.DataSource.S3DataSource.S3Uri", "Contains", "b/train", True),
    ],
)
def test_a_filter_of_a_training_job(name, operator, value, expected):
    assert holds(name, operator, value) is expected


@pytest.mark.parametrize(
    ("name", "operator", "value", "expected"),
    [
        ("Parents.ExperimentName", "Equals", "e", True),
        ("Parents.ExperimentName", "Equals", "E", True),  # names of experiments have no case
        ("Parents.ExperimentName", "In", "D,E", True),
        ("Parents.TrialName", "Equals", "u", False),
        ("Parameters.lr", "LessThan", "0.2", True),
        ("Parameters.kind", "Equals", "fm", True),
        ("Metrics.loss", "Equals", "1", True),
        ("metrics.loss.min", "LessThan", "1", True),
        ("Metrics.loss.Max", "LessThan", "1", False),
        ("InputArtifacts", "Contains", "b/train", True),
        ("InputArtifacts.train.Value", "Equals", "s3://b/train", True),
    ],
)
def test_a_filter_of_a_trial_component(name, operator, value, expected):
    assert holds(name, operator, value, properties=COMPONENTS, record=COMPONENT) is expected


@pytest.mark.parametrize(
    ("name", "operator", "value", "message"),
    [
        ("Nothing", "Equals", "x", "Unknown property name: Nothing"),
        ("TrainingJobName.x", "Equals", "x", "Unknown property name: TrainingJobName.x"),
        ("ResourceConfig.x", "Exists", None, "Unknown property name: ResourceConfig.x"),
        ("TrainingJobName", "GreaterThan", "x", "GreaterThan is not for text properties"),
        ("Tags.project", "LessThan", "1", "LessThan is not for text properties"),
        ("CreationTime", "Contains", "2026", "Contains is for text properties alone"),
        ("CreationTime", "LessThan", "yesterday", "'yesterday' is not a time in ISO 8601"),
        ("ResourceConfig.InstanceCount", "Equals", "x", "must be a number; got 'x'"),
        ("HyperParameters.epochs", "LessThan", "x", "must be a number; got 'x'"),
        ("EnableNetworkIsolation", "Equals", "1", "must be true or false; got '1'"),
        ("ResourceConfig", "Equals", "x", "name a member of it"),
        ("TrainingJobName", "Equals", None, "Equals needs a Value"),
        ("TrainingJobName", "Exists", "x", "Exists takes no Value"),
    ],
)
def test_a_filter_that_cannot_be_is_refused_also_without_records(name, operator, value, message):
    expression = {"Filters": [condition(name, operator, value)]}
    with pytest.raises(ServiceError, match=message):
        matches(JOBS, expression, {})


TRUE, FALSE = condition("TrainingJobName", "Exists"), condition("TrainingJobName", "NotExists")
PAIR = [
    condition("InputDataConfig.ChannelName", "Equals", "train"),
    condition("InputDataConfig.DataSource.S3DataSource.S3Uri", "Contains", "b/train"),
]
OTHER_PAIR = [PAIR[0], {**PAIR[1], "Value": "b/test"}]


def nested(filters, name="InputDataConfig"):
    return {"NestedPropertyName": name, "Filters": filters}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"Filters": [TRUE, FALSE]}, False),
        ({"Filters": [TRUE, FALSE], "Operator": "Or"}, True),
        ({"Filters": [TRUE], "SubExpressions": [{"Filters": [FALSE]}]}, False),
        ({"SubExpressions": [{"Filters": [FALSE]}, {"Filters": [TRUE]}], "Operator": "Or"}, True),
        ({"NestedFilters": [nested(PAIR)]}, True),
        ({"NestedFilters": [nested(OTHER_PAIR)]}, False),  # no channel has both
        ({"Filters": OTHER_PAIR}, True),  # one channel has the name, another the URI
    ],
)
def test_expressions_are_combined(expression, expected):
    assert matches(JOBS, expression, _document(JOB)) is expected


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ({}, "at least one of Filters"),
        ({"SubExpressions": [{"Operator": "And"}]}, "at least one of Filters"),
        ({"NestedFilters": [nested([TRUE])]}, "must name members of it: TrainingJobName"),
        ({"NestedFilters": [nested(PAIR, "Nothing")]}, "Unknown property name: Nothing"),
    ],
)
def test_an_expression_that_cannot_be_is_refused(expression, message):
    with pytest.raises(ServiceError, match=message):
        matches(JOBS, expression, _document(JOB))


@pytest.mark.parametrize(
    ("sort_by", "descending", "expected"),
    [
        ("Metrics.m", True, ["b", "c", "a", "none"]),
        ("Metrics.m", False, ["a", "c", "b", "none"]),  # without a value: last in both orders
        ("HyperParameters.epochs", False, ["a", "b", "c", "none"]),  # 9 before 10
        ("TrainingJobName", True, ["none", "c", "b", "a"]),
    ],
)
def test_results_are_sorted(sort_by, descending, expected):
    records = [{"TrainingJobName": "none"}]
    for name, value, epochs in (("a", 1.0, "9"), ("b", 3.0, "10"), ("c", 2.0, "20")):
        metrics = [{"MetricName": "m", "Value": value}]
        hyperparameters = {"epochs": epochs}
        records.append(
            {"TrainingJobName": name, "Metrics": metrics, "HyperParameters": hyperparameters}
        )
    pairs = [(_document(record), record) for record in records]
    result = ordered(JOBS, pairs, sort_by, descending)
    assert [record["TrainingJobName"] for record in result] == expected


@pytest.mark.parametrize("sort_by", ["Nothing", "ResourceConfig"])
def test_what_has_no_order_is_refused(sort_by):
    with pytest.raises(ServiceError, match=sort_by):
        ordered(JOBS, [], sort_by, True)


def test_a_key_with_dots_is_found_before_another_spelling():
    node = {"A.b": {"c": 1}, "a": [{"B.c": 2}, {"b.c": 3}]}
    assert list(values(node, "A.b.c")) == [1]
    assert list(values(node, "a.b.c")) == [2, 3]


@pytest.mark.parametrize("name", RESOURCES)
def test_each_resource_has_properties_and_an_order(name):
    properties = _properties(name)
    assert len(list(properties.names())) > 5
    ordered(properties, [], "LastModifiedTime", True)
