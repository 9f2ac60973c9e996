"""SageMaker Workshop, Lab 2: who will like which film? The notebook's steps, as one script.

Code for AWS, by SageMaker's SDK v2. `./build.sh lab` runs it on the local SageMaker service, as
lab2.py FOLDER: a folder with MovieLens-100k's ua.base and ua.test.
"""

import io
import json
import sys
import time
from pathlib import Path

import boto3
import numpy as np
import sagemaker
from sagemaker import image_uris
from sagemaker.amazon.common import write_spmatrix_to_sparse_tensor
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.serializers import SimpleBaseSerializer
from scipy.sparse import csr_matrix

USERS, FILMS = 943, 1682
FEATURES = USERS + FILMS
session = sagemaker.Session()
s3 = boto3.client("s3")
bucket, prefix = f"movielens-lab-{session.account_id()}", "factorization-machines"


def load(path, shuffle_seed=None):
    """Return one row per rating, with a 1 for its user and a 1 for its film, and its label."""
    ratings = np.loadtxt(path, dtype=np.int64)
    if shuffle_seed is not None:
        ratings = np.random.default_rng(shuffle_seed).permutation(ratings)
    user, film, stars = ratings[:, 0] - 1, ratings[:, 1] - 1, ratings[:, 2]
    rows = np.repeat(np.arange(len(ratings)), 2)
    columns = np.column_stack([user, USERS + film]).ravel()
    ones = np.ones(len(rows), dtype=np.float32)
    x = csr_matrix((ones, (rows, columns)), shape=(len(ratings), FEATURES))
    return x, (stars >= 4).astype(np.float32)


def upload(x, y, channel):
    """Store rows and labels in S3 as recordIO-protobuf and return the channel's address."""
    buffer = io.BytesIO()
    write_spmatrix_to_sparse_tensor(buffer, x, y)
    buffer.seek(0)
    s3.upload_fileobj(buffer, bucket, f"{prefix}/{channel}/{channel}.protobuf")
    return f"s3://{bucket}/{prefix}/{channel}"


class DenseJSON(SimpleBaseSerializer):
    """The notebook's serializer: dense rows as the built-in algorithm's JSON."""

    def serialize(self, data):
        return json.dumps({"instances": [{"features": row.tolist()} for row in data]})


def timed(what, call, **arguments):
    """Call a function and print how long it took."""
    start = time.perf_counter()
    result = call(**arguments)
    print(f"{what} took {time.perf_counter() - start:.3f} s")
    return result


folder = Path(sys.argv[1])
x_train, y_train = load(folder / "ua.base", shuffle_seed=0)
x_test, y_test = load(folder / "ua.test")
print(f"Writing {len(y_train)} + {len(y_test)} ratings to S3 as recordIO-protobuf …")
s3.create_bucket(Bucket=bucket)
channels = {"train": upload(x_train, y_train, "train"), "test": upload(x_test, y_test, "test")}

fm = Estimator(
    image_uris.retrieve("factorization-machines", session.boto_region_name),
    role=sagemaker.get_execution_role(),
    instance_count=1,
    instance_type="ml.c4.xlarge",
    output_path=f"s3://{bucket}/{prefix}/output",
    sagemaker_session=session,
)
fm.set_hyperparameters(
    feature_dim=FEATURES,
    predictor_type="binary_classifier",
    mini_batch_size=1000,
    num_factors=64,
    epochs=100,
)
timed("fit", fm.fit, inputs=channels)


def deploy():
    """Return the predictor of an endpoint that is in service."""
    # With wait=True the SDK sleeps 30 s before it asks for the endpoint's status.
    predictor = fm.deploy(
        initial_instance_count=1,
        instance_type="ml.c4.xlarge",
        serializer=DenseJSON("application/json"),
        deserializer=JSONDeserializer(),
        wait=False,
    )
    waiter = session.sagemaker_client.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName=predictor.endpoint_name)
    return predictor


predictor = timed("deploy", deploy)
try:
    rows = x_test[1000:1010].toarray()
    result = timed("first predict", predictor.predict, data=rows)
    for guess, truth in zip(result["predictions"], y_test[1000:1010], strict=True):
        print(f"score {guess['score']} label {guess['predicted_label']} truth {truth}")
finally:
    predictor.delete_endpoint()
