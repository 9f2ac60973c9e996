"""Runs `train` and `serve` for requests in SageMaker's own shapes: S3, folder, process, S3."""

import http.client
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_sagemaker.backends.child_process import Child, free_port, wait_for_ping
from local_sagemaker.errors import LocalError
from local_sagemaker.jobs.layout import failure_reason, lay_out
from local_sagemaker.storage import objects

INVOCATION_SECONDS = 60.0  # the service's own limit


@dataclass(frozen=True)
class Outcome:
    """How a training job ended: its model's address, or else the reason why there is none."""

    model: str | None
    reason: str | None


def run_training(
    request: Mapping[str, Any],
    s3: Any,
    command: Sequence[str],
    sink: Callable[[str], Any],
) -> Outcome:
    """Run one training job on one host, to its end.

    Args:
        request: the arguments of boto3's create_training_job.
        s3: a boto3 S3 client.
        command: what runs the container's `train`.
        sink: takes the job's output, line by line.

    Raises: LocalError if the request asks for what is not offered here.
    """
    name = request["TrainingJobName"]
    channels = {channel["ChannelName"]: channel for channel in request.get("InputDataConfig", ())}
    target = request["OutputDataConfig"]["S3OutputPath"].rstrip("/") + f"/{name}/output"
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as base:
        job = lay_out(
            Path(base),
            request.get("HyperParameters", {}),
            {key: _channel_config(channel, request) for key, channel in channels.items()},
        )
        for key, channel in channels.items():
            objects.download_prefix(s3, _prefix(channel), job.channel(key))
        env = _environment(request, base) | {"TRAINING_JOB_NAME": name}
        with Child(command, env, sink) as child:
            code = child.wait()
        if any(job.output_data.iterdir()):
            objects.upload_folder(s3, job.output_data, f"{target}/output.tar.gz")
        if code != 0:
            return Outcome(None, failure_reason(job, code))
        return Outcome(objects.upload_folder(s3, job.model, f"{target}/model.tar.gz"), None)


class Endpoint:
    """A `serve` process with one model behind it, on a free port of 127.0.0.1."""

    def __init__(
        self,
        container: Mapping[str, Any],
        s3: Any,
        command: Sequence[str],
        sink: Callable[[str], Any],
    ):
        """Start it and return once /ping answers.

        Args:
            container: PrimaryContainer of boto3's create_model.
            s3: a boto3 S3 client.
            command: what runs the container's `serve`.
            sink: takes the output, line by line.

        Raises: LocalError if it does not come up.
        """
        self._base = tempfile.mkdtemp(prefix="endpoint-")
        self.port = free_port()
        self._child: Child | None = None
        try:
            model = lay_out(Path(self._base), {}, {}).model
            objects.unpack(s3, container["ModelDataUrl"], model)
            env = _environment(container, self._base) | {"SAGEMAKER_BIND_TO_PORT": str(self.port)}
            self._child = Child(command, env, sink)
            wait_for_ping(self._child, self.port)
        except BaseException:
            self.stop()
            raise

    def invoke(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, str, bytes]:
        """POST to /invocations; return status, content type and body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=INVOCATION_SECONDS)
        try:
            connection.request("POST", "/invocations", body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.getheader("Content-Type", ""), answer.read()
        finally:
            connection.close()

    def stop(self) -> None:
        """End the process and remove its folder."""
        if self._child is not None:
            self._child.stop()
        shutil.rmtree(self._base, ignore_errors=True)


def _environment(request: Mapping[str, Any], base: str) -> dict[str, str]:
    # PYTHONPATH is that of the SDK's environment, not of the one that train and serve belong to.
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    extra = {"PYTHONUNBUFFERED": "1", "SAGEMAKER_BASE_DIR": base}
    return inherited | extra | dict(request.get("Environment") or {})


def _channel_config(channel: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, str]:
    mode = channel.get("InputMode") or request["AlgorithmSpecification"]["TrainingInputMode"]
    if mode not in ("File", "FastFile"):
        raise LocalError(
            f"Channel {channel['ChannelName']!r}: InputMode must be File or FastFile; got {mode}."
        )
    source = channel["DataSource"]["S3DataSource"]
    config = {
        "TrainingInputMode": mode,
        "ContentType": channel.get("ContentType"),
        "S3DistributionType": source.get("S3DataDistributionType"),
        "RecordWrapperType": channel.get("RecordWrapperType"),
        "CompressionType": channel.get("CompressionType"),
    }
    return {key: value for key, value in config.items() if value}


def _prefix(channel: Mapping[str, Any]) -> str:
    source = channel["DataSource"]["S3DataSource"]
    kind = source.get("S3DataType", "S3Prefix")
    if kind != "S3Prefix":
        raise LocalError(
            f"Channel {channel['ChannelName']!r}: S3DataType must be S3Prefix; got {kind}."
        )
    return str(source["S3Uri"])
