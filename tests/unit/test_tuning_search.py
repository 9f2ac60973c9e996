"""The strategies of tuning jobs, with objectives that are functions of the values."""

import math

import pytest

from local_sagemaker.jobs import search
from local_sagemaker.jobs.evaluations import completion

RANGES = {"ContinuousParameterRanges": [{"Name": "a", "MinValue": "-10", "MaxValue": "10"}]}


def proposals(sampler: search.Grid | search.Sampler, count: int) -> list[float]:
    """Return proposals for the parabola around 3, which is minimized."""
    values = []
    for _ in range(count):
        proposal = sampler.propose()
        assert proposal is not None
        key, proposed = proposal
        values.append(float(proposed["a"]))
        sampler.finish(key, (values[-1] - 3) ** 2)
    return values


@pytest.mark.parametrize("strategy", ["Random", "Bayesian", "Hyperband"])
def test_a_seed_gives_the_same_proposals(strategy: str) -> None:
    resources = (1, 9) if strategy == "Hyperband" else None
    runs = [
        proposals(search.create(RANGES, strategy, False, seed, resources), 15) for seed in (5, 5, 6)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_the_evaluations_of_a_parent_make_the_first_proposals_better() -> None:
    known = [({"a": str(a), "b": "1"}, (a - 3.0) ** 2) for a in range(-10, 11)]
    near = {
        len(evaluations): sum(
            abs(a - 3)
            for seed in range(5)
            for a in proposals(search.create(RANGES, "Bayesian", False, seed, None, evaluations), 8)
        )
        for evaluations in (known, known[:0])
    }
    assert near[len(known)] < near[0] * 0.6


def test_a_warm_start_does_not_repeat_the_values_of_its_parent() -> None:
    first = proposals(search.create(RANGES, "Random", False, 0), 3)
    known = [({"a": str(a)}, 1.0) for a in first]
    again = proposals(search.create(RANGES, "Random", False, 0, None, known), 3)
    assert not set(first) & set(again)


@pytest.mark.parametrize(
    "hyperparameters", [{"b": "1"}, {"a": "11"}, {"a": "text"}], ids=["other", "outside", "text"]
)
def test_an_evaluation_outside_the_ranges_is_left_out(hyperparameters: dict[str, str]) -> None:
    sampler = search.create(RANGES, "Bayesian", False, 0, None, [(hyperparameters, 1.0)])
    assert -10 <= proposals(sampler, 1)[0] <= 10


def test_hyperband_stops_the_jobs_that_are_worse_at_its_resources() -> None:
    sampler = search.create(RANGES, "Hyperband", False, 0, (1, 9))
    epochs = []
    for number in range(18):
        proposal = sampler.propose()
        assert proposal is not None
        key, _ = proposal
        quality = (number * 7) % 18  # in no order
        step = 1
        while step < 9 and not sampler.report(key, step, float(quality)):
            step += 1
        epochs.append((quality, step))
        sampler.finish(key, float(quality) if step == 9 else None, step < 9)
    assert {step for _, step in epochs} > {1, 9}
    best = sum(step for quality, step in epochs if quality < 6)
    worst = sum(step for quality, step in epochs if quality >= 12)
    assert worst < best


@pytest.mark.parametrize(
    ("criteria", "values", "complete", "count"),
    [
        ({}, [3.0, 2.0], False, 0),
        ({"TargetObjectiveMetricValue": 2.0}, [3.0, 2.0], True, 0),
        ({"TargetObjectiveMetricValue": 1.0}, [3.0, 2.0], False, 0),
        (
            {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}},
            [1.0, 2.0, 0.995, 3.0],
            True,
            3,
        ),
        (
            {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}},
            [1.0, 2.0, 0.9, 3.0],
            False,
            1,
        ),
        ({"ConvergenceDetected": {"CompleteOnConvergence": "Enabled"}}, [1.0] * 31, True, 30),
        ({"ConvergenceDetected": {"CompleteOnConvergence": "Disabled"}}, [1.0] * 31, False, 30),
    ],
    ids=["none", "target", "far", "stalled", "improving", "converged", "converged-off"],
)
def test_completion(criteria: dict, values: list[float], complete: bool, count: int) -> None:
    done, details = completion(criteria, values, False)
    assert done == complete
    assert details["NumberOfTrainingJobsObjectiveNotImproving"] == count
    assert ("ConvergenceDetectedTime" in details) == (count == 30)


def test_the_combinations_of_ranges_are_counted() -> None:
    discrete = {
        "IntegerParameterRanges": [{"Name": "a", "MinValue": "2", "MaxValue": "4"}],
        "CategoricalParameterRanges": [{"Name": "b", "Values": ["x", "y"]}],
    }
    assert search.combinations(discrete) == 6
    assert search.combinations({**discrete, **RANGES}) == math.inf
