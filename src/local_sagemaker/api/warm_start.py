"""The rules of a tuning job that starts from the evaluations of other tuning jobs."""

from local_sagemaker.context import Context
from local_sagemaker.errors import invalid
from local_sagemaker.jobs.base import ENDED
from local_sagemaker.jobs.evaluations import KIND, definitions_of, jobs_of, parents_of
from local_sagemaker.storage.records import Record

_MAX_JOBS, _MAX_CHANGES = 500, 10


def check(context: Context, request: Record) -> None:
    """Raise a ValidationException for a WarmStartConfig that AWS refuses.

    Args:
        context: has the records of the parents.
        request: a request of CreateHyperParameterTuningJob, completed.
    """
    warm_start = request.get("WarmStartConfig")
    if warm_start is None:
        return
    config = request["HyperParameterTuningJobConfig"]
    if config["Strategy"] == "Grid":
        raise invalid("WarmStartConfig has no effect with the strategy Grid.")
    names = parents_of(request)
    if "" in names:
        raise invalid(
            "Each of ParentHyperParameterTuningJobs must have its HyperParameterTuningJobName."
        )
    if len(set(names)) != len(names):
        raise invalid("ParentHyperParameterTuningJobs must differ.")
    identical = warm_start["WarmStartType"] == "IdenticalDataAndAlgorithm"
    count = config["ResourceLimits"].get("MaxNumberOfTrainingJobs", 0)
    for name in names:
        parent = context.store.get(KIND, name)
        if parent is None:
            raise invalid(f"The parent tuning job {name} does not exist.")
        status = parent["HyperParameterTuningJobStatus"]
        if status not in ENDED:
            raise invalid(f"The parent tuning job {name} has not ended: it is {status}.")
        _check_parent(name, definitions_of(parent), definitions_of(request), identical)
        count += len(jobs_of(context, name))
    if count > _MAX_JOBS:
        raise invalid(
            f"A tuning job and its parents may have {_MAX_JOBS} training jobs at most; got {count}."
        )


def _check_parent(name: str, old: list[Record], new: list[Record], identical: bool) -> None:
    old_by_name = {definition.get("DefinitionName"): definition for definition in old}
    for definition in new:
        parent = old_by_name.get(definition.get("DefinitionName"))
        if parent is None:
            raise invalid(
                f"The parent tuning job {name} must have the same training job definitions."
            )
        if parent["TuningObjective"] != definition["TuningObjective"]:
            raise invalid(f"The parent tuning job {name} must have the same objective metric.")
        static, tuned = definition["StaticHyperParameters"], _tuned(definition)
        old_static, old_tuned = parent["StaticHyperParameters"], _tuned(parent)
        if len(static) + len(tuned) != len(old_static) + len(old_tuned):
            raise invalid(
                "The number of static and tunable hyperparameters together must be the same as in"
                f" the parent tuning job {name}."
            )
        if len(tuned ^ old_tuned) > _MAX_CHANGES:
            raise invalid(
                f"At most {_MAX_CHANGES} hyperparameters may change between static and tunable from"
                f" the parent tuning job {name}."
            )
        if identical and _data(parent) != _data(definition):
            raise invalid(
                "IdenticalDataAndAlgorithm: TrainingImage and InputDataConfig must be those of the"
                f" parent tuning job {name}; use TransferLearning if they differ."
            )


def _tuned(definition: Record) -> set[str]:
    ranges = definition["HyperParameterRanges"]
    kinds = ("IntegerParameterRanges", "ContinuousParameterRanges", "CategoricalParameterRanges")
    return {entry["Name"] for kind in kinds for entry in ranges[kind]}


def _data(definition: Record) -> tuple[object, object]:
    image = definition["AlgorithmSpecification"]["TrainingImage"]
    return image, definition.get("InputDataConfig")
