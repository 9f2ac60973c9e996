"""Pipelines by the SDK v3: a model that is trained, checked and registered, or not.

Arguments: the image, and the bucket with the data.
"""

import sys
import time

from botocore.exceptions import WaiterError
from sagemaker.core.workflow.conditions import ConditionGreaterThanOrEqualTo
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.parameters import ParameterFloat, ParameterString
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.model_step import ModelStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import CacheConfig, TrainingStep
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, OutputDataConfig

image, bucket = sys.argv[1:]
session = PipelineSession(default_bucket=bucket)
role = "arn:aws:iam::123456789012:role/SageMakerExecutionRole"
METRIC = "test:binary_classification_accuracy"
least = ParameterFloat("Least", 0.1)
prefix = ParameterString("Prefix", f"s3://{bucket}/data")


def training_step(name, epochs, **options):
    trainer = ModelTrainer(
        sagemaker_session=session,
        training_image=image,
        hyperparameters={
            "feature_dim": 30,
            "num_factors": 2,
            "predictor_type": "binary_classifier",
            "mini_batch_size": 100,
            "epochs": epochs,
        },
        compute=Compute(instance_type="ml.c4.xlarge", instance_count=1),
        output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/pipelines-v3"),
        role=role,
    )
    channels = [
        InputData(channel_name=channel, data_source=Join(on="/", values=[prefix, channel]))
        for channel in ("train", "test")
    ]
    return TrainingStep(name, trainer.train(input_data_config=channels), **options)


def show(title, execution):
    print(title, execution.describe()["PipelineExecutionStatus"])
    for step in reversed(execution.list_steps()):
        cached = " from the cache" if "CacheHitResult" in step else ""
        reason = step.get("FailureReason", "")
        print(f"{title} {step['StepName']} {step['StepStatus']}{cached} {reason}".rstrip())


train = training_step(
    "Train", 2, cache_config=CacheConfig(enable_caching=True, expire_after="PT1H")
)
model = ModelBuilder(
    image_uri=image,
    s3_model_data_url=train.properties.ModelArtifacts.S3ModelArtifacts,
    sagemaker_session=session,
    role_arn=role,
)
register = ModelStep(
    "Register",
    model.register(
        content_types=["text/csv"],
        response_types=["application/json"],
        inference_instances=["ml.c4.xlarge"],
        model_package_group_name="pipelines-v3",
        approval_status="Approved",
    ),
)
check = ConditionStep(
    "Check",
    conditions=[
        ConditionGreaterThanOrEqualTo(train.properties.FinalMetricDataList[METRIC].Value, least)
    ],
    if_steps=[register],
    else_steps=[FailStep("TooLow", Join(on=" ", values=["the accuracy is below", least]))],
)
pipeline = Pipeline(
    name="pipelines-v3", parameters=[least, prefix], steps=[train, check], sagemaker_session=session
)
pipeline.upsert(role)
print("UPSERT", pipeline.upsert(role, description="again")["PipelineArn"])
execution = pipeline.start()
execution.wait(delay=1)
show("FIRST", execution)
execution = pipeline.start({"Least": 1.1})
try:
    execution.wait(delay=1)
except WaiterError as error:
    print("WAITER", error)
show("LOW", execution)
print("REASON", execution.describe()["FailureReason"])

endless = Pipeline(
    name="endless-v3",
    parameters=[prefix],
    steps=[training_step("Train", 1000000)],
    sagemaker_session=session,
)
endless.upsert(role)
execution = endless.start()
while not any(step["StepStatus"] == "Executing" for step in execution.list_steps()):
    time.sleep(0.1)
execution.stop()
print("STOP", execution.describe()["PipelineExecutionStatus"])
print("STOPPED", [step["StepStatus"] for step in execution.list_steps()])
