"""The values of a pipeline's expressions and conditions."""

import datetime

import pytest

from local_sagemaker.errors import LocalError
from local_sagemaker.pipelines import conditions
from local_sagemaker.pipelines.expressions import evaluate, references, select, split_path

TIME = datetime.datetime(2026, 1, 31, tzinfo=datetime.timezone.utc)
VALUES = {
    "Parameters.Count": 3,
    "Parameters.Switch": True,
    "Execution.StartDateTime": TIME,
    "Steps.P.PropertyFiles.F": "s3://b/report.json",
    "Steps.T.TrainingJobName": "job",
    "Steps.T.SecondaryStatusTransitions": [{"StartTime": TIME}],
}
REPORT = {"metrics": {"rmse": {"value": 0.5}}, "list": [{"name": "a b"}], "x.y": 1}


class Scope:
    def get(self, path):
        return VALUES[path]

    def read_json(self, uri):
        if uri != "s3://b/report.json":
            raise LocalError(f"{uri} is missing")
        return REPORT


def get(path):
    return {"Get": path}


def join(on, *values):
    return {"Std:Join": {"On": on, "Values": list(values)}}


def json_get(path, **source):
    source = source or {"PropertyFile": get("Steps.P.PropertyFiles.F")}
    return {"Std:JsonGet": {**source, "Path": path}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        (get("Parameters.Count"), 3),
        (
            {"a": [get("Parameters.Count"), {"b": get("Parameters.Switch")}]},
            {"a": [3, {"b": True}]},
        ),
        (get("Execution.StartDateTime"), "2026-01-31T00:00:00Z"),
        (join("/", "s3:/", get("Steps.T.TrainingJobName"), get("Parameters.Count")), "s3://job/3"),
        (join("", get("Parameters.Switch"), 0.5, "a"), "true0.5a"),
        ({"Std:Join": {"Values": ["a", join("-", "b", "c")]}}, "ab-c"),
        (json_get("metrics.rmse.value"), 0.5),
        (json_get("$.list[0].name"), "a b"),
        (json_get("['x.y']"), 1),
        (json_get("list[0]['name']", S3Uri=join("/", "s3://b", "report.json")), "a b"),
        (
            join("", get("Steps.T.SecondaryStatusTransitions")),
            '[{"StartTime": "2026-01-31T00:00:00Z"}]',
        ),
        ({"Get": "a", "more": 1}, {"Get": "a", "more": 1}),
    ],
    ids=str,
)
def test_an_expression_has_a_value(value, expected):
    assert evaluate(value, Scope()) == expected


def test_what_has_no_value_is_named():
    with pytest.raises(LocalError, match=r"report\.json has no metrics\.mae"):
        evaluate(json_get("metrics.mae"), Scope())
    with pytest.raises(LocalError, match="s3://b/other is missing"):
        evaluate(json_get("a", S3Uri="s3://b/other"), Scope())


def test_references_are_found_at_any_depth():
    value = {"a": [join("", get("A.b"), join("", get("C.d")))], "b": {"c": json_get("x")}}
    assert list(references(value)) == ["A.b", "C.d", "Steps.P.PropertyFiles.F"]


def test_a_name_selects_the_entry_of_a_list():
    metrics = {"FinalMetricDataList": [{"MetricName": "test:rmse", "Value": 1}, {"Value": 2}]}
    assert select(metrics, "FinalMetricDataList['test:rmse'].Value") == 1
    assert select(metrics, 'FinalMetricDataList["test:rmse"].Value') == 1
    assert select(metrics, "FinalMetricDataList[1].Value") == 2


@pytest.mark.parametrize("path", ["a['c']", "a[2]", "b", "a[0].x.y", "a.x", "c.d", "c[0]"])
def test_a_part_that_is_missing_is_a_lookup_error(path):
    with pytest.raises(LookupError):
        select({"a": [{"OutputName": "b"}, 1], "c": "text"}, path)


def test_a_path_is_split_into_names_and_indexes():
    assert split_path("Outputs['a.b'].S3Output[0][1].x") == [
        "Outputs",
        "a.b",
        "S3Output",
        0,
        1,
        "x",
    ]
    for path in ("", "a..b", "a[", "a[b]", "['a'", "a[-1]"):
        with pytest.raises(ValueError, match="must be a path"):
            split_path(path)


def compare(kind, left, right):
    return {"Type": kind, "LeftValue": left, "RightValue": right}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (compare("Equals", "a", "a"), True),
        (compare("Equals", 1, 1.0), True),
        (compare("Equals", True, False), False),
        (compare("GreaterThan", 2, 1.5), True),
        (compare("GreaterThanOrEqualTo", 1, 1), True),
        (compare("LessThan", 1, 1), False),
        (compare("LessThanOrEqualTo", 0.5, 1), True),
        ({"Type": "In", "QueryValue": "a", "Values": ["a", "b"]}, True),
        ({"Type": "In", "QueryValue": 3, "Values": []}, False),
        ({"Type": "Not", "Condition": compare("Equals", 1, 2)}, True),
        ({"Type": "Or", "Conditions": [compare("Equals", 1, 2), compare("Equals", 1, 1)]}, True),
        ({"Type": "Or", "Conditions": []}, False),
    ],
    ids=str,
)
def test_a_condition_holds_or_not(condition, expected):
    conditions.check(condition)
    assert conditions.holds(condition) is expected


@pytest.mark.parametrize(("left", "right"), [("1", 1), (True, 1), ([1], [2]), (None, None)])
def test_values_of_different_types_cannot_be_compared(left, right):
    with pytest.raises(LocalError, match="GreaterThan cannot compare"):
        conditions.holds(compare("GreaterThan", left, right))
