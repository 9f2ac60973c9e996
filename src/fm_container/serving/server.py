"""gunicorn around the application: the model loaded once, workers forked after it."""

import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from fm_container import artifact
from fm_container.contract.paths import OptMl
from fm_container.errors import ContainerError, PlatformError
from fm_container.serving.app import create_app
from fm_container.serving.scorer import Scorer

_PORT, _WORKERS, _TIMEOUT = 8080, 0, 60  # 0 workers: as many as there are CPUs


class Server(BaseApplication):  # type: ignore[misc]
    """gunicorn with our settings, and none from files or its own environment variables."""

    def __init__(self, app: Flask, settings: Mapping[str, Any]):
        self._app = app
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Take the settings."""
        for name, value in self._settings.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Return the application."""
        return self._app


def settings(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return gunicorn's settings, from SageMaker's environment variables.

    Raises: PlatformError if one of them is not a number, or too large a one.
    """
    host = environ.get("FM_BIND_TO_HOST", "127.0.0.1")  # the image sets 0.0.0.0
    workers = _number(environ, "SAGEMAKER_MODEL_SERVER_WORKERS", _WORKERS)
    return {
        "bind": f"{host}:{_number(environ, 'SAGEMAKER_BIND_TO_PORT', _PORT, 65535)}",
        "workers": workers or len(os.sched_getaffinity(0)),
        # Threads, so that /ping is answered while another request is at work.
        "worker_class": "gthread",
        "threads": 4,
        "timeout": _number(environ, "SAGEMAKER_MODEL_SERVER_TIMEOUT", _TIMEOUT),
        "graceful_timeout": 30,
        "preload_app": True,
        # The heartbeat file of a worker: in memory, where a slow disk cannot stall it.
        "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,  # noqa: S108
        "loglevel": "warning",
        "proc_name": "serve",
    }


def _number(environ: Mapping[str, str], name: str, default: int, most: int = 2**31 - 1) -> int:
    text = environ.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) > most:
        raise PlatformError(f"{name} must be a whole number from 0 to {most}; got {text!r}")
    return int(text)


def load(paths: OptMl) -> Scorer | ContainerError:
    """Return the model under /opt/ml/model in the form that scoring needs, or why there is none."""
    try:
        return Scorer(artifact.read(paths.model))
    except ContainerError as error:
        return error


def run(paths: OptMl) -> None:
    """Serve until a signal ends it.

    Raises: PlatformError if the environment asks for what cannot be.
    """
    options = settings()
    began = time.perf_counter()
    scorer = load(paths)
    seconds = time.perf_counter() - began
    if isinstance(scorer, ContainerError):
        _say(f"no model to serve; /ping will answer {scorer.http_status}: {scorer.failure_text()}")
    else:
        kind = "binary_classifier" if scorer.classifier else "regressor"
        _say(
            f"serving a {kind} of feature_dim {scorer.feature_dim} and num_factors "
            f"{scorer.num_factors} on {options['bind']} with {options['workers']} workers, "
            f"loaded in {seconds:.2f} s"
        )
    Server(create_app(scorer), options).run()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201
