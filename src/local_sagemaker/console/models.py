"""Models as the console displays them."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import ClientError

from local_sagemaker import builtin
from local_sagemaker.console.views import seconds
from local_sagemaker.context import Context
from local_sagemaker.errors import LocalError
from local_sagemaker.hosting.containers import Container, containers, is_direct
from local_sagemaker.hosting.endpoints import KIND as ENDPOINT
from local_sagemaker.hosting.model_server import model_data
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
    parts = [_container(context, part) for part in containers(record)]
    return {
        "name": name,
        "created": seconds(record["CreationTime"]),
        "containers": parts,
        "image": ", ".join(part["image"] for part in parts),
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
        """Return what `fm-model info` says of a model's first factorization machine.

        Raises: LocalError if it has none, or it cannot be read.
        """
        parts = containers(record)
        part = next((each for each in parts if _is_ours(each)), parts[0])
        return {**self._info(part), "container": part.name}

    def infos(self, endpoint: Record) -> dict[str, dict[str, Any]]:
        """Return what `fm-model info` says of the containers that a request can be for.

        They are by variant and by name. The name of a container is empty if a request does not
        name it. A container that is not read has an `error`.
        """
        deployment = endpoint.get("Deployment") or {"Config": {"ProductionVariants": ()}}
        by_model = {}
        for name, model in deployment.get("Models", {}).items():
            parts = containers(model)
            targets = {p.name: p for p in parts} if is_direct(model) else {"": parts[0]}
            by_model[name] = {target: self._info_or_error(p) for target, p in targets.items()}
        variants = deployment["Config"]["ProductionVariants"]
        return {variant["VariantName"]: by_model[variant["ModelName"]] for variant in variants}

    def _info_or_error(self, part: Container) -> dict[str, Any]:
        try:
            return self._info(part)
        except (LocalError, ClientError) as error:
            return {"error": str(error)}

    def _info(self, part: Container) -> dict[str, Any]:
        """Return what `fm-model info` says of a container's model.

        The model is untrusted, so another process reads it. Cost: a download, and half a second.
        """
        uri, is_packed = model_data(part.definition)
        if uri is None or not _is_ours(part):
            image = part.definition.get("Image") or "The model"
            raise LocalError(f"{image} is not the image of Factorization Machines.")
        bucket, prefix = objects.split_uri(uri)
        page = self._s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
        key = (uri, *(entry["ETag"] for entry in page.get("Contents", ())))
        if key not in self._known:
            self._known[key] = self._read(uri, is_packed)
            if len(self._known) > _MAX_MODELS:
                self._known.pop(next(iter(self._known)), None)
        return self._known[key]

    def _read(self, uri: str, is_packed: bool) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="console-") as name:
            path = folder = Path(name)
            if is_packed:
                place = PurePosixPath("model.tar.gz")
                path = objects.download(self._s3, objects.split_uri(uri), folder, place)
            else:
                objects.download_prefix(self._s3, uri, folder)
            command = [sys.executable, "-c", _PROGRAM, "info", "--json", str(path)]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
            except subprocess.TimeoutExpired as error:
                raise LocalError(f"{uri} was not read in {_SECONDS:g} s.") from error
        if done.returncode:
            reason = done.stderr.strip().rpartition("\n")[2].replace(str(path), uri)
            text = printable(reason) or f"{uri} was not read: exit code {done.returncode}."
            raise LocalError(text)
        content: dict[str, Any] = json.loads(done.stdout)
        return content


def _copy(endpoint: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return an endpoint's own copy of a model's record; empty if it serves no such model."""
    models = (endpoint.get("Deployment") or {}).get("Models") or {}
    copy: Mapping[str, Any] = models.get(name, {})
    return copy


def _is_ours(part: Container) -> bool:
    return builtin.is_ours(part.definition.get("Image", ""))


def _container(context: Context, part: Container) -> dict[str, Any]:
    uri, _ = model_data(part.definition)
    jobs = [
        job["TrainingJobName"]
        for job in context.store.all(TRAINING)
        if uri and (job.get("ModelArtifacts") or {}).get("S3ModelArtifacts") == uri
    ]
    return {
        "name": part.name,
        "image": part.definition.get("Image", ""),
        "data": uri,
        "environment": dict(part.definition.get("Environment") or {}),
        "job": jobs[-1] if jobs else None,
    }
