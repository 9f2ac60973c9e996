"""Runs gunicorn with the application."""

import socket
import sys

from gunicorn.app import wsgiapp

from factorization_machines.errors import PlatformError
from sagemaker_container.serving.request_log import keep_standard_error_from_blocking
from sagemaker_container.serving.settings import Settings


def run(config: str, application: str) -> None:
    """Serve until a signal ends it, as `gunicorn --config CONFIG APPLICATION` does.

    Raises: PlatformError if a setting is invalid or the port is taken.
    """
    keep_standard_error_from_blocking()
    # Checked here because gunicorn would retry for seconds, and print tracebacks.
    settings = Settings.from_environment()
    try:
        socket.create_server((settings.host, settings.port)).close()
    except OSError as error:
        raise PlatformError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}"
        ) from error
    sys.argv = ["serve", "--config", config, application]
    wsgiapp.run(prog="serve")
