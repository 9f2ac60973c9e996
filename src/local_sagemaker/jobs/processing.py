"""A processing job: its inputs from S3, its containers, and its outputs to S3."""

import codecs
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from local_sagemaker.backends.base import Task, in_container
from local_sagemaker.errors import LocalError
from local_sagemaker.jobs.base import ENDED
from local_sagemaker.jobs.containers import ContainerJob, Outcome
from local_sagemaker.storage import channels, objects
from local_sagemaker.storage.records import Record, now
from local_sagemaker.storage.untrusted import ContainerFolder, WrongKind, start_of_file
from sagemaker_container.contract.paths import DEFAULT_BASE

__all__ = ["ENDED", "GROUP", "KIND", "ProcessingJob", "channel", "inputs", "outputs"]

KIND = "processing-job"
GROUP = "/aws/sagemaker/ProcessingJobs"
_MESSAGE_BYTES = 1024  # of output/message that the service shows
# The members of a job that processingjobconfig.json has.
_CONFIG = (
    *("ProcessingJobArn", "ProcessingJobName", "AppSpecification", "Environment"),
    *("ProcessingInputs", "ProcessingOutputConfig", "ProcessingResources", "NetworkConfig"),
    *("RoleArn", "StoppingCondition"),
)


def inputs(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the S3Input of each input of a job, by name."""
    return {each["InputName"]: each["S3Input"] for each in job.get("ProcessingInputs") or ()}


def outputs(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the S3Output of each output of a job, by name."""
    entries = (job.get("ProcessingOutputConfig") or {}).get("Outputs") or ()
    return {each["OutputName"]: each["S3Output"] for each in entries}


def channel(name: str, source: Mapping[str, Any]) -> dict[str, Any]:
    """Return an input in the form of a training job's channel."""
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


class ProcessingJob(ContainerJob):
    """Runs a processing job."""

    kind, group = KIND, GROUP

    def work(self) -> None:
        """Run the job, from its inputs to its outputs."""
        record = self.record()
        self.update(ProcessingStartTime=now())
        count = record["ProcessingResources"]["ClusterConfig"]["InstanceCount"]
        hosts = [f"algo-{index + 1}" for index in range(count)]
        for index in range(count):
            self._lay_out(record, hosts, index)
        tasks = [self._task(record, host) for host in hosts]
        isolated = (record.get("NetworkConfig") or {}).get("EnableNetworkIsolation", False)
        limit = record["StoppingCondition"]["MaxRuntimeInSeconds"]
        outcome = self.run_containers(tasks, isolated, limit)
        if self.abandoned:
            self.fail(self.abandoned)
            return
        if outcome.interruption == "MaxRuntimeExceeded":
            self.note([f"The job was stopped after {limit} s, its MaxRuntimeInSeconds."])
        with self.noting_left_out() as left_out:
            self._finish(record, [task.base for task in tasks], outcome, left_out)

    def _lay_out(self, record: Record, hosts: Sequence[str], index: int) -> None:
        """Write a host's /opt/ml, with its inputs and empty folders for the outputs."""
        base = self.work_folder / hosts[index]
        for name in ("config", "output"):
            (base / name).mkdir(parents=True)
        config = {name: record.get(name) for name in _CONFIG if name in record}
        (base / "config" / "processingjobconfig.json").write_text(json.dumps(config))
        resources = {"current_host": hosts[index], "hosts": list(hosts)}
        (base / "config" / "resourceconfig.json").write_text(json.dumps(resources))
        share = channels.Share(index, len(hosts))
        for name, source in inputs(record).items():
            folder = _create_folder(base, source["LocalPath"])
            channels.fetch(self.context.s3, channel(name, source), folder, share)
        for output in outputs(record).values():
            _create_folder(base, output["LocalPath"])

    def _task(self, record: Record, host: str) -> Task:
        specification = record["AppSpecification"]
        region = record["ProcessingJobArn"].split(":")[3]
        return Task(
            image=specification["ImageUri"],
            command="",
            base=self.work_folder / host,
            env={
                **dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), region),
                **(record.get("Environment") or {}),
            },
            host=host,
            entrypoint=specification.get("ContainerEntrypoint") or (),
            arguments=specification.get("ContainerArguments") or (),
        )

    def _finish(
        self, record: Record, bases: Sequence[Path], outcome: Outcome, left_out: set[str]
    ) -> None:
        """Upload the outputs and record the end.

        A job that failed or was stopped leaves the outputs with the upload mode Continuous: they
        would have been uploaded while it ran.
        """
        changes: dict[str, Any] = {}
        reason = None
        try:
            if message := _exit_message(bases, left_out):
                changes["ExitMessage"] = message
        except UnicodeError:
            reason = "ClientError: /opt/ml/output/message is not text in UTF-8."
        if outcome.failed:
            end = outcome.failed[0][1].replace("exit code", "exit code:", 1)
            reason = f"AlgorithmError: , {end}"
        is_complete = reason is None and outcome.interruption is None
        try:
            for output in outputs(record).values():
                if is_complete or output["S3UploadMode"] == "Continuous":
                    for base in bases:
                        folder = ContainerFolder(base, _place(output["LocalPath"]), left_out)
                        objects.upload_files(self.context.s3, folder, output["S3Uri"])
        except LocalError as error:
            reason = reason or str(error)
        if reason:
            self.end("Failed", FailureReason=reason[:1024], **changes)
        else:
            self.end("Stopped" if outcome.interruption else "Completed", **changes)

    def end(self, status: str, **changes: Any) -> None:
        """Record the final status."""
        self.close(ProcessingJobStatus=status, ProcessingEndTime=now(), **changes)

    def set_stopping(self) -> None:
        """Record that the containers are being stopped."""
        self.update(ProcessingJobStatus="Stopping")


def _place(local_path: str) -> str:
    """Return a LocalPath relative to /opt/ml."""
    return str(Path(local_path).relative_to(DEFAULT_BASE))


def _create_folder(base: Path, local_path: str) -> Path:
    folder = base / _place(local_path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise LocalError(
            f"ClientError: the LocalPath {local_path!r} is no folder: {error}"
        ) from error
    return folder


def _exit_message(bases: Sequence[Path], left_out: set[str]) -> str:
    """Return the start of what the containers wrote to output/message.

    Raises: UnicodeError if it is not UTF-8.
    """
    text = ""
    for base in bases:
        try:
            content = start_of_file(base, "output/message", _MESSAGE_BYTES) or b""
        except WrongKind as error:
            left_out.add(str(error))
            continue
        except OSError as error:
            left_out.add(f"/opt/ml/output/message cannot be read: {error.strerror}")
            continue
        decoder = codecs.getincrementaldecoder("utf-8")()  # the last character may be cut
        text += in_container(decoder.decode(content, len(content) < _MESSAGE_BYTES), base)
    return text[:_MESSAGE_BYTES]
