"""A trained model through the SDK v1: RealTimePredictor with its JSON and RecordIO serializers.

Arguments: where to write the result, a folder with model.tar.gz and the rows as rows.npy, the port
to serve on, the root of local mode's folders.
"""

import json
import sys

import boto3
import numpy as np
from local_session import local_session
from sagemaker.amazon.amazon_estimator import get_image_uri
from sagemaker.amazon.common import numpy_to_record_serializer, record_deserializer
from sagemaker.model import Model
from sagemaker.predictor import (
    RealTimePredictor,
    csv_serializer,
    json_deserializer,
    json_serializer,
)

result_file, folder, port, root = sys.argv[1:]
boto3.client("s3").create_bucket(Bucket="serve-v1")
boto3.client("s3").upload_file(f"{folder}/model.tar.gz", "serve-v1", "in/model.tar.gz")

model = Model(
    "s3://serve-v1/in/model.tar.gz",
    get_image_uri("us-east-1", "factorization-machines", "latest"),
    role="arn:aws:iam::000000000000:role/lab",
    predictor_cls=RealTimePredictor,
    sagemaker_session=local_session(port, root),
)
rows = np.load(folder + "/rows.npy")
predictor = model.deploy(initial_instance_count=1, instance_type="local")


def asked(serializer, deserializer, content_type, accept, data):
    predictor.serializer, predictor.deserializer = serializer, deserializer
    predictor.content_type, predictor.accept = content_type, accept
    return predictor.predict(data)


RECORDS = "application/x-recordio-protobuf"
JSON = "application/json"
instances = {"instances": [{"features": row.tolist()} for row in rows]}
records = asked(numpy_to_record_serializer(), record_deserializer(), RECORDS, RECORDS, rows)
plain = asked(json_serializer, json_deserializer, JSON, JSON, instances)
csv = asked(csv_serializer, json_deserializer, "text/csv", None, rows)
found = {
    "json": [one["score"] for one in plain["predictions"]],
    "records": [one.label["score"].float32_tensor.values[0] for one in records],
    "csv": [one["score"] for one in csv["predictions"]],
}
predictor.delete_endpoint()
with open(result_file, "w") as file:
    json.dump(found, file)
