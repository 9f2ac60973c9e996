"""A training job: its channels from S3, its containers, and its model to S3."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from local_sagemaker.backends.base import Task
from local_sagemaker.backends.layout import failure_reason, lay_out
from local_sagemaker.context import Context
from local_sagemaker.jobs.base import ENDED
from local_sagemaker.jobs.containers import ContainerJob, Outcome
from local_sagemaker.jobs.training_metrics import (
    GROUP,
    KIND,
    scrape_metrics,
    store_metrics,
)
from local_sagemaker.storage import channels, metrics, objects
from local_sagemaker.storage.pipes import PipeFeeder
from local_sagemaker.storage.records import Record, now
from local_sagemaker.storage.untrusted import ContainerFolder

__all__ = ["ENDED", "KIND", "TrainingJob", "next_status"]

_MESSAGES = {
    "Starting": "Starting the training job",
    "Pending": "Waiting for a free core: other jobs run",
    "Downloading": "Downloading input data",
    "Training": "Training in-progress",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
}


def next_status(record: Record, secondary: str, message: str | None = None) -> dict[str, Any]:
    """Return the changes that take a record to its next secondary status."""
    at = now()
    transitions = [dict(entry) for entry in record.get("SecondaryStatusTransitions", ())]
    if transitions and "EndTime" not in transitions[-1]:
        transitions[-1]["EndTime"] = at
    text = message or _MESSAGES[secondary]
    entry = {"Status": secondary, "StartTime": at, "StatusMessage": text}
    if secondary in (*ENDED, "MaxRuntimeExceeded"):
        entry["EndTime"] = at
    return {"SecondaryStatus": secondary, "SecondaryStatusTransitions": [*transitions, entry]}


class TrainingJob(ContainerJob):
    """Runs a training job."""

    kind, group = KIND, GROUP

    def __init__(self, context: Context, name: str):
        """Take the name of a job whose record exists."""
        super().__init__(context, name)
        self._feeders: list[PipeFeeder] = []

    def work(self) -> None:
        """Run the job, from its channels to its model."""
        record = self.record()
        self._set_status("Downloading", TrainingStartTime=now())
        count = record["ResourceConfig"].get("InstanceCount") or 1
        hosts = [f"algo-{index + 1}" for index in range(count)]
        self._lay_out(record, hosts)
        self._set_status("Training")
        limit = (record.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds", 86400)
        tasks = [self._task(record, host) for host in hosts]
        try:
            isolated = bool(record.get("EnableNetworkIsolation"))
            outcome = self.run_containers(tasks, isolated, limit)
        finally:
            for feeder in self._feeders:
                feeder.stop()
        if self.abandoned:
            self.fail(self.abandoned)
        else:
            with self.noting_left_out() as left_out:
                self._finish(record, [task.base for task in tasks], outcome, left_out)

    def _finish(
        self, record: Record, bases: Sequence[Path], outcome: Outcome, left_out: set[str]
    ) -> None:
        """Upload the results and record the end.

        Args:
            record: the job's.
            bases: the /opt/ml of each host.
            outcome: how the containers ended.
            left_out: receives a text for each link and the like that the containers left.
        """
        s3, interruption, failed = self.context.s3, outcome.interruption, outcome.failed
        target = record["OutputDataConfig"]["S3OutputPath"].rstrip("/") + f"/{self.name}/output"
        if interruption is None and not failed:
            self._set_status("Uploading")
        outputs, models = (
            [
                folder
                for base in bases
                if not (folder := ContainerFolder(base, place, left_out)).is_empty()
            ]
            for place in ("output/data", "model")
        )
        if outputs:
            objects.upload_folders(s3, outputs, f"{target}/output.tar.gz")
        if checkpoints := record.get("CheckpointConfig", {}).get("S3Uri"):
            folder = ContainerFolder(bases[0], "checkpoints", left_out)
            objects.upload_files(s3, folder, checkpoints)
        if failed:
            self.fail(failure_reason(failed))
            return
        changes: dict[str, Any] = {}
        if models or interruption is None:
            if record["OutputDataConfig"].get("CompressionType") == "NONE":
                uri = f"{target}/model/"
                for folder in models:
                    objects.upload_files(s3, folder, uri)
            else:
                uri = objects.upload_folders(s3, models, f"{target}/model.tar.gz")
            changes["ModelArtifacts"] = {"S3ModelArtifacts": uri}
        self.end(interruption or "Completed", **changes)

    def _lay_out(self, record: Record, hosts: list[str]) -> None:
        """Write each host's /opt/ml, with its channels and checkpoints."""
        s3 = self.context.s3
        mode = record["AlgorithmSpecification"]["TrainingInputMode"]
        inputs = {entry["ChannelName"]: entry for entry in record.get("InputDataConfig", ())}
        configs = {name: channels.config(entry, mode) for name, entry in inputs.items()}
        checkpoints = record.get("CheckpointConfig", {}).get("S3Uri")
        for index, host in enumerate(hosts):
            base = self.work_folder / host
            job = lay_out(base, record.get("HyperParameters", {}), configs, host, hosts)
            for name, entry in inputs.items():
                share = channels.Share(index, len(hosts))
                if configs[name]["TrainingInputMode"] == "Pipe":
                    job.channel(name).rmdir()
                    self._feeders.append(PipeFeeder(s3, entry, job.channel(name).parent, share))
                else:
                    channels.fetch(s3, entry, job.channel(name), share)
            if checkpoints:
                (base / "checkpoints").mkdir()
                if objects.keys(s3, *objects.split_uri(checkpoints)):
                    objects.download_prefix(s3, checkpoints, base / "checkpoints")

    def _task(self, record: Record, host: str) -> Task:
        specification = record["AlgorithmSpecification"]
        return Task(
            image=specification["TrainingImage"],
            command="train",
            base=self.work_folder / host,
            env={
                "TRAINING_JOB_NAME": self.name,
                "TRAINING_JOB_ARN": record["TrainingJobArn"],
                "AWS_REGION": record["TrainingJobArn"].split(":")[3],
                **(record.get("Environment") or {}),
            },
            host=host,
            entrypoint=specification.get("ContainerEntrypoint") or (),
            arguments=specification.get("ContainerArguments") or (),
        )

    def set_stopping(self) -> None:
        """Record that the containers are being stopped."""
        self._set_status("Stopping", TrainingJobStatus="Stopping")

    def _set_status(self, secondary: str, **changes: Any) -> None:
        self.update(**next_status(self.record(), secondary), **changes)

    def end(self, status: str, **changes: Any) -> None:
        """Record the final status, the times and the metrics."""
        context = self.context
        record = context.store.get(KIND, self.name)
        if record is None:
            return
        at = now()
        changes |= {"TrainingEndTime": at}
        if started := record.get("TrainingStartTime"):
            seconds = max(1, round((at - started).total_seconds()))
            changes |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
        points = scrape_metrics(context, record)
        self.note(
            [
                f"Metric {metric}: its regular expression takes too long; it was not used further."
                for metric in context.metric_scrapers[self.name].too_slow
            ]
        )
        if points:
            self.keep_trying(lambda: store_metrics(context, self.name, points))
            changes["FinalMetricDataList"] = metrics.final(points)
            metrics.publish(GROUP, metrics.data(points, self.name))
        changes |= next_status(record, status, changes.get("FailureReason"))
        status = "Stopped" if status == "MaxRuntimeExceeded" else status
        self.close(TrainingJobStatus=status, **changes)
