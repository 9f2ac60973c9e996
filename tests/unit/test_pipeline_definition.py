"""Definitions of pipelines: what is accepted, and what is refused by name."""

import json
from datetime import timedelta

import pytest

from local_sagemaker.api import step_arguments
from local_sagemaker.errors import ServiceError
from local_sagemaker.pipelines import cache, retries
from local_sagemaker.pipelines.definition import parse
from local_sagemaker.pipelines.parameters import values
from local_sagemaker.pipelines.steps import STEP_TYPES, resource_name

TRANSFORM = {
    "ModelName": "m",
    "TransformInput": {
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/x"}}
    },
    "TransformOutput": {"S3OutputPath": "s3://b"},
    "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
}


def get(path):
    return {"Get": path}


def step(name, kind="Transform", arguments=None, **members):
    return {"Name": name, "Type": kind, "Arguments": arguments or dict(TRANSFORM), **members}


def fail(name, message="", **members):
    return step(name, "Fail", {"ErrorMessage": message}, **members)


def condition(name, conditions=(), yes=(), no=(), **members):
    arguments = {"Conditions": list(conditions), "IfSteps": list(yes), "ElseSteps": list(no)}
    return step(name, "Condition", arguments, **members)


def text(*steps, **members):
    return json.dumps({"Version": "2020-12-01", "Steps": list(steps), **members})


def problem(content):
    """Return the message with which a definition is refused."""
    with pytest.raises(ServiceError) as raised:
        step_arguments.check(parse(content))
    assert raised.value.code == "ValidationException"
    return raised.value.message


def test_dependencies_come_from_names_expressions_and_branches():
    joined = {"Std:Join": {"On": "/", "Values": ["a", get("Steps.B.TransformJobName")]}}
    file = {"PropertyFileName": "F", "OutputName": "o", "FilePath": "p"}
    json_get = {"Std:JsonGet": {"PropertyFile": get("Steps.P.PropertyFiles.F"), "Path": "a[0]"}}
    test = {"Type": "Equals", "LeftValue": json_get, "RightValue": 1}
    definition = parse(
        text(
            step("A", arguments={**TRANSFORM, "ModelName": joined}, DependsOn=["C"]),
            step("B"),
            step("C"),
            step("P", "Processing", {"RoleArn": "r"}, PropertyFiles=[file]),
            condition("D", [test], [condition("E", [], [], [fail("F")])]),
        )
    )
    found = {name: one.dependencies() for name, one in definition.steps.items()}
    assert found == {
        **{"A": {"B", "C"}, "B": set(), "C": set(), "P": set()},
        **{"D": {"P"}, "E": {"D"}, "F": {"E"}},
    }
    assert definition.steps["E"].branch == ("D", True)
    assert definition.steps["F"].branch == ("E", False)


def test_a_condition_step_without_conditions_is_true():
    for arguments in ({"IfSteps": []}, {"Conditions": None}):
        definition = parse(text(step("A", "Condition", {"ElseSteps": None, **arguments})))
        assert definition.steps["A"].arguments == {"Conditions": []}


@pytest.mark.parametrize(
    "kind",
    [
        *("Callback", "Lambda", "EMR", "EMRServerless", "QualityCheck", "ClarifyCheck", "AutoML"),
        *("EndpointConfig", "Endpoint", "InferenceComponent", "Lineage", "ForEach", "Cleanup"),
        *("Job", "NotebookJob", None, ["Training"]),
    ],
    ids=str,
)
def test_another_type_of_step_is_named(kind):
    message = problem(text(step("Other", kind)))
    assert message.startswith(f"Step 'Other': the type {kind!r} is not offered here")
    assert "Training, Processing, Transform, Tuning, Model, RegisterModel, Condition" in message


PROPERTY = {"Std:JsonGet": {"PropertyFile": get("Steps.A.PropertyFiles.X"), "Path": "a"}}
PROBLEMS = {
    "no-json": ("{", "must be JSON"),
    "deep": ("[" * 100000, "must be JSON"),
    "list": ("[]", "must be an object with the Version 2020-12-01"),
    "version": (json.dumps({"Version": "2021", "Steps": []}), "the Version 2020-12-01"),
    "no-steps": (text(), "must have a step"),
    "member": (text(fail("A"), Triggers=[1]), "Triggers of a pipeline definition is not offered"),
    "mlflow": (text(fail("A"), MlflowConfig={"a": "b"}), "MlflowConfig of a pipeline definition"),
    "duplicate": (text(fail("A"), condition("B", yes=[fail("A")])), "Two steps have the name 'A'"),
    "name": (text(fail("A.B")), "A step's Name must match"),
    "step-member": (text(fail("A", Extra=1)), "Step 'A': Extra is not offered here"),
    "arguments": (text({"Name": "A", "Type": "Fail"}), "'A' must have Arguments"),
    "trigger": (
        text(fail("A"), fail("B", DependsOn=[{"Step": "A", "Trigger": "Failed"}])),
        "Step 'B': DependsOn must be a list of names; a Trigger is not offered here",
    ),
    "cycle": (
        text(fail("A", DependsOn=["B"]), fail("B", DependsOn=["A"])),
        "depend on each other: A, B, A|depend on each other: B, A, B",
    ),
    "own-branch": (
        text(condition("A", yes=[fail("B")], DependsOn=["B"])),
        "depend on each other",
    ),
    "unknown": (text(fail("A", DependsOn=["B"])), "depends on 'B', which is not a step"),
    "of-fail": (text(fail("A"), fail("B", get("Steps.A.X"))), "a Fail step has no properties"),
    "property": (
        text(step("A"), fail("B", get("Steps.A.TransformJobNames"))),
        "Step 'B' refers to 'Steps.A.TransformJobNames': a Transform step has no such property",
    ),
    "no-property": (text(step("A"), fail("B", get("Steps.A"))), "refers to 'Steps.A'"),
    "path": (text(step("A"), fail("B", get("Steps.A.X[a]"))), "must be a path such as"),
    "outcome": (
        text(condition("A"), fail("B", get("Steps.A.Result"))),
        "a Condition step has no such property",
    ),
    "property-file": (text(step("A"), fail("B", PROPERTY)), "there is no such property file"),
    "variable": (text(fail("A", get("Execution.Name"))), "the variables are PipelineName, "),
    "root": (text(fail("A", get("Other.Name"))), "begins with Parameters, Execution or Steps"),
    "function": (text(fail("A", {"Std:Split": {}})), "The function Std:Split is not offered here"),
    "join": (text(fail("A", {"Std:Join": {"Values": "a"}})), "is not a valid expression"),
    "get": (text(fail("A", {"Get": 1})), "is not a valid expression"),
    "condition-type": (text(condition("A", [{"Type": "Like"}])), "Type of a condition must be"),
    "condition-value": (
        text(condition("A", [{"Type": "Equals", "LeftValue": 1}])),
        "of the Type Equals must have LeftValue, RightValue and nothing else",
    ),
    "inner-condition": (
        text(condition("A", [{"Type": "Or", "Conditions": [{"Type": "Like"}]}])),
        "Type of a condition must be",
    ),
    "fail-argument": (text(step("A", "Fail", {"Code": 1})), "a Fail step has no argument Code"),
    "cache-type": (
        text(step("A", "Model", {"ModelName": "m"}, CacheConfig={"Enabled": True})),
        "a Model step cannot be cached",
    ),
    "cache-age": (
        text(step("A", CacheConfig={"Enabled": True, "ExpireAfter": "1 day"})),
        "ExpireAfter must be an ISO 8601 duration",
    ),
    "retry": (
        text(step("A", RetryPolicies=[{"ExceptionType": ["Other"]}])),
        "ExceptionType of a retry policy must list Step.SERVICE_FAULT",
    ),
    "experiment": (
        text(fail("A"), PipelineExperimentConfig={"ExperimentName": get("Steps.A.X")}),
        "PipelineExperimentConfig refers to 'Steps.A.X'",
    ),
    "unknown-argument": (
        text(step("A", arguments={**TRANSFORM, "Size": 1})),
        "Step 'A': CreateTransformJob has no argument Size",
    ),
    "missing-argument": (
        text(step("A", arguments={"ModelName": "m"})),
        "Step 'A': 3 validation errors detected: Value null at 'transformInput'",
    ),
    "argument-type": (
        text(step("A", arguments={**TRANSFORM, "MaxPayloadInMB": "large"})),
        "Value 'large' at 'maxPayloadInMB' failed to satisfy constraint",
    ),
    "refused-argument": (
        text(
            step("A", arguments={**TRANSFORM, "DataCaptureConfig": {"DestinationS3Uri": "s3://b"}})
        ),
        "Step 'A': DataCaptureConfig is not offered here",
    ),
    "parameter-type": (
        text(fail("A"), Parameters=[{"Name": "P", "Type": "List"}]),
        "Parameter 'P': the type must be one of String, Integer, Float, Boolean",
    ),
    "parameter-default": (
        text(fail("A"), Parameters=[{"Name": "P", "Type": "Integer", "DefaultValue": "1"}]),
        "Parameter 'P' must be of type Integer; got '1'",
    ),
    "parameter-twice": (
        text(fail("A"), Parameters=[{"Name": "P", "Type": "String"}] * 2),
        "Two parameters have the name 'P'",
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_an_invalid_definition_is_refused(name):
    content, message = PROBLEMS[name]
    found = problem(content)
    assert any(part in found for part in message.split("|")), found


PARAMETERS = parse(
    text(
        fail("A"),
        Parameters=[
            {"Name": "Word", "Type": "String", "DefaultValue": "a", "EnumValues": ["a", "b"]},
            {"Name": "Rate", "Type": "Float", "DefaultValue": 1},
            {"Name": "Count", "Type": "Integer"},
            {"Name": "Switch", "Type": "Boolean", "DefaultValue": False},
        ],
    )
).parameters


def test_values_of_parameters_have_their_types():
    entries = {"Count": "-3", "Switch": "True", "Rate": "1e-3", "Word": "b"}
    requested = [{"Name": name, "Value": value} for name, value in entries.items()]
    expected = {"Word": "b", "Rate": 0.001, "Count": -3, "Switch": True}
    assert values(PARAMETERS, requested) == expected
    assert values(PARAMETERS, requested[:1]) == {
        **{"Word": "a", "Rate": 1, "Count": -3, "Switch": False}
    }


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("Count", "1.5", "'Count' must be of type Integer"),
        ("Rate", "nan", "'Rate' must be of type Float"),
        ("Switch", "1", "'Switch' must be of type Boolean"),
        ("Word", "c", "'Word' must be one of a, b; got 'c'"),
        ("Other", "c", "no parameter 'Other'"),
    ],
)
def test_an_invalid_value_of_a_parameter_is_refused(name, value, message):
    with pytest.raises(ServiceError, match=message):
        values(PARAMETERS, [{"Name": "Count", "Value": "1"}, {"Name": name, "Value": value}])


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        ("P30D", timedelta(30)),
        ("p30d", timedelta(30)),
        ("P4DT12H", timedelta(4, hours=12)),
        ("T12H", timedelta(hours=12)),
        ("30dT5h", timedelta(30, hours=5)),
        ("T16m", timedelta(minutes=16)),
        ("P2M", timedelta(60)),
        ("5y", timedelta(5 * 365)),
        ("P1W", timedelta(7)),
        ("P99999999999D", timedelta(36500)),
        ("", None),
        ("P", None),
        ("1 hour", None),
        (3600, None),
    ],
)
def test_the_age_of_a_cached_step_is_an_iso_duration(duration, expected):
    assert cache.duration(duration) == expected


def test_the_key_of_a_cached_step_has_the_arguments_that_change_its_result():
    one = cache.key("Training", {"HyperParameters": {"a": "1"}, "RoleArn": "r"})
    assert one == cache.key("Training", {"RoleArn": "s", "HyperParameters": {"a": "1"}})
    assert one != cache.key("Training", {"HyperParameters": {"a": "2"}, "RoleArn": "r"})


def test_names_of_resources_have_the_service_s_form():
    name = resource_name(STEP_TYPES["Training"], "abcdefghijkl", "My_step", None)
    assert name.startswith("pipelines-abcdefghijkl-My-step-") and len(name) == 41
    long = resource_name(STEP_TYPES["Training"], "abcdefghijkl", "s" * 64, None)
    assert len(long) == 63
    tuning = resource_name(STEP_TYPES["Tuning"], "abcdefghijkl", "TuningStep", None)
    assert tuning.startswith("abcdefghijkl-TuningSt-") and len(tuning) == 32
    assert resource_name(STEP_TYPES["Model"], "a" * 12, "s", "mine").startswith("mine-")


def test_a_retry_policy_has_a_growing_interval_and_a_limit():
    policies = [
        {"ExceptionType": ["Step.THROTTLING"], "IntervalSeconds": 100},
        {
            "ExceptionType": [retries.JOB_ERROR],
            "IntervalSeconds": 2,
            "BackoffRate": 3.0,
            "MaxAttempts": 3,
            "ExpireAfterMin": 1,
        },
    ]
    delays = [retries.delay(policies, retries.JOB_ERROR, attempt, 0) for attempt in (1, 2, 3)]
    assert delays == [2, 6, None]
    assert retries.delay(policies, retries.JOB_ERROR, 1, 60) is None
    assert retries.delay(policies, retries.SERVICE_FAULT, 1, 0) is None
