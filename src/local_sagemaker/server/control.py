"""The service's own paths: its health, its certificate authority, and the reset."""

import importlib.metadata
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from werkzeug.wrappers import Response

from local_sagemaker.context import Context
from local_sagemaker.errors import write_log

_PATH = "/_local-sagemaker/"
_METHODS = {"health": ("GET", "HEAD"), "ca-bundle.pem": ("GET", "HEAD"), "reset": ("POST",)}
_SERVICES = ("sagemaker", "sagemaker-runtime", "sagemaker-metrics", "s3", "logs", "cloudwatch")
# By kind of record: the member that holds its status.
_STATUS = {
    "training-job": "TrainingJobStatus",
    "transform-job": "TransformJobStatus",
    "processing-job": "ProcessingJobStatus",
    "hyper-parameter-tuning-job": "HyperParameterTuningJobStatus",
    "pipeline-execution": "PipelineExecutionStatus",
    "endpoint": "EndpointStatus",
}


class Resettable(Protocol):
    """A service that is ready; `local_sagemaker.service.Service` is one."""

    context: Context
    url: str

    def reset(self) -> dict[str, int]:
        """Remove everything; return the number of entries of each collection."""


class Control:
    """A WSGI application for GET `health` and `ca-bundle.pem`, and POST `reset`."""

    def __init__(self, backend: str, bundle: Path):
        """Take the name of the backend, and the file of certificates that clients need."""
        self._bundle = bundle
        self.service: Resettable | None = None  # assigned when everything is restored
        version = importlib.metadata.version("local-factorization-machines")
        self._about = {"version": version, "backend": backend, "pid": os.getpid()}

    def answers(self, environ: Mapping[str, Any]) -> bool:
        """Return whether the path of a request is one of the service's own."""
        return str(environ.get("PATH_INFO", "")).startswith(_PATH)

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        """Answer a request."""
        path = str(environ["PATH_INFO"]).removeprefix(_PATH)
        methods = _METHODS.get(path)
        if methods is None:
            text = f"There is no {_PATH}{path}; there are: {', '.join(_METHODS)}."
            response = _json(404, {"message": text})
        elif environ["REQUEST_METHOD"] not in methods:
            response = _json(405, {"message": f"{_PATH}{path} takes {methods[0]}."})
            response.headers["Allow"] = ", ".join(methods)
        elif self.service is None:
            starting = {"status": "starting", "services": dict.fromkeys(_SERVICES, "starting")}
            response = _json(503, {**self._about, **starting})
            response.headers["Retry-After"] = "1"
        elif path == "ca-bundle.pem":
            response = Response(self._bundle.read_bytes(), content_type="application/x-pem-file")
        elif path == "health":
            response = _json(200, {**self._about, **_health(self.service)})
        else:
            response = _reset(self.service)
        return response(environ, start)


def _health(service: Resettable) -> dict[str, Any]:
    store = service.context.store
    counts = {
        kind: Counter(record[member] for record in store.all(kind))
        for kind, member in _STATUS.items()
    }
    services = dict.fromkeys(_SERVICES, "ready")
    s3 = service.context.settings.s3
    urls = {"url": service.url, "s3": service.url if s3 is None else s3.url}
    return {"status": "ready", **urls, "services": services, "resources": counts}


def _reset(service: Resettable) -> Response:
    try:
        collections = service.reset()
    except Exception as error:  # of the disk
        write_log(f"reset: {error!r}")
        return _json(500, {"message": f"Nothing was removed: {error}."})
    removed: Counter[str] = Counter()
    for name, count in collections.items():
        kind, _, rest = name.partition("/")
        removed[rest if kind == "record" else {"key": "object"}.get(kind, kind)] += count
    return _json(200, {"removed": removed})


def _json(status: int, content: Mapping[str, Any]) -> Response:
    response = Response(json.dumps(content) + "\n", status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
