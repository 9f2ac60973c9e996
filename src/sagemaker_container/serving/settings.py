"""Settings of the server from environment variables, by SageMaker's names."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from factorization_machines.errors import PlatformError

# The spelling of the environment, and that of the API and of SDK's local mode.
_STRATEGIES = {"SINGLE_RECORD": "SingleRecord", "MULTI_RECORD": "MultiRecord"}


@dataclass(frozen=True)
class Settings:
    """The address, the number of processes, and the limits of the server."""

    host: str
    port: int
    workers: int
    timeout: int
    """Seconds after which a worker that hangs is restarted, and a body that is late is refused."""
    max_payload_mb: int
    """Largest size of a request's body; 0 means no limit."""
    batch: bool
    """Whether this is a batch transform job, not an endpoint."""
    strategy: str
    concurrent: int

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Return the settings. Raises: PlatformError for a value that is not allowed."""
        workers = _number(environ, "SAGEMAKER_MODEL_SERVER_WORKERS", 0) or _cpus()
        return cls(
            host=environ.get("FM_BIND_TO_HOST", "127.0.0.1"),  # the image sets 0.0.0.0
            port=_number(environ, "SAGEMAKER_BIND_TO_PORT", 8080, 65535),
            workers=workers,
            timeout=_number(environ, "SAGEMAKER_MODEL_SERVER_TIMEOUT", 60),
            max_payload_mb=_number(environ, "SAGEMAKER_MAX_PAYLOAD_IN_MB", 6),
            batch=environ.get("SAGEMAKER_BATCH", "").lower() == "true",
            strategy=_strategy(environ),
            concurrent=_number(environ, "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS", 0) or workers,
        )

    @property
    def max_payload(self) -> int | None:
        """Return the largest size of a body in bytes, None without a limit."""
        return self.max_payload_mb << 20 or None

    def execution_parameters(self) -> dict[str, int | str]:
        """Return the response to /execution-parameters, the defaults of a batch transform job."""
        return {
            "MaxConcurrentTransforms": self.concurrent,
            "BatchStrategy": self.strategy,
            "MaxPayloadInMB": self.max_payload_mb,
        }


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _number(environ: Mapping[str, str], name: str, default: int, maximum: int = 2**31 - 1) -> int:
    text = environ.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) > maximum:
        raise PlatformError(f"{name} must be a whole number from 0 to {maximum}; got {text!r}")
    return int(text)


def _strategy(environ: Mapping[str, str]) -> str:
    # The SDK's local mode cannot join two RecordIO records to one request. It writes "True" where
    # the service writes "true". /execution-parameters must have the API's spelling for it.
    default = "SINGLE_RECORD" if environ.get("SAGEMAKER_BATCH") == "True" else "MULTI_RECORD"
    text = environ.get("SAGEMAKER_BATCH_STRATEGY") or default
    strategies = {**_STRATEGIES, **{name: name for name in _STRATEGIES.values()}}
    if text not in strategies:
        allowed = " or ".join(_STRATEGIES)
        raise PlatformError(f"SAGEMAKER_BATCH_STRATEGY must be {allowed}; got {text!r}")
    return strategies[text]
