"""Serial inference: an encoder and a model behind one endpoint, by SageMaker's SDK v2.

serial.py MODEL_DATA [IMAGE] [REQUESTS]: the S3 URI of the lab's model.tar.gz, the encoder's image,
which `docker build -t encoder examples/encoder` makes, and the number of requests to measure. The
local service needs --backend docker for it.
"""

import argparse
import statistics
import time

import sagemaker
from sagemaker import image_uris
from sagemaker.deserializers import JSONDeserializer
from sagemaker.model import Model
from sagemaker.pipeline import PipelineModel
from sagemaker.predictor import Predictor
from sagemaker.serializers import CSVSerializer, JSONSerializer

USERS, ITEMS = 943, 1682
parser = argparse.ArgumentParser()
parser.add_argument("model_data")
parser.add_argument("image", nargs="?", default="encoder")
parser.add_argument("requests", nargs="?", default=1000, type=int)
options = parser.parse_args()
session, role = sagemaker.Session(), sagemaker.get_execution_role()
fm_image = image_uris.retrieve("factorization-machines", session.boto_region_name)
sizes = {"USERS": str(USERS), "ITEMS": str(ITEMS)}
encoder = Model(options.image, role=role, env=sizes, sagemaker_session=session)
fm = Model(fm_image, options.model_data, role, predictor_cls=Predictor, sagemaker_session=session)
pipeline = PipelineModel([encoder, fm], role, predictor_cls=Predictor, sagemaker_session=session)


def deploy(model, serializer):
    """Return the predictor of an endpoint that is in service."""
    # With wait=True the SDK sleeps 30 s before it asks for the endpoint's status.
    predictor = model.deploy(1, "ml.c4.xlarge", wait=False)
    predictor.serializer, predictor.deserializer = serializer, JSONDeserializer()
    waiter = session.sagemaker_client.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName=predictor.endpoint_name)
    return predictor


def encoded(user, item):
    """Return the request that the encoder makes of a user and an item."""
    features = {"keys": [user - 1, USERS + item - 1], "values": [1, 1]}
    return {"instances": [{"features": features}]}


def measure(title, predictor, requests):
    """Print how long requests take; return their scores."""
    seconds, scores = [], []
    for request in requests:
        start = time.perf_counter()
        scores.append(predictor.predict(request)["predictions"][0]["score"])
        seconds.append(time.perf_counter() - start)
    print(
        f"{title}: {len(seconds)} requests in {sum(seconds):.2f} s, median"
        f" {1000 * statistics.median(seconds):.2f} ms, worst {1000 * max(seconds):.2f} ms"
    )
    return scores


pairs = [(1 + n * 7 % USERS, 1 + n * 11 % ITEMS) for n in range(options.requests)]
both, alone = deploy(pipeline, CSVSerializer()), deploy(fm, JSONSerializer())
try:
    serial = measure("encoder and model", both, [f"{user},{item}" for user, item in pairs])
    direct = measure("model alone", alone, [encoded(*pair) for pair in pairs])
    print("the scores are the same:", serial == direct)
    for request in ("196", "0,242"):
        try:
            both.predict(request)
        except session.sagemaker_runtime_client.exceptions.ModelError as error:
            print(error.response["Error"]["Message"])
finally:
    both.delete_endpoint()
    alone.delete_endpoint()

bucket = session.default_bucket()
lines = "".join(f"{user},{item}\n" for user, item in pairs)
uri = sagemaker.s3.S3Uploader.upload_string_as_file_body(
    lines, f"s3://{bucket}/serial/in/pairs.csv", sagemaker_session=session
)
transformer = pipeline.transformer(
    1,
    "ml.c4.xlarge",
    strategy="MultiRecord",
    assemble_with="Line",
    output_path=f"s3://{bucket}/serial/out",
    accept="text/csv",
)
transformer.transform(uri, content_type="text/csv", split_type="Line", logs=False)
output = sagemaker.s3.S3Downloader.read_file(
    f"s3://{bucket}/serial/out/pairs.csv.out", sagemaker_session=session
)
print(f"transform: {len(output.splitlines())} predictions, the first is {output.split()[0]}")
