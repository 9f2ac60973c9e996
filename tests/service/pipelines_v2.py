"""Pipelines by the SDK v2: a model that is trained, checked, registered and used, or not.

Arguments: the image, and the bucket with the data.
"""

import sys
import time

from botocore.exceptions import WaiterError
from sagemaker import get_execution_role
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.model import Model
from sagemaker.transformer import Transformer
from sagemaker.tuner import ContinuousParameter, HyperparameterTuner
from sagemaker.workflow.condition_step import ConditionStep
from sagemaker.workflow.conditions import ConditionGreaterThanOrEqualTo
from sagemaker.workflow.execution_variables import ExecutionVariables
from sagemaker.workflow.fail_step import FailStep
from sagemaker.workflow.functions import Join
from sagemaker.workflow.model_step import ModelStep
from sagemaker.workflow.parallelism_config import ParallelismConfiguration
from sagemaker.workflow.parameters import ParameterFloat, ParameterInteger, ParameterString
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import PipelineSession
from sagemaker.workflow.steps import CacheConfig, TrainingStep, TransformStep, TuningStep

image, bucket = sys.argv[1:]
session, role = PipelineSession(default_bucket=bucket), get_execution_role()
METRIC = "test:binary_classification_accuracy"

epochs = ParameterInteger("Epochs", 2)
least = ParameterFloat("Least", 0.1)
prefix = ParameterString("Prefix", f"s3://{bucket}/data")
cache = CacheConfig(enable_caching=True, expire_after="PT1H")


def estimator(**hyperparameters):
    fm = Estimator(
        image,
        role,
        1,
        "ml.c4.xlarge",
        output_path=Join(on="/", values=[f"s3://{bucket}", ExecutionVariables.PIPELINE_NAME]),
        sagemaker_session=session,
    )
    fm.set_hyperparameters(
        feature_dim=30,
        num_factors=2,
        predictor_type="binary_classifier",
        mini_batch_size=100,
        **hyperparameters,
    )
    return fm


def inputs():
    return {name: TrainingInput(Join(on="/", values=[prefix, name])) for name in ("train", "test")}


def show(title, execution):
    print(title, execution.describe()["PipelineExecutionStatus"])
    for step in reversed(execution.list_steps()):
        cached = " from the cache" if "CacheHitResult" in step else ""
        reason = step.get("FailureReason", "")
        print(f"{title} {step['StepName']} {step['StepStatus']}{cached} {reason}".rstrip())


train = TrainingStep("Train", estimator(epochs=epochs).fit(inputs()), cache_config=cache)
tuner = HyperparameterTuner(
    estimator(epochs=1),
    METRIC,
    {"linear_lr": ContinuousParameter(0.01, 0.1)},
    objective_type="Maximize",
    max_jobs=2,
    max_parallel_jobs=1,
)
tune = TuningStep("Tune", tuner.fit(inputs()), depends_on=[train])
model = Model(
    image, train.properties.ModelArtifacts.S3ModelArtifacts, role, sagemaker_session=session
)
register = ModelStep(
    "Register",
    model.register(
        content_types=["text/csv"],
        response_types=["application/json"],
        inference_instances=["ml.c4.xlarge"],
        model_package_group_name="pipelines-v2",
        approval_status="Approved",
    ),
)
best = Model(
    image, tune.get_top_model_s3_uri(0, bucket, "pipelines-v2"), role, sagemaker_session=session
)
create = ModelStep("Create", best.create("ml.c4.xlarge"))
transformer = Transformer(
    create.properties.ModelName,
    1,
    "ml.c4.xlarge",
    output_path=f"s3://{bucket}/pipelines-v2/scores",
    sagemaker_session=session,
)
scores = TransformStep(
    "Score",
    transformer.transform(
        f"s3://{bucket}/data/test", content_type="application/x-recordio-protobuf"
    ),
)
check = ConditionStep(
    "Check",
    conditions=[
        ConditionGreaterThanOrEqualTo(train.properties.FinalMetricDataList[METRIC].Value, least)
    ],
    if_steps=[register, create, scores],
    else_steps=[FailStep("TooLow", Join(on=" ", values=["the accuracy is below", least]))],
)
pipeline = Pipeline(
    "pipelines-v2", [epochs, least, prefix], steps=[train, tune, check], sagemaker_session=session
)
pipeline.upsert(role, tags=[{"Key": "a", "Value": "b"}])
print("UPSERT", pipeline.upsert(role, description="again")["PipelineArn"])

began = time.perf_counter()
execution = pipeline.start({"Epochs": 3})
execution.wait(delay=1)
show("FIRST", execution)
print("PARAMETERS", execution.list_parameters()["PipelineParameters"])
print("SECONDS", round(time.perf_counter() - began, 1))

execution = pipeline.start({"Epochs": 3, "Least": 1.1}, execution_display_name="too-low")
try:
    execution.wait(delay=1)
except WaiterError as error:
    print("WAITER", error)
show("LOW", execution)
print("REASON", execution.describe()["FailureReason"])

# Few steps, because the SDK itself needs a second for each.
endless = [TrainingStep(f"Train{i}", estimator(epochs=1000000).fit(inputs())) for i in range(3)]
parallel = Pipeline("parallel-v2", [prefix], steps=endless, sagemaker_session=session)
parallel.upsert(role, parallelism_config=ParallelismConfiguration(2))
execution = parallel.start()
while sum(step["StepStatus"] == "Executing" for step in execution.list_steps()) < 2:
    time.sleep(0.1)
execution.stop()
print("STOP", execution.describe()["PipelineExecutionStatus"])
print("STOPPED", [step["StepStatus"] for step in execution.list_steps()])
