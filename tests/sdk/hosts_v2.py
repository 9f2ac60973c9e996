"""The lab's training job through the SDK v2's local mode, on 1, 2 and 3 hosts.

Arguments: where to write the result, the folder with the recordIO files, the port to serve on, the
root of local mode's folders, and numbers of hosts.
"""

import contextlib
import io
import json
import sys

import boto3
import sagemaker
from local_session import local_session
from sagemaker import image_uris
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput

result_file, folder, port, root, *counts = sys.argv[1:]
boto3.client("s3").create_bucket(Bucket="hosts")
inputs = {}
for channel in ("train", "test"):
    with open(f"{folder}/{channel}.protobuf", "rb") as file:
        boto3.client("s3").upload_fileobj(file, "hosts", f"{channel}/part-0")
    inputs[channel] = TrainingInput(f"s3://hosts/{channel}", distribution="FullyReplicated")

jobs = {}
for count in counts:
    fm = Estimator(
        image_uris.retrieve("factorization-machines", "us-east-1"),
        "arn:aws:iam::000000000000:role/lab",
        instance_count=int(count),
        instance_type="local",
        output_path=f"s3://hosts/output-{count}",
        sagemaker_session=local_session(port, root),
    )
    fm.set_hyperparameters(
        feature_dim=2625,
        predictor_type="binary_classifier",
        mini_batch_size=1000,
        num_factors=64,
        epochs=100,
    )
    log = io.StringIO()
    with contextlib.redirect_stdout(log):
        fm.fit(inputs, logs=True)
    print(log.getvalue())
    jobs[count] = log.getvalue()
with open(result_file, "w") as file:
    json.dump({"sdk": sagemaker.__version__, "logs": jobs}, file)
