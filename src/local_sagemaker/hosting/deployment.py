"""Deployments: an endpoint's own copy of the configuration and the models that it serves.

An endpoint's record has the one that serves as `Deployment`, and the one that is being started as
`NextDeployment`. Deleted models and configurations thus change no endpoint, also after a restart.
"""

import uuid
from collections.abc import Mapping
from typing import Any

from local_sagemaker.errors import invalid
from local_sagemaker.hosting import capture
from local_sagemaker.hosting.containers import containers
from local_sagemaker.storage.records import Record, Store, now

KIND, CONFIG, MODEL = "endpoint", "endpoint-config", "model"
_RETAINED = {
    "DesiredInstanceCount": "InitialInstanceCount",
    "DesiredWeight": "InitialVariantWeight",
}


def new(store: Store, config_name: str) -> Record:
    """Return the deployment of an endpoint configuration.

    Raises: ServiceError if the configuration or one of its models does not exist.
    """
    config = _record(store, CONFIG, config_name)
    names = {variant["ModelName"] for variant in config["ProductionVariants"]}
    return {
        "Id": f"serve-{uuid.uuid4().hex[:12]}",
        "Config": config,
        "Models": {name: _record(store, MODEL, name) for name in names},
    }


def retain(deployment: Record, endpoint: Mapping[str, Any], request: Mapping[str, Any]) -> None:
    """Keep the properties of an endpoint that RetainAllVariantProperties of an update names."""
    excluded = {
        entry["VariantPropertyType"]
        for entry in request.get("ExcludeRetainedVariantProperties") or ()
    }
    if not request.get("RetainAllVariantProperties"):
        if excluded:
            raise invalid("ExcludeRetainedVariantProperties needs RetainAllVariantProperties.")
        return
    present = {v["VariantName"]: v for v in endpoint.get("ProductionVariants") or ()}
    config = deployment["Config"]
    config["ProductionVariants"] = [
        {
            **variant,
            **{
                initial: present[variant["VariantName"]][desired]
                for desired, initial in _RETAINED.items()
                if desired not in excluded and desired in present.get(variant["VariantName"], ())
            },
        }
        for variant in config["ProductionVariants"]
    ]
    if "DataCaptureConfig" not in excluded:
        current = (endpoint.get("Deployment") or {}).get("Config") or {}
        config["DataCaptureConfig"] = current.get("DataCaptureConfig")


def described(deployment: Mapping[str, Any]) -> Record:
    """Return the members of DescribeEndpoint that follow from a deployment."""
    config = deployment["Config"]
    return {
        "EndpointConfigName": config["EndpointConfigName"],
        "ProductionVariants": [_variant(deployment, v) for v in config["ProductionVariants"]],
        "DataCaptureConfig": capture.summary(config.get("DataCaptureConfig")),
        "AsyncInferenceConfig": config.get("AsyncInferenceConfig"),
    }


def _variant(deployment: Mapping[str, Any], variant: Mapping[str, Any]) -> Record:
    parts = containers(deployment["Models"][variant["ModelName"]])
    images = [part.definition.get("Image", "") for part in parts]
    weight = variant.get("InitialVariantWeight", 1.0)
    serverless = variant.get("ServerlessConfig")
    count = 0 if serverless else variant.get("InitialInstanceCount", 1)
    return {
        "VariantName": variant["VariantName"],
        "DeployedImages": [
            {"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": now()}
            for image in images
        ],
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "CurrentInstanceCount": count,
        **(
            {"CurrentServerlessConfig": serverless}
            if serverless
            else {"DesiredInstanceCount": count}
        ),
    }


def _record(store: Store, kind: str, name: str) -> Record:
    record = store.get(kind, name)
    if record is None:
        title = "endpoint configuration" if kind == CONFIG else kind
        raise invalid(f'Could not find {title} "{name}".')
    return record
