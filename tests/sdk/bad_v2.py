"""A training job with bad hyperparameters in the SDK v2's local mode; its error ends the script.

Arguments: where to write the result (unused), the port to serve on, the root of local mode's
folders.
"""

import io
import sys

import boto3
import numpy as np
from local_session import local_session
from sagemaker import image_uris
from sagemaker.amazon.common import write_spmatrix_to_sparse_tensor
from sagemaker.estimator import Estimator
from scipy.sparse import eye

_, port, root = sys.argv[1:]
s3 = boto3.client("s3")
s3.create_bucket(Bucket="bad")
buffer = io.BytesIO()
x, y = eye(4, dtype="float32", format="csr"), np.ones(4, "float32")
write_spmatrix_to_sparse_tensor(buffer, x, y)
s3.put_object(Bucket="bad", Key="train/part", Body=buffer.getvalue())

fm = Estimator(
    image_uris.retrieve("factorization-machines", "us-east-1"),
    "arn:aws:iam::000000000000:role/lab",
    instance_count=1,
    instance_type="local",
    output_path="s3://bad/output",
    sagemaker_session=local_session(port, root),
)
fm.set_hyperparameters(
    feature_dim=4, num_factors=0, predictor_type="binary_classifier", mini_batch_sise=2
)
fm.fit({"train": "s3://bad/train"})
