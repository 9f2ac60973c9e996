"""Models as the console displays them."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from local_sagemaker import builtin
from local_sagemaker.console.views import seconds
from local_sagemaker.context import Context
from local_sagemaker.errors import LocalError, ServiceError, invalid
from local_sagemaker.hosting.endpoints import KIND as ENDPOINT
from local_sagemaker.jobs.training import KIND as TRAINING
from local_sagemaker.storage import objects
from local_sagemaker.storage.records import Record
from sagemaker_container.contract.untrusted import printable

_SECONDS = 60.0  # to read a model
_MAX_MODELS = 32  # of which the content stays in memory
_PROGRAM = "from sagemaker_container.cli import model; model()"


def row(context: Context, record: Record) -> dict[str, Any]:
    """Return a model with its containers, the endpoints that serve it, and its training job."""
    name = record["ModelName"]
    containers = [_container(context, container) for container in _containers(record)]
    return {
        "name": name,
        "created": seconds(record["CreationTime"]),
        "containers": containers,
        "image": ", ".join(container["image"] for container in containers),
        "endpoints": [
            endpoint["EndpointName"]
            for endpoint in context.store.all(ENDPOINT)
            if _copy(endpoint, name).get("CreationTime") == record["CreationTime"]
        ],
    }


class ModelReader:
    """Reads models with `fm-model info`, and keeps what it said of the last ones."""

    def __init__(self, context: Context):
        """Start without models."""
        self._s3 = context.s3
        self._known: dict[tuple[str, ...], dict[str, Any]] = {}  # by URI and ETags

    def info(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `fm-model info` says of a model's first container.

        The model is untrusted, so another process reads it. Cost: a download, and half a second.

        Raises: ServiceError if it is no factorization machine, or cannot be read.
        """
        container = _containers(record)[0]
        image, uri = container.get("Image", ""), _data(container)
        if uri is None or not builtin.is_ours(image):
            raise invalid(f"{image or 'The model'} is not the image of Factorization Machines.")
        bucket, prefix = objects.split_uri(uri)
        page = self._s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
        key = (uri, *(entry["ETag"] for entry in page.get("Contents", ())))
        if key not in self._known:
            self._known[key] = self._read(uri)
            if len(self._known) > _MAX_MODELS:
                self._known.pop(next(iter(self._known)), None)
        return self._known[key]

    def infos(self, endpoint: Record) -> dict[str, Any]:
        """Return for each variant of an endpoint what `info` says of its model, or the error."""
        deployment = endpoint.get("Deployment") or {"Config": {"ProductionVariants": ()}}
        by_model: dict[str, Any] = {}
        for name, model in deployment.get("Models", {}).items():
            try:
                by_model[name] = self.info(model)
            except ServiceError as error:
                by_model[name] = {"error": error.message}
        variants = deployment["Config"]["ProductionVariants"]
        return {variant["VariantName"]: by_model[variant["ModelName"]] for variant in variants}

    def _read(self, uri: str) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="console-") as folder:
            try:
                objects.download_prefix(self._s3, uri, Path(folder))
                path = next(Path(folder).glob("*.tar.gz"), Path(folder))
                command = [sys.executable, "-c", _PROGRAM, "info", "--json", str(path)]
                done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
            except LocalError as error:
                raise invalid(str(error)) from error
            except subprocess.TimeoutExpired as error:
                raise invalid(f"{uri} was not read in {_SECONDS:g} s.") from error
        if done.returncode:
            reason = done.stderr.strip().rpartition("\n")[2].replace(str(path), uri)
            raise invalid(printable(reason) or f"{uri} was not read: exit code {done.returncode}.")
        content: dict[str, Any] = json.loads(done.stdout)
        return content


def _copy(endpoint: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return an endpoint's own copy of a model's record; empty if it serves no such model."""
    models = (endpoint.get("Deployment") or {}).get("Models") or {}
    copy: Mapping[str, Any] = models.get(name, {})
    return copy


def _containers(record: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return record.get("Containers") or [record.get("PrimaryContainer") or {}]


def _container(context: Context, container: Mapping[str, Any]) -> dict[str, Any]:
    uri = _data(container)
    jobs = [
        job["TrainingJobName"]
        for job in context.store.all(TRAINING)
        if uri and (job.get("ModelArtifacts") or {}).get("S3ModelArtifacts") == uri
    ]
    return {
        "image": container.get("Image", ""),
        "data": uri,
        "environment": dict(container.get("Environment") or {}),
        "job": jobs[-1] if jobs else None,
    }


def _data(container: Mapping[str, Any]) -> str | None:
    source = (container.get("ModelDataSource") or {}).get("S3DataSource") or {}
    return container.get("ModelDataUrl") or source.get("S3Uri")
