"""What the parts of the service share."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local_sagemaker.backends.base import Runner
from local_sagemaker.storage.logs import Logs
from local_sagemaker.storage.metrics import Follower
from local_sagemaker.storage.records import Store

ACCOUNT = "123456789012"  # moto's
REGION = "us-east-1"
ROLE = "SageMakerExecutionRole"
KEY_ID, SECRET = "ASIALOCALSAGEMAKER00", "local"  # noqa: S105 - it protects nothing
PERSON = "aws-cli"  # of the user agent: somebody who looks, and not a loop that waits


@dataclass(frozen=True)
class Settings:
    """What the command line says."""

    state: Path
    host: str = "127.0.0.1"
    port: int = 5860
    backend: str = "auto"
    cores: int = os.cpu_count() or 1
    names: tuple[str, ...] = ()  # of this machine, beside localhost


@dataclass(frozen=True)
class Caller:
    """Who asks, as far as it matters."""

    region: str = REGION
    waits: bool = True  # whether a first look is answered late rather than early


class Context:
    """The service's parts, and clients for AWS's other services, which moto answers here."""

    def __init__(self, settings: Settings, url: str, runner: Runner):
        """Open the records; the server must be answering at the url."""
        self.settings, self.url, self.runner = settings, url, runner
        self.store = Store(settings.state / "records")
        self.s3 = self.client("s3")
        self.logs = Logs(self.client("logs"))
        self.metrics = self.client("cloudwatch")
        # First come, first served, as many at once as there are cores.
        self.jobs = ThreadPoolExecutor(settings.cores, thread_name_prefix="job")
        self.running: dict[tuple[str, str], Any] = {}
        self.followers: dict[str, Follower] = {}  # by training job

    def client(self, service: str) -> Any:
        """Return a boto3 client that asks this service, whatever the environment says."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            config=Config(
                proxies={"http": "", "https": ""},
                s3={"addressing_style": "path"},
                max_pool_connections=50,
                retries={"mode": "standard", "max_attempts": 2},
            ),
        )

    def folder(self, kind: str, name: str) -> Path:
        """Return the folder of what stays of a job: its logs."""
        return self.settings.state / kind / name

    def work(self, name: str) -> Path:
        """Return a job's working folder, which goes when it has ended."""
        return self.settings.state / "work" / name


def arn(kind: str, name: str, region: str) -> str:
    """Return the ARN of a resource of SageMaker."""
    return f"arn:aws:sagemaker:{region}:{ACCOUNT}:{kind}/{name}"
