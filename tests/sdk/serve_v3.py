"""A trained model through the SDK v3's local session: an endpoint, and a batch transform job.

Arguments: where to write the result, a folder with model.tar.gz, the rows as rows.npy,
rows.csv and rows.rec, the port to serve on, the root of local mode's folders. v3's local mode
splits no RecordIO any more.
"""

import json
import sys
from pathlib import Path

import numpy as np
from sagemaker.core import image_uris
from sagemaker.core.local.local_session import LocalSession

result_file, folder, port, root = sys.argv[1:]
session = LocalSession()
session.config = {"local": {"serving_port": int(port), "container_root": root}}
client = session.sagemaker_client
container = {
    "Image": image_uris.retrieve("factorization-machines", "us-east-1"),
    "ModelDataUrl": f"file://{folder}/model.tar.gz",
    "Environment": {},
}
client.create_model("served", container)
variant = {
    "VariantName": "AllTraffic",
    "ModelName": "served",
    "InitialInstanceCount": 1,
    "InstanceType": "local",
}
client.create_endpoint_config("served", [variant])
client.create_endpoint("served", "served")
rows = np.load(folder + "/rows.npy")
RECORDS = "application/x-recordio-protobuf"


def asked(body, content_type):
    answer = session.sagemaker_runtime_client.invoke_endpoint(
        Body=body, EndpointName="served", ContentType=content_type, Accept="application/json"
    )
    return [one["score"] for one in json.loads(answer["Body"].read())["predictions"]]


found = {
    "json": asked(
        json.dumps({"instances": [{"features": row.tolist()} for row in rows]}), "application/json"
    ),
    "records": asked(Path(folder, "rows.rec").read_bytes(), RECORDS),
}
client.delete_endpoint("served")

source, output = Path(root, "in"), Path(root, "out")
source.mkdir()
output.mkdir()
(source / "rows.csv").write_bytes(Path(folder, "rows.csv").read_bytes())
client.create_transform_job(
    "job",
    "served",
    TransformInput={
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"file://{source}"}},
        "ContentType": "text/csv",
        "SplitType": "Line",
    },
    TransformOutput={"S3OutputPath": f"file://{output}"},
    TransformResources={"InstanceType": "local", "InstanceCount": 1},
)
(file,) = output.rglob("rows.csv.out")
found["Line"] = [json.loads(line)["score"] for line in file.read_text().splitlines()]
with open(result_file, "w") as out:
    json.dump(found, out)
