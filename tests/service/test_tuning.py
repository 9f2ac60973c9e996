"""Tuning jobs: what is tried, what is found best, and what is refused."""

import time

import pytest
from botocore.exceptions import ClientError

from local_sagemaker.jobs import search
from support.service import BUCKET, PATIENCE, ended, training

INTEGERS = {
    "IntegerParameterRanges": [
        {"Name": "epochs", "MinValue": "1", "MaxValue": "6", "ScalingType": "Linear"}
    ]
}
MIXED = {
    **INTEGERS,
    "ContinuousParameterRanges": [
        {"Name": "linear_lr", "MinValue": "0.0001", "MaxValue": "0.1", "ScalingType": "Logarithmic"}
    ],
    "CategoricalParameterRanges": [{"Name": "mini_batch_size", "Values": ["50", "100"]}],
}


def request(name, ranges, strategy="Random", most=4, parallel=2, **changes):
    job = training("unused")
    static = {k: v for k, v in job["HyperParameters"].items()
              if k not in str(ranges)}  # fmt: skip
    limits = {"MaxNumberOfTrainingJobs": most, "MaxParallelTrainingJobs": parallel}
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": strategy,
            "HyperParameterTuningJobObjective": {
                "Type": "Minimize",
                "MetricName": "test:binary_classification_cross_entropy",
            },
            "ResourceLimits": limits,
            "ParameterRanges": ranges,
            **changes,
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": {k: v for k, v in static.items()},
            # As the SDK names it; ResourceConfig is the older member.
            "HyperParameterTuningResourceConfig": job["ResourceConfig"],
            **{
                key: job[key]
                for key in (
                    "AlgorithmSpecification",
                    "RoleArn",
                    "InputDataConfig",
                    "OutputDataConfig",
                    "StoppingCondition",
                )
            },
        },
    }


def tuned(sm, *arguments, **changes):
    return run(sm, request(*arguments, **changes))


def run(sm, members):
    """Run a tuning job; return its description and the training jobs that have an objective."""
    sm.create_hyper_parameter_tuning_job(**members)
    name = members["HyperParameterTuningJobName"]
    until = time.monotonic() + PATIENCE
    while True:
        job = sm.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        if job["HyperParameterTuningJobStatus"] not in ("InProgress", "Stopping"):
            break
        assert time.monotonic() < until
        time.sleep(0.2)
    listed = sm.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name, SortBy="FinalObjectiveMetricValue", SortOrder="Ascending"
    )
    return job, listed["TrainingJobSummaries"]


@pytest.mark.parametrize("strategy", ["Random", "Bayesian"])
def test_the_best_job_is_the_one_with_the_best_objective(sm, strategy):
    job, trials = tuned(sm, f"tune-{strategy.lower()}", MIXED, strategy)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"]["Completed"] == len(trials) == 4
    key = "FinalHyperParameterTuningJobObjectiveMetric"
    values = [one[key]["Value"] for one in trials]
    assert values == sorted(values)
    assert job["BestTrainingJob"]["TrainingJobName"] == trials[0]["TrainingJobName"]
    for one in trials:
        tried = one["TunedHyperParameters"]
        assert 1 <= int(tried["epochs"]) <= 6
        assert 0.0001 <= float(tried["linear_lr"]) <= 0.1
        assert tried["mini_batch_size"] in ("50", "100")
    described = sm.describe_training_job(TrainingJobName=trials[0]["TrainingJobName"])
    assert described["TuningJobArn"] == job["HyperParameterTuningJobArn"]
    assert described["HyperParameters"]["epochs"] == trials[0]["TunedHyperParameters"]["epochs"]


def test_a_grid_is_gone_through_whole(sm):
    ranges = {
        "CategoricalParameterRanges": [
            {"Name": "epochs", "Values": ["1", "2"]},
            {"Name": "mini_batch_size", "Values": ["50", "100"]},
        ]
    }
    _, trials = tuned(sm, "grid", ranges, "Grid")
    tried = {tuple(sorted(one["TunedHyperParameters"].items())) for one in trials}
    assert len(tried) == len(trials) == 4


def test_a_tuning_job_ends_with_its_target(sm):
    criteria = {"TargetObjectiveMetricValue": 100.0}
    _, trials = tuned(sm, "enough", INTEGERS, "Random", 6, 1, TuningJobCompletionCriteria=criteria)
    assert len(trials) == 1


def test_failed_training_jobs_fail_it(sm):
    wrong = request("all-fail", INTEGERS, most=6)
    wrong["TrainingJobDefinition"]["StaticHyperParameters"]["num_factors"] = "0"
    job, trials = run(sm, wrong)
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert "All training jobs failed." in job["FailureReason"]
    assert "num_factors must be an integer >= 1" in job["FailureReason"]
    assert job["TrainingJobStatusCounters"]["NonRetryableError"] in (5, 6)  # it gives up after 5
    assert trials == []


def test_a_stopped_one_stops_its_training_jobs(sm):
    ranges = {"IntegerParameterRanges": [
        {"Name": "epochs", "MinValue": "10000000", "MaxValue": "20000000"}
    ]}  # fmt: skip
    sm.create_hyper_parameter_tuning_job(**request("stopping", ranges))
    with pytest.raises(sm.exceptions.ResourceInUse):
        sm.create_hyper_parameter_tuning_job(**request("stopping", ranges))
    sm.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="stopping")
    until = time.monotonic() + PATIENCE
    status = ""
    while status != "Stopped":
        assert time.monotonic() < until
        status = sm.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="stopping")[
            "HyperParameterTuningJobStatus"
        ]
    left = sm.list_training_jobs(NameContains="stopping-", StatusEquals="InProgress")
    assert left["TrainingJobSummaries"] == []


@pytest.mark.parametrize(
    ("ranges", "strategy", "message"),
    [
        ({}, "Random", "at least one range"),
        (INTEGERS, "Grid", "categorical ranges only"),
        (INTEGERS, "Hyperband", "MaxResource is required"),
        (
            {"IntegerParameterRanges": [{"Name": "epochs", "MinValue": "2", "MaxValue": "1"}]},
            "Random",
            "must not be empty",
        ),
        (
            {
                "ContinuousParameterRanges": [
                    {
                        "Name": "bias_lr",
                        "MinValue": "0",
                        "MaxValue": "1",
                        "ScalingType": "Logarithmic",
                    },
                ]
            },
            "Bayesian",
            "above 0",
        ),
    ],
)
def test_ranges_that_cannot_be_are_refused(sm, ranges, strategy, message):
    with pytest.raises(ClientError, match=message):
        sm.create_hyper_parameter_tuning_job(**request("refused", ranges, strategy))


FINAL = "FinalHyperParameterTuningJobObjectiveMetric"
RATES = {"ContinuousParameterRanges": [{"Name": "linear_lr", "MinValue": "0.001", "MaxValue": "1"}]}


def warm(name, parents, kind="IdenticalDataAndAlgorithm", ranges=MIXED, **changes):
    members = request(name, ranges, "Bayesian", 2, **changes)
    entries = [{"HyperParameterTuningJobName": parent} for parent in parents]
    config = {"ParentHyperParameterTuningJobs": entries, "WarmStartType": kind}
    return {**members, "WarmStartConfig": config}


def several(name, *ranges):
    members = request(name, {}, "Random", 2 * len(ranges))
    definition = members.pop("TrainingJobDefinition")
    config = members["HyperParameterTuningJobConfig"]
    del config["ParameterRanges"]
    objective = config.pop("HyperParameterTuningJobObjective")
    definitions = []
    for number, own in enumerate(ranges):
        static = definition["StaticHyperParameters"]
        definitions.append(
            {
                **definition,
                "DefinitionName": f"definition-{number}",
                "TuningObjective": objective,
                "HyperParameterRanges": own,
                "StaticHyperParameters": {k: v for k, v in static.items() if k not in str(own)},
            }
        )
    return {**members, "TrainingJobDefinitions": definitions}


def test_a_warm_start_begins_from_its_parent(sm):
    parent, before = tuned(sm, "warm-parent", MIXED, "Bayesian", 3)
    job, trials = run(sm, warm("warm-child", ["warm-parent"]))
    assert job["WarmStartConfig"]["WarmStartType"] == "IdenticalDataAndAlgorithm"
    assert len(trials) == job["TrainingJobStatusCounters"]["Completed"] == 2
    best = min([*before, *trials], key=lambda trial: trial[FINAL]["Value"])
    assert job["OverallBestTrainingJob"]["TrainingJobName"] == best["TrainingJobName"]
    tried = [trial["TunedHyperParameters"] for trial in before]
    assert all(trial["TunedHyperParameters"] not in tried for trial in trials)
    for wrong, message in (
        (warm("child", ["nobody"]), "nobody does not exist"),
        (warm("child", ["warm-parent"] * 2), "must differ"),
        (warm("child", ["warm-parent"], ranges=RATES) | {"Tags": []}, None),
    ):
        if message is None:  # static and tunable stay the same number only if both are whole
            del wrong["TrainingJobDefinition"]["StaticHyperParameters"]["epochs"]
            message = "must be the same as in the parent"
        with pytest.raises(ClientError, match=message):
            sm.create_hyper_parameter_tuning_job(**wrong)
    other = warm("child", ["warm-parent"])
    other["TrainingJobDefinition"]["InputDataConfig"].pop()
    with pytest.raises(ClientError, match="use TransferLearning"):
        sm.create_hyper_parameter_tuning_job(**other)


def test_several_definitions_share_the_training_jobs(sm):
    job, trials = run(sm, several("several", INTEGERS, RATES))
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    names = sorted(trial["TrainingJobDefinitionName"] for trial in trials)
    assert names == ["definition-0"] * 2 + ["definition-1"] * 2
    assert job["BestTrainingJob"]["TrainingJobName"] == trials[0]["TrainingJobName"]
    twice = several("twice", INTEGERS, RATES)
    twice["TrainingJobDefinitions"][1]["DefinitionName"] = "definition-0"
    with pytest.raises(ClientError, match="a DefinitionName of its own"):
        sm.create_hyper_parameter_tuning_job(**twice)


def test_hyperband_stops_jobs_early(sm):
    resources = {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 50}}
    members = request("hyperband", RATES, "Hyperband", 6, StrategyConfig=resources)
    members["TrainingJobDefinition"]["StaticHyperParameters"]["epochs"] = "100000"
    job, _ = run(sm, members)
    # More epochs than MaxResource: each job is stopped, there or before.
    assert job["TrainingJobStatusCounters"]["Stopped"] == 6


def test_autotune_chooses_ranges(sm):
    hints = {"epochs": "2", "num_factors": "3"}
    ranges = {"AutoParameters": [{"Name": k, "ValueHint": v} for k, v in hints.items()]}
    members = request("autotune", ranges, most=2)
    with pytest.raises(ClientError, match="need Autotune"):
        sm.create_hyper_parameter_tuning_job(**members)
    job, trials = run(sm, {**members, "Autotune": {"Mode": "Enabled"}})
    chosen = job["HyperParameterTuningJobConfig"]["ParameterRanges"]["IntegerParameterRanges"]
    assert [(e["Name"], e["MinValue"], e["MaxValue"]) for e in chosen] == [("epochs", "1", "8")]
    assert len(trials) == 2
    described = sm.describe_training_job(TrainingJobName=trials[0]["TrainingJobName"])
    assert described["HyperParameters"]["num_factors"] == "3"  # not tunable: as the hint says


def test_an_objective_that_never_comes_fails_it(sm):
    members = request("no-test-channel", INTEGERS, most=2)
    members["TrainingJobDefinition"]["InputDataConfig"].pop()
    job, _ = run(sm, members)
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert "No objective metrics found after running 2 training jobs" in job["FailureReason"]
    assert job["ObjectiveStatusCounters"]["Failed"] == 2


def objective(name, kind="Minimize"):
    return {"HyperParameterTuningJobObjective": {"MetricName": name, "Type": kind}}


@pytest.mark.parametrize(
    ("ranges", "changes", "message"),
    [
        (
            {"IntegerParameterRanges": [{"Name": "num_factors", "MinValue": "1", "MaxValue": "9"}]},
            {},
            r"untunable hyperparameters: \[num_factors\]. For the algorithm",
        ),
        (
            {"CategoricalParameterRanges": [{"Name": "bias_init_method", "Values": ["normal"]}]},
            {},
            "untunable",
        ),
        (
            {"IntegerParameterRanges": [{"Name": "epochs", "MinValue": "0", "MaxValue": "9"}]},
            {},
            r"epochs has the value \[0\]",
        ),
        (
            {"ContinuousParameterRanges": [{"Name": "epochs", "MinValue": "1", "MaxValue": "9"}]},
            {},
            "IntegerParameterRanges",
        ),
        (INTEGERS, objective("validation:rmse"), "isn't valid for"),
        (INTEGERS, objective("train:rmse"), "isn't valid for"),
        (INTEGERS, objective("test:rmse", "Maximize"), "objective metric type"),
        (INTEGERS, {"most": 7}, "enough combinations"),
        (RATES, {"RandomSeed": 2**40}, "Member must be of type integer"),
        (RATES, {"StrategyConfig": {"HyperbandStrategyConfig": {}}}, "for the strategy Hyperband"),
        (
            RATES,
            {"strategy": "Hyperband", "TrainingJobEarlyStoppingType": "Auto"},
            "must be Off",
        ),
    ],
    ids=[
        *("untunable", "init-method", "below", "type", "objective", "train-objective", "direction"),
        *("combinations", "seed", "strategy-config", "early-stopping"),
    ],
)
def test_what_aws_refuses_is_refused(sm, ranges, changes, message):
    with pytest.raises(ClientError, match=message):
        sm.create_hyper_parameter_tuning_job(**request("refused", ranges, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"ResourceConfig": {"InstanceType": "ml.c4.xlarge", "InstanceCount": 1}},
            "VolumeSizeInGB",
        ),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 2419201}}, "at most 2419200"),
        ({"OutputDataConfig": {"S3OutputPath": "s3://absent/x"}}, "does not exist"),
        ({"Tags": [{"Key": "a", "Value": "1"}] * 2}, "must be unique"),
        ({"Tags": [{"Key": "aws:a", "Value": "1"}]}, "reserved"),
        ({"Tags": [{"Key": "a;b", "Value": "1"}]}, "character ';'"),
    ],
    ids=["volume", "runtime", "bucket", "duplicate", "reserved", "character"],
)
def test_wrong_members_of_a_training_job_are_refused(sm, changes, message):
    with pytest.raises(ClientError, match=message):
        sm.create_training_job(**training("refused", **changes))


def test_a_model_can_be_uploaded_uncompressed(sm, s3):
    output = {"S3OutputPath": f"s3://{BUCKET}/plain", "CompressionType": "NONE"}
    sm.create_training_job(**training("plain", OutputDataConfig=output))
    job = ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="plain")
    uri = f"s3://{BUCKET}/plain/plain/output/model/"
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == uri
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="plain/plain/output/")["Contents"]
    assert "plain/plain/output/model/model_algo-1" in [entry["Key"] for entry in listed]


def test_bayesian_search_finds_more_than_chance():
    """The same budget on a parabola: the later half of the proposals lies nearer."""
    ranges = {"ContinuousParameterRanges": [{"Name": "a", "MinValue": "-10", "MaxValue": "10"}]}
    near = {}
    for strategy in ("Random", "Bayesian"):
        sampler = search.create(ranges, strategy, False, 0)
        values = []
        for _ in range(40):
            key, proposed = sampler.propose()
            values.append(abs(float(proposed["a"]) - 3))
            sampler.finish(key, values[-1] ** 2)
        near[strategy] = sum(values[20:])
    assert near["Bayesian"] < near["Random"] * 0.7


def test_early_stopping_ends_what_is_worse_than_the_median():
    sampler = search.create(INTEGERS, "Random", False, 0)
    for value in (1.0, 2.0, 3.0):
        key, _ = sampler.propose()
        assert not sampler.report(key, 0, value)
        sampler.finish(key, value)
    key, _ = sampler.propose()
    assert sampler.report(key, 0, 5.0)


def test_reverse_logarithmic_is_dense_near_one():
    ranges = {
        "ContinuousParameterRanges": [
            {
                "Name": "a",
                "MinValue": "0.1",
                "MaxValue": "0.9999",
                "ScalingType": "ReverseLogarithmic",
            }
        ]
    }
    sampler = search.create(ranges, "Random", True, 0)
    values = [float(sampler.propose()[1]["a"]) for _ in range(50)]
    assert all(0.1 <= value <= 0.9999 for value in values)
    assert sum(value > 0.99 for value in values) > 10
