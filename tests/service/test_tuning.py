"""Tuning jobs: what is tried, what is found best, and what is refused."""

import time

import pytest
from botocore.exceptions import ClientError

from local_sagemaker.jobs import search
from support.service import PATIENCE, training

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
