"""The settings of a service, from the command line and the environment."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from local_sagemaker.account import KEY_ID, SECRET

# Environment variables with the credentials of another S3.
S3_KEY_ID, S3_SECRET = "LOCAL_SAGEMAKER_S3_ACCESS_KEY_ID", "LOCAL_SAGEMAKER_S3_SECRET_ACCESS_KEY"


@dataclass(frozen=True)
class S3Endpoint:
    """Another S3, such as MinIO, in place of the service's own."""

    url: str
    key_id: str = KEY_ID
    secret: str = field(default=SECRET, repr=False)


@dataclass(frozen=True)
class Settings:
    """The options of the command line."""

    state: Path
    host: str = "127.0.0.1"
    port: int = 5860
    backend: str = "auto"
    cores: int = os.cpu_count() or 1
    names: tuple[str, ...] = ()  # host names of this machine, in addition to localhost
    sklearn_python: Path = Path(sys.executable)  # stands in for AWS's scikit-learn images
    s3: S3Endpoint | None = None  # None: the service's own S3
