"""Data capture and asynchronous inference by the SDK v2, and the metrics of a training job."""

import json
import sys
import time
from unittest import mock

import sagemaker
from sagemaker.analytics import TrainingJobAnalytics
from sagemaker.async_inference import AsyncInferenceConfig, WaiterConfig
from sagemaker.deserializers import JSONDeserializer
from sagemaker.image_uris import retrieve
from sagemaker.model_monitor import DataCaptureConfig
from sagemaker.s3 import S3Downloader
from sagemaker.serializers import JSONSerializer

model_data, job, uri = sys.argv[1:]
sleep = time.sleep
session, role = sagemaker.Session(), sagemaker.get_execution_role()
body = {"instances": [{"features": [1.0] * 5}]}
wire = {"serializer": JSONSerializer(), "deserializer": JSONDeserializer()}
size = {"initial_instance_count": 1, "instance_type": "ml.c4.xlarge"}


def model():
    """Return a new model, of which the SDK makes a predictor."""
    image = retrieve("factorization-machines", "us-east-1")
    return sagemaker.Model(
        image, model_data, role, sagemaker_session=session, predictor_cls=sagemaker.Predictor
    )


def capture(predictor):
    """Return the capture status of an endpoint, after an invocation."""
    predictor.predict(body)
    described = session.sagemaker_client.describe_endpoint(EndpointName=predictor.endpoint_name)
    return described["DataCaptureConfig"]["CaptureStatus"]


# The SDK sleeps 30 s before it first looks at an endpoint. For each asynchronous request it has two
# threads wait for the output and the failure; one of them makes all attempts, after the answer too.
mock.patch("time.sleep", lambda seconds: sleep(min(seconds, 0.2))).start()
config = DataCaptureConfig(
    True,
    100,
    f"{uri}/captured",
    csv_content_types=["text/csv"],
    json_content_types=["application/json"],
    sagemaker_session=session,
)
predictor = model().deploy(data_capture_config=config, **size, **wire)
states = [capture(predictor)]
predictor.disable_data_capture()
states.append(capture(predictor))
predictor.enable_data_capture()
states.append(capture(predictor))
predictor.update_data_capture_config(config)
states.append(capture(predictor))
expected = predictor.predict(body)
predictor.delete_endpoint()
files = S3Downloader.list(f"{uri}/captured/{predictor.endpoint_name}", session)
lines = [line for file in files for line in S3Downloader.read_file(file, session).splitlines()]
outputs = [json.loads(line)["captureData"]["endpointOutput"]["data"] for line in lines]
print("CAPTURE", *states, [json.loads(output) == expected for output in outputs])

config = AsyncInferenceConfig(f"{uri}/async", 2, failure_path=f"{uri}/failed")
queued = model().deploy(async_inference_config=config, **size, **wire)
waiter = WaiterConfig(max_attempts=50, delay=1)
answer = queued.predict(body, waiter_config=waiter)
later = queued.predict_async(body).get_result(waiter)
print("ASYNC", answer == expected, later == expected)
try:
    queued.predict({"instances": [{"features": [1.0]}]}, waiter_config=waiter)
except sagemaker.exceptions.AsyncInferenceModelError as error:
    print("FAILED", error)
queued.delete_endpoint()

curve = TrainingJobAnalytics(job, ["train:rmse:epoch"], session).dataframe()
print("ANALYTICS", sorted(set(curve["metric_name"])), len(curve))
