"""Lab 2 through the SDK v3: ModelTrainer on this machine, then its local session for serving.

Arguments: where to write the result, the folder with the ratings, the port to serve on, the root
of local mode's folders.
"""

import csv
import io
import json
import sys

import boto3
import numpy as np
from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.local.local_session import LocalSession
from sagemaker.core.serializers.utils import write_spmatrix_to_sparse_tensor
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData
from sagemaker.train.model_trainer import Mode
from scipy.sparse import lil_matrix

result_file, folder, port, root = sys.argv[1:]
users, movies, bucket = 943, 1682, "lab-v3"
features = users + movies


def load(path):
    with open(path) as file:
        ratings = list(csv.reader(file, delimiter="\t"))
    x = lil_matrix((len(ratings), features), dtype="float32")
    for line, (user, movie, _, _) in enumerate(ratings):
        x[line, int(user) - 1] = 1
        x[line, users + int(movie) - 1] = 1
    return x, np.array([int(stars) >= 4 for _, _, stars, _ in ratings], "float32")


def upload(x, y, channel):
    buffer = io.BytesIO()
    write_spmatrix_to_sparse_tensor(buffer, x, y)
    buffer.seek(0)
    boto3.client("s3").upload_fileobj(buffer, bucket, f"lab/{channel}/{channel}.protobuf")
    return InputData(channel_name=channel, data_source=f"s3://{bucket}/lab/{channel}")


boto3.client("s3").create_bucket(Bucket=bucket)
x_train, y_train = load(folder + "/ua.base.shuffled")
x_test, y_test = load(folder + "/ua.test")
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
    local_container_root=root,
)
trainer.train(input_data_config=[upload(x_train, y_train, "train"), upload(x_test, y_test, "test")])

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
rows = [{"features": row.tolist()} for row in x_test[1000:1010].toarray()]
answer = session.sagemaker_runtime_client.invoke_endpoint(
    Body=json.dumps({"instances": rows}),
    EndpointName="lab",
    ContentType="application/json",
    Accept="application/json",
)
result = json.loads(answer["Body"].read())
client.delete_endpoint("lab")

with open(result_file, "w") as file:
    json.dump({"image": image, "answer": result}, file)
