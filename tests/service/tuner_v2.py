"""The tuners of the SageMaker SDK v2, at a local service; prints a line for each of them."""

import sys

import sagemaker
from sagemaker import image_uris
from sagemaker.inputs import TrainingInput
from sagemaker.tuner import (
    CategoricalParameter,
    ContinuousParameter,
    HyperbandStrategyConfig,
    HyperparameterTuner,
    IntegerParameter,
    StrategyConfig,
    WarmStartConfig,
    WarmStartTypes,
)

bucket, prefix = sys.argv[1:]
OBJECTIVE = "test:binary_classification_cross_entropy"
session = sagemaker.Session()
role = sagemaker.get_execution_role()
image = image_uris.retrieve("factorization-machines", session.boto_region_name)
inputs = {
    name: TrainingInput(
        f"s3://{bucket}/data/{name}", content_type="application/x-recordio-protobuf"
    )
    for name in ("train", "test")
}


def estimator(**hyperparameters):
    model = sagemaker.estimator.Estimator(
        image, role, 1, "ml.c4.xlarge", output_path=f"s3://{bucket}/out", sagemaker_session=session
    )
    model.set_hyperparameters(
        feature_dim=30,
        num_factors=4,
        predictor_type="binary_classifier",
        **{"mini_batch_size": 100, "epochs": 3, **hyperparameters},
    )
    return model


def tuner(model=None, ranges=None, **options):
    ranges = ranges or {"linear_lr": ContinuousParameter(0.001, 0.1, "Logarithmic")}
    limits = {"max_jobs": 2, "max_parallel_jobs": 2}
    return HyperparameterTuner(
        model or estimator(), OBJECTIVE, ranges, objective_type="Minimize", **limits | options
    )


def fit(kind, job, wait_inputs=inputs, **options):
    name = f"{prefix}-{kind}"
    job.fit(wait_inputs, job_name=name, **options)
    frame = job.analytics().dataframe()
    described = job.describe()
    assert described["HyperParameterTuningJobStatus"] == "Completed", described
    assert len(frame) == sum(described["TrainingJobStatusCounters"].values())
    assert job.best_training_job() in set(frame.TrainingJobName)
    print(
        kind, len(frame), sorted(frame.TrainingJobStatus.unique()), frame.FinalObjectiveValue.min()
    )
    return job


parent = fit("parent", tuner())
identical = fit("identical", parent.identical_dataset_and_algorithm_tuner())
assert identical.describe()["WarmStartConfig"]["WarmStartType"] == "IdenticalDataAndAlgorithm"
assert "OverallBestTrainingJob" in identical.describe()
fit("transfer", parent.transfer_learning_tuner())
both = WarmStartConfig(
    WarmStartTypes.TRANSFER_LEARNING,
    {parent.latest_tuning_job.name, identical.latest_tuning_job.name},
)
fit("warm", tuner(warm_start_config=both))
hyperband = StrategyConfig(HyperbandStrategyConfig(max_resource=3, min_resource=1))
fit("hyperband", tuner(strategy="Hyperband", strategy_config=hyperband, max_jobs=3))
fit(
    "several",
    HyperparameterTuner.create(
        base_tuning_job_name=f"{prefix}-several",
        estimator_dict={"linear": estimator(), "long": estimator(linear_lr=0.1)},
        objective_metric_name_dict={"linear": OBJECTIVE, "long": OBJECTIVE},
        hyperparameter_ranges_dict={
            "linear": {"linear_lr": ContinuousParameter(0.01, 0.1)},
            "long": {"epochs": IntegerParameter(2, 6)},
        },
        objective_type="Minimize",
        max_jobs=4,
        max_parallel_jobs=2,
    ),
    {"linear": inputs, "long": inputs},
    include_cls_metadata={},
)
fit(
    "grid",
    tuner(ranges={"epochs": CategoricalParameter(["1", "3"])}, strategy="Grid", max_jobs=2),
)
automatic = HyperparameterTuner(
    estimator(),
    OBJECTIVE,
    None,
    objective_type="Minimize",
    autotune=True,
    max_jobs=2,
    max_parallel_jobs=2,
    hyperparameters_to_keep_static=["feature_dim", "mini_batch_size"],
)
fit("autotune", automatic)
attached = HyperparameterTuner.attach(f"{prefix}-identical", sagemaker_session=session)
assert attached.best_training_job() == identical.best_training_job()
print("attach", attached.strategy, attached.warm_start_config.type.value)
predictor = attached.deploy(1, "ml.c4.xlarge", wait=False)
print("deploy", predictor.endpoint_name == f"{attached.best_training_job()}")
predictor.delete_endpoint()
