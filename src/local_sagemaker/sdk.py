"""The session that the SageMaker SDK (v2) works with on this machine.

Runs in the SDK's own environment, so it needs boto3 and nothing of this project's. With the
backend `docker` the session is the SDK's local mode as it is. With `process` the same session
gets two clients of ours, shaped like boto3's, that run `train` and `serve` without Docker.
"""

import functools
import os
import shlex
from typing import Any

import boto3

from local_sagemaker.backends.child_process import free_port
from local_sagemaker.clients import RuntimeClient, SageMakerClient
from local_sagemaker.errors import LocalError

TRAIN_VARIABLE, SERVE_VARIABLE = "LOCAL_SAGEMAKER_TRAIN", "LOCAL_SAGEMAKER_SERVE"
ROOT_VARIABLE = "LOCAL_SAGEMAKER_ROOT"


def session(backend: str) -> Any:
    """Return a LocalSession for the backend, docker or process.

    The environment says the rest: LOCAL_SAGEMAKER_ROOT is where local mode puts its folders,
    LOCAL_SAGEMAKER_TRAIN and LOCAL_SAGEMAKER_SERVE are the commands of the process backend.
    """
    from sagemaker.local import LocalSession

    local: Any = LocalSession()
    # The endpoint is in service when the call that creates it returns; the SDK sleeps 30 s first.
    local.wait_for_endpoint = functools.partial(local.wait_for_endpoint, poll=0)
    if backend == "docker":
        # 8080, the SDK's choice, may be taken.
        config: dict[str, Any] = {"serving_port": free_port()}
        if root := os.environ.get(ROOT_VARIABLE):
            config["container_root"] = root
        local.config = {"local": config}
        _let_the_script_end()
        return local
    if backend != "process":
        raise LocalError(f"The backend must be docker or process; got {backend!r}.")

    from sagemaker.session import _check_job_status

    client = SageMakerClient(boto3.client("s3"), _command(TRAIN_VARIABLE), _command(SERVE_VARIABLE))
    local.sagemaker_client = client
    local.sagemaker_runtime_client = RuntimeClient(client)

    def logs_for_job(job_name: str, **_: Any) -> None:
        # The job has ended and its log is out; what is left is what the SDK makes of a failure.
        description = client.describe_training_job(TrainingJobName=job_name)
        _check_job_status(job_name, description, "TrainingJobStatus")

    local.logs_for_job = logs_for_job
    return local


def _let_the_script_end() -> None:
    """Make the SDK's thread around a serving container end with the script, and not outlive it."""
    from sagemaker.local.image import _HostingContainer

    start = _HostingContainer.start

    def start_as_daemon(thread: Any) -> None:
        thread.daemon = True
        start(thread)

    _HostingContainer.start = start_as_daemon


def _command(variable: str) -> list[str]:
    command = shlex.split(os.environ.get(variable, ""))
    if not command:
        raise LocalError(f"{variable} must hold the command to run; it is not set.")
    return command
