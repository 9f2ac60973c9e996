"""gunicorn's settings: each public name of this module is one of them.

`gunicorn --config python:sagemaker_container.serving.gunicorn_config`
"""

import os
import signal
from typing import Any

from sagemaker_container.serving.loading import reload_when_loaded
from sagemaker_container.serving.settings import Settings

_settings = Settings.from_environment()
_STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}

bind = f"{_settings.host}:{_settings.port}"
workers = _settings.workers
timeout = _settings.timeout
graceful_timeout = 30
# The model is loaded once, and the workers share its memory.
preload_app = True
# A client that sends its request slowly keeps a thread, and a thread is only started where all
# others are busy. So this is how many slow clients each worker bears.
worker_class = "gthread"
threads = 128
# The heartbeat file of a worker is in memory, where a slow disk cannot delay it.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
loglevel = "warning"
proc_name = "serve"
control_socket_disable = True


def when_ready(arbiter: Any) -> None:
    """Prepare for workers, once the socket listens."""
    # Block stop signals across fork until the worker has installed its handlers. Before, it has
    # the parent's, which would ignore the signal, and the parent would wait for the worker.
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS),
    )
    reload_when_loaded(arbiter.app.wsgi())


def post_worker_init(worker: Any) -> None:
    """Let the worker receive stop signals."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
