"""gunicorn around the application: the model loaded once, workers forked after it."""

import gc
import os
import signal
import time
from collections.abc import Mapping
from typing import Any

from gunicorn.app.base import BaseApplication

from factorization_machines import artifact
from factorization_machines.errors import FactorizationMachinesError
from factorization_machines.scoring import Scorer
from sagemaker_container.contract.paths import OptMl
from sagemaker_container.errors import http_status
from sagemaker_container.serving.app import App, log
from sagemaker_container.serving.settings import Settings
from sagemaker_container.serving.waiting import Waiting, listen
from sagemaker_container.serving.worker import gone

_STOPS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}


class Server(BaseApplication):  # type: ignore[misc]
    """gunicorn with our settings, and none from files or its own environment variables."""

    def __init__(self, app: App, options: Mapping[str, Any]):
        self._app = app
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        """Take the settings."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> App:
        """Return the application."""
        return self._app


def options(settings: Settings, file_number: int) -> dict[str, Any]:
    """Return gunicorn's settings for a socket that listens already."""
    return {
        "bind": f"fd://{file_number}",
        "workers": settings.workers,
        # One event loop a process: three times the requests of threads here (see bench/), and a
        # client that stalls holds nothing up.
        "worker_class": "sagemaker_container.serving.worker.Worker",
        "asgi_loop": "asyncio",
        "asgi_lifespan": "off",
        "timeout": settings.timeout,
        "graceful_timeout": 30,
        "preload_app": True,
        # The heartbeat file of a worker: in memory, where a slow disk cannot stall it.
        "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,  # noqa: S108
        "loglevel": "warning",
        "proc_name": "serve",
        "control_socket_disable": True,
        "child_exit": lambda arbiter, worker: gone(worker),
        "post_worker_init": lambda worker: signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS),
    }


def _hold_signals() -> None:
    """Let a worker that is being born get its stop when it can understand it.

    Before it has handlers of its own it has the parent's, which would swallow the signal; the
    parent would wait for it, and kill it half a minute later.
    """
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS),
    )


def load(paths: OptMl) -> Scorer | FactorizationMachinesError:
    """Return the model under /opt/ml/model in the form that scoring needs, or why there is none."""
    try:
        return Scorer(artifact.read(paths.model))
    except FactorizationMachinesError as error:
        return error


def run(paths: OptMl) -> None:
    """Serve until a signal ends it.

    Raises: PlatformError if the environment asks for what cannot be.
    """
    settings = Settings.from_environment()
    listener = listen(settings.host, settings.port)
    began = time.perf_counter()
    with Waiting(listener):
        scorer = load(paths)
    seconds = time.perf_counter() - began
    if isinstance(scorer, FactorizationMachinesError):
        log(f"no model to serve; /ping will answer {http_status(scorer)}: {scorer.failure_text()}")
    else:
        kind = "binary_classifier" if scorer.classifier else "regressor"
        log(
            f"serving a {kind} of feature_dim {scorer.feature_dim} and num_factors "
            f"{scorer.num_factors} on {settings.host}:{settings.port} with {settings.workers} "
            f"workers, loaded in {seconds:.2f} s"
        )
    _hold_signals()
    # What is there now is shared by all workers as long as no collection writes to it.
    gc.collect()
    gc.freeze()
    Server(App(scorer, settings), options(settings, listener.detach())).run()
