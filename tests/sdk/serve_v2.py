"""A trained model through the SDK v2: predictors with its own serializers, and batch transform.

Arguments: where to write the result, a folder with model.tar.gz and the rows as rows.npy,
rows.csv and rows.rec, the port to serve on, the root of local mode's folders.
"""

import json
import sys
from urllib.parse import urlparse

import boto3
import numpy as np
from local_session import local_session
from sagemaker import image_uris
from sagemaker.deserializers import (
    CSVDeserializer,
    JSONDeserializer,
    JSONLinesDeserializer,
    RecordDeserializer,
)
from sagemaker.model import Model
from sagemaker.predictor import Predictor
from sagemaker.serializers import (
    CSVSerializer,
    JSONLinesSerializer,
    JSONSerializer,
    LibSVMSerializer,
    RecordSerializer,
)

result_file, folder, port, root = sys.argv[1:]
bucket = "serve-v2"
s3 = boto3.client("s3")
s3.create_bucket(Bucket=bucket)
for name in ("model.tar.gz", "rows.csv", "rows.rec"):
    s3.upload_file(f"{folder}/{name}", bucket, f"in/{name}")

session = local_session(port, root)
model = Model(
    image_uri=image_uris.retrieve("factorization-machines", "us-east-1"),
    model_data=f"s3://{bucket}/in/model.tar.gz",
    role="arn:aws:iam::000000000000:role/lab",
    predictor_cls=Predictor,
    sagemaker_session=session,
)
rows = np.load(f"{folder}/rows.npy")
instances = [{"features": row.tolist()} for row in rows]
predictor = model.deploy(initial_instance_count=1, instance_type="local")


def scores(serializer, deserializer, data):
    predictor.serializer, predictor.deserializer = serializer, deserializer
    return predictor.predict(data)


def of_records(records):
    return [record.label["score"].float32_tensor.values[0] for record in records]


found = {
    "json": [
        one["score"]
        for one in scores(JSONSerializer(), JSONDeserializer(), {"instances": instances})[
            "predictions"
        ]
    ],
    "records": of_records(scores(RecordSerializer(), RecordDeserializer(), rows)),
    "float64 records": of_records(
        scores(RecordSerializer(), RecordDeserializer(), rows.astype(np.float64))
    ),
    "csv": [float(score) for score, _ in scores(CSVSerializer(), CSVDeserializer(), rows)],
    "lines": [
        one["score"] for one in scores(JSONLinesSerializer(), JSONLinesDeserializer(), instances)
    ],
    "libsvm": [
        one["score"]
        for one in scores(
            LibSVMSerializer(),
            JSONDeserializer(),
            "\n".join(
                " ".join(["0", *(f"{key}:{row[key]}" for key in np.flatnonzero(row))])
                for row in rows.tolist()
                for row in [np.array(row)]
            ),
        )["predictions"]
    ],
}
predictor.delete_endpoint()


def transformed(job, name, content_type, split, **settings):
    """Return the lines that a batch transform job leaves; each must be complete."""
    output = f"s3://{bucket}/out/{job}"
    transformer = model.transformer(
        instance_count=1, instance_type="local", output_path=output, **settings
    )
    # Without logs=False it looks for them in CloudWatch, where a local job leaves none.
    transformer.transform(
        f"s3://{bucket}/in/{name}", content_type=content_type, split_type=split, logs=False
    )
    prefix = urlparse(output).path.lstrip("/")
    (item,) = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    assert item["Key"].endswith(f"{name}.out")
    text = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read().decode()
    assert text.endswith("\n")
    return text[:-1].split("\n")


# Without assemble_with: local mode adds a newline to each answer, which already ends with one.
RECORDS = "application/x-recordio-protobuf"
LINES = "application/jsonlines"
jobs = {
    # With nothing else said: `serve` says how.
    "RecordIO": transformed("a", "rows.rec", RECORDS, "RecordIO", max_payload=1),
    "RecordIO, whole": transformed("b", "rows.rec", RECORDS, None),
    "RecordIO, lines": transformed(
        "c", "rows.rec", RECORDS, "RecordIO", strategy="SingleRecord", accept=LINES
    ),
    "Line, many at once": transformed(
        "d", "rows.csv", "text/csv", "Line", strategy="MultiRecord", accept=LINES
    ),
}
found.update({name: [json.loads(line)["score"] for line in lines] for name, lines in jobs.items()})
with open(result_file, "w") as file:
    json.dump(found, file)
