"""The state that the parts of the service share."""

import contextlib
import os
import sqlite3
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local_sagemaker.account import ACCOUNT, KEY_ID, REGION, SECRET
from local_sagemaker.backends.base import Runner
from local_sagemaker.hosting.endpoints import Endpoints
from local_sagemaker.settings import S3Endpoint, Settings
from local_sagemaker.storage.database import Database
from local_sagemaker.storage.logs import Logs
from local_sagemaker.storage.metrics import MetricScraper
from local_sagemaker.storage.records import Store

_CONNECT_SECONDS = 10.0
_FOLDERS = ("training-job", "transform-job", "processing-job", "endpoint")  # kinds with folders
AWS_CLI = "aws-cli"  # in a user agent: an interactive call, which is answered at once


@dataclass(frozen=True)
class Caller:
    """The properties of a client that change how its request is answered."""

    region: str = REGION
    waits: bool = True  # whether the first Describe may wait until the job has ended


class Context:
    """Settings, records, clients for AWS's other services (answered by moto), jobs, endpoints."""

    def __init__(
        self, settings: Settings, url: str, runner: Runner, database: Database, agent: str
    ):
        """Read the records of the database; `agent` is the user agent of the service's clients.

        The server must already answer at the url.
        """
        self.settings, self.url, self.runner, self._agent = settings, url, runner, agent
        self.store = Store(database)
        self.s3 = self.client("s3", settings.s3)
        self.logs = Logs(self.client("logs"))
        # Jobs run in the order of their creation, as many at a time as there are cores.
        self.jobs = ThreadPoolExecutor(settings.cores, thread_name_prefix="job")
        self.running: dict[tuple[str, str], Any] = {}  # by kind and name
        self.described: set[tuple[str, str]] = set()  # records whose first Describe was answered
        self.metric_scrapers: dict[str, MetricScraper] = {}  # by training job
        self.endpoints = Endpoints(self)

    def client(self, service: str, other: S3Endpoint | None = None) -> Any:
        """Return a boto3 client for this service or another endpoint, whatever the environment."""
        endpoint = other or S3Endpoint(self.url)
        return boto3.client(
            service,
            endpoint_url=endpoint.url,
            region_name=REGION,
            aws_access_key_id=endpoint.key_id,
            aws_secret_access_key=endpoint.secret,
            config=Config(
                connect_timeout=_CONNECT_SECONDS,
                proxies={"http": "", "https": ""},
                s3={"addressing_style": "path"},
                max_pool_connections=50,
                user_agent_extra=self._agent,
                retries={"mode": "standard", "max_attempts": 2},
            ),
        )

    def aws_environment(self) -> dict[str, str]:
        """Return variables with which AWS's SDKs in a task use this service, and no account.

        They are empty if a task cannot connect to the service.
        """
        if not self.runner.reaches_service:
            return {}
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": REGION,
            **dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull),
        }

    def stop(self, reason: str, deliver: bool = True) -> None:
        """Stop all jobs, which fail with the reason, and all endpoints; return when they ended.

        Args:
            reason: the FailureReason of the jobs.
            deliver: write the last metrics and captured data of the endpoints.
        """
        for job in list(self.running.values()):
            with contextlib.suppress(sqlite3.OperationalError):  # the next start marks it failed
                job.abandon(reason)
        self.jobs.shutdown(wait=False, cancel_futures=True)
        self.endpoints.stop(deliver)
        self.jobs.shutdown(wait=True)

    def folder(self, kind: str, name: str) -> Path:
        """Return the folder of a job's logs."""
        return self.settings.state / kind / name

    def log_files(self, kind: str, name: str) -> dict[str, Path]:
        """Return the file of each log stream of a job."""
        folder = self.folder(kind, name)
        return {f"{name}/{file.stem}": file for file in sorted(folder.glob("*.log"))}

    def work(self, name: str) -> Path:
        """Return the working folder of a job or a server, which is removed when that ends."""
        return self.settings.state / "work" / name

    def move_folders(self) -> Path:
        """Move the folders of all jobs and endpoints into a new working folder, and return it."""
        target = self.work(f"reset-{uuid.uuid4().hex[:12]}")
        with contextlib.suppress(OSError):  # of a disk that fails: no record names them any more
            target.mkdir(parents=True)
        for kind in _FOLDERS:
            with contextlib.suppress(OSError):
                (self.settings.state / kind).rename(target / kind)
        return target

    def clear_work(self) -> None:
        """Remove all working folders; nothing may run."""
        for folder in self.work("").glob("*"):
            self.runner.remove(folder)


def arn(kind: str, name: str, region: str) -> str:
    """Return the ARN of a SageMaker resource."""
    return f"arn:aws:sagemaker:{region}:{ACCOUNT}:{kind}/{name}"
