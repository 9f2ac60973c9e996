"""gunicorn's settings: each public name of this module is one of them.

`gunicorn --config python:sagemaker_container.serving.gunicorn_config`
"""

import os
import resource
import signal
from typing import Any

from sagemaker_container.serving.loading import reload_when_loaded
from sagemaker_container.serving.request_log import Logger
from sagemaker_container.serving.settings import Settings

_settings = Settings.from_environment()
_STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}

bind = f"{_settings.host}:{_settings.port}"
workers = _settings.workers
timeout = _settings.timeout
# `docker stop` kills after 10 seconds.
graceful_timeout = 7
# Seconds until the head of a request must be whole.
keepalive = min(20, timeout or 20)
# The model is loaded once, and the workers share its memory.
preload_app = True
worker_class = "sagemaker_container.serving.worker.Worker"
# A client that sends its body slowly keeps a thread, and a thread is only started where all others
# are busy. So this is how many slow clients each worker bears.
threads = 128
# Each connection takes a file descriptor.
_descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
worker_connections = max(threads + 1, min(1000, _descriptors - 64))
# The heartbeat file of a worker is in memory, where a slow disk cannot delay it.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
logger_class = Logger
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
