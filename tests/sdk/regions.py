"""Print, as the result, the image that the SDK looks up in each region of its own table."""

import json
import sys
from importlib import resources

import sagemaker

name = "factorization-machines"
if int(sagemaker.__version__.split(".")[0]) == 1:
    from sagemaker.amazon.amazon_estimator import get_image_uri

    found = {region: get_image_uri(region, name, "latest") for region in sys.argv[2:]}
else:
    from sagemaker import image_uris

    table = resources.files("sagemaker") / "image_uri_config" / f"{name}.json"
    registries = json.loads(table.read_text())["versions"]["1"]["registries"]
    found = {region: image_uris.retrieve(name, region) for region in registries}

with open(sys.argv[1], "w") as file:
    json.dump(found, file)
