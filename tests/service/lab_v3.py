"""The lab by the SDK v3 as it is meant: ModelTrainer, then the resources for an endpoint.

v3 cannot write recordIO-protobuf: its writers raise NotImplementedError. The files come with the
ratings, from another writer. Argument: the folder with them.
"""

import json
import sys
import time

import boto3
from sagemaker.core import image_uris
from sagemaker.core.resources import Endpoint, EndpointConfig, Model
from sagemaker.core.shapes import ContainerDefinition, ProductionVariant
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, OutputDataConfig

folder = sys.argv[1]
users, movies, bucket = 943, 1682, "movielens-v3"
boto3.client("s3").create_bucket(Bucket=bucket)
image = image_uris.retrieve("factorization-machines", boto3.Session().region_name)
role = "arn:aws:iam::123456789012:role/SageMakerExecutionRole"


def upload(channel):
    name = f"{channel}.protobuf"
    boto3.client("s3").upload_file(f"{folder}/{name}", bucket, f"lab/{channel}/{name}")
    return InputData(channel_name=channel, data_source=f"s3://{bucket}/lab/{channel}")


trainer = ModelTrainer(
    training_image=image,
    hyperparameters={
        "feature_dim": users + movies,
        "predictor_type": "binary_classifier",
        "mini_batch_size": 1000,
        "num_factors": 64,
        "epochs": 100,
    },
    compute=Compute(instance_type="ml.c4.xlarge", instance_count=1),
    output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/lab/output"),
    role=role,
)
channels = [upload("train"), upload("test")]
began = time.perf_counter()
trainer.train(input_data_config=channels)
fit = time.perf_counter() - began
job = trainer._latest_training_job
job.refresh()

began = time.perf_counter()
container = ContainerDefinition(image=image, model_data_url=job.model_artifacts.s3_model_artifacts)
Model.create(model_name="lab-v3", primary_container=container, execution_role_arn=role)
variant = ProductionVariant(
    variant_name="AllTraffic",
    model_name="lab-v3",
    initial_instance_count=1,
    instance_type="ml.c4.xlarge",
)
EndpointConfig.create(endpoint_config_name="lab-v3", production_variants=[variant])
endpoint = Endpoint.create(endpoint_name="lab-v3", endpoint_config_name="lab-v3")
endpoint.wait_for_status("InService")
rows = [{"data": {"features": {"keys": [u, users + u], "values": [1, 1]}}} for u in range(10)]
answer = endpoint.invoke(
    body=json.dumps({"instances": rows}),
    content_type="application/json",
    accept="application/json",
)
deploy = time.perf_counter() - began
print(json.loads(answer.body.read())["predictions"])
endpoint.delete()
for metric in job.final_metric_data_list:
    print("metric", metric.metric_name, metric.value)
print(f"seconds: fit {fit:.1f}, deploy to the first prediction {deploy:.1f}")
