"""The workshop's Lab 2 through the SDK v2, cell by cell: only type, session and role differ.

What v2 no longer takes is as its own guide to v2 says: a serializer is an object. At the end all
test ratings are predicted as well, in one sparse request.
Arguments: where to write the result, the folder with the ratings, the port to serve on, the root
of local mode's folders.
"""

import csv
import io
import json
import sys

import boto3
import numpy as np
import sagemaker
import sagemaker.amazon.common as smac
from local_session import local_session
from sagemaker.amazon.amazon_estimator import get_image_uri
from sagemaker.deserializers import JSONDeserializer
from sagemaker.serializers import IdentitySerializer, JSONSerializer
from scipy.sparse import lil_matrix

result_file, folder, port, root = sys.argv[1:]

nbUsers = 943
nbMovies = 1682
nbFeatures = nbUsers + nbMovies
nbRatingsTrain = 90570
nbRatingsTest = 9430


def loadDataset(filename, lines, columns):
    X = lil_matrix((lines, columns)).astype("float32")
    Y = []
    line = 0
    with open(filename) as f:
        samples = csv.reader(f, delimiter="\t")
        for userId, movieId, rating, timestamp in samples:  # noqa: B007
            X[line, int(userId) - 1] = 1
            X[line, int(nbUsers) + int(movieId) - 1] = 1
            if int(rating) >= 4:
                Y.append(1)
            else:
                Y.append(0)
            line = line + 1

    Y = np.array(Y).astype("float32")
    return X, Y


X_train, Y_train = loadDataset(folder + "/ua.base.shuffled", nbRatingsTrain, nbFeatures)
X_test, Y_test = loadDataset(folder + "/ua.test", nbRatingsTest, nbFeatures)

print(X_train.shape)
print(Y_train.shape)
assert X_train.shape == (nbRatingsTrain, nbFeatures)
assert Y_train.shape == (nbRatingsTrain,)
zero_labels = nbRatingsTrain - np.count_nonzero(Y_train)
print(f"Training labels: {zero_labels} zeros, {nbRatingsTrain - zero_labels} ones")
print(X_test.shape)
print(Y_test.shape)
assert X_test.shape == (nbRatingsTest, nbFeatures)
assert Y_test.shape == (nbRatingsTest,)

bucket = "lab-v2"
prefix = "sagemaker/fm-movielens"
train_key = "train.protobuf"
train_prefix = "{}/{}".format(prefix, "train3")
test_key = "test.protobuf"
test_prefix = "{}/{}".format(prefix, "test3")
output_prefix = f"s3://{bucket}/{prefix}/output"
boto3.client("s3").create_bucket(Bucket=bucket)


def writeDatasetToProtobuf(X, Y, bucket, prefix, key):
    buf = io.BytesIO()
    smac.write_spmatrix_to_sparse_tensor(buf, X, Y)
    buf.seek(0)
    obj = f"{prefix}/{key}"
    boto3.resource("s3").Bucket(bucket).Object(obj).upload_fileobj(buf)
    return f"s3://{bucket}/{obj}"


train_data = writeDatasetToProtobuf(X_train, Y_train, bucket, train_prefix, train_key)
test_data = writeDatasetToProtobuf(X_test, Y_test, bucket, test_prefix, test_key)

print(train_data)
print(test_data)
print(f"Output: {output_prefix}")

containers = {
    "us-west-2": "174872318107.dkr.ecr.us-west-2.amazonaws.com/factorization-machines:latest",
    "us-east-1": "382416733822.dkr.ecr.us-east-1.amazonaws.com/factorization-machines:latest",
    "us-east-2": "404615174143.dkr.ecr.us-east-2.amazonaws.com/factorization-machines:latest",
    "eu-west-1": "438346466558.dkr.ecr.eu-west-1.amazonaws.com/factorization-machines:latest",
}
looked_up = get_image_uri(boto3.Session().region_name, "factorization-machines", "latest")

fm = sagemaker.estimator.Estimator(
    containers[boto3.Session().region_name],
    "arn:aws:iam::000000000000:role/lab",
    train_instance_count=1,
    train_instance_type="local",
    output_path=output_prefix,
    sagemaker_session=local_session(port, root),
)

fm.set_hyperparameters(
    feature_dim=nbFeatures,
    predictor_type="binary_classifier",
    mini_batch_size=1000,
    num_factors=64,
    epochs=100,
)

fm.fit({"train": train_data, "test": test_data})

fm_predictor = fm.deploy(instance_type="local", initial_instance_count=1)


def fm_serializer(data):
    js = {"instances": []}
    for row in data:
        js["instances"].append({"features": row.tolist()})
    return json.dumps(js)


class FMSerializer(JSONSerializer):
    serialize = staticmethod(fm_serializer)


fm_predictor.serializer = FMSerializer()
fm_predictor.deserializer = JSONDeserializer()

result = fm_predictor.predict(X_test[1000:1010].toarray())
print(result)
print(Y_test[1000:1010])

fm_predictor.serializer = IdentitySerializer(content_type="application/json")
rows = [
    {"data": {"features": {"keys": keys, "shape": [nbFeatures], "values": values}}}
    for keys, values in zip(X_test.rows, X_test.data.tolist(), strict=True)
]
body = json.dumps({"instances": rows}, default=float)
everything = fm_predictor.predict(body)
fm_predictor.delete_endpoint()

with open(result_file, "w") as file:
    found = {"looked_up": looked_up, "answer": result, "all": everything, "truth": Y_test.tolist()}
    json.dump(found, file)
