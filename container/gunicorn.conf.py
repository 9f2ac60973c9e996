"""gunicorn's settings and hooks: address, workers, threads and timeouts."""

from sagemaker_container.serving.gunicorn_config import *  # noqa: F403
