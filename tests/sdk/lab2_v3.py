"""Lab 2 through the SDK v3: ModelTrainer on this machine, then its local session for serving.

v3 cannot write recordIO-protobuf: its writers raise NotImplementedError. The files come with the
ratings, from another writer.
Arguments: where to write the result, the folder with the ratings, the port to serve on, the root
of local mode's folders.
"""

import itertools
import json
import sys
import tempfile

import boto3
from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.local.local_session import LocalSession
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData
from sagemaker.train.model_trainer import Mode

result_file, folder, port, root = sys.argv[1:]
users, movies, bucket = 943, 1682, "lab-v3"
features = users + movies


def upload(channel):
    name = f"{channel}.protobuf"
    boto3.client("s3").upload_file(f"{folder}/{name}", bucket, f"lab/{channel}/{name}")
    return InputData(channel_name=channel, data_source=f"s3://{bucket}/lab/{channel}")


boto3.client("s3").create_bucket(Bucket=bucket)
image = image_uris.retrieve("factorization-machines", boto3.Session().region_name)

trainer = ModelTrainer(
    training_mode=Mode.LOCAL_CONTAINER,
    training_image=image,
    hyperparameters={
        "feature_dim": features,
        "predictor_type": "binary_classifier",
        "mini_batch_size": 1000,
        "num_factors": 64,
        "epochs": 100,
    },
    compute=Compute(instance_type="local_cpu", instance_count=1),
    role="arn:aws:iam::000000000000:role/lab",
    sagemaker_session=Session(default_bucket=bucket),
    local_container_root=tempfile.mkdtemp(dir=root),  # its name is that of the compose project
)
trainer.train(input_data_config=[upload("train"), upload("test")])

session = LocalSession()
session.config = {"local": {"serving_port": int(port), "container_root": root}}
client = session.sagemaker_client
container = {
    "Image": image,
    "ModelDataUrl": f"file://{trainer.local_container_root}/compressed_artifacts/model.tar.gz",
    "Environment": {},
}
client.create_model("lab", container)
variant = {
    "VariantName": "AllTraffic",
    "ModelName": "lab",
    "InitialInstanceCount": 1,
    "InstanceType": "local",
}
client.create_endpoint_config("lab", [variant])
client.create_endpoint("lab", "lab")

instances = []
with open(folder + "/ua.test") as file:
    for line in itertools.islice(file, 1000, 1010):
        user, movie = (int(field) - 1 for field in line.split("\t")[:2])
        row = [0.0] * features
        row[user] = row[users + movie] = 1.0
        instances.append({"features": row})
answer = session.sagemaker_runtime_client.invoke_endpoint(
    Body=json.dumps({"instances": instances}),
    EndpointName="lab",
    ContentType="application/json",
    Accept="application/json",
)
result = json.loads(answer["Body"].read())
client.delete_endpoint("lab")

with open(result_file, "w") as file:
    json.dump({"image": image, "answer": result}, file)
