"""A training job: its channels from S3, its containers, and its model to S3."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from local_sagemaker.backends.base import Running, Task
from local_sagemaker.backends.layout import failure_reason, lay_out
from local_sagemaker.context import Context
from local_sagemaker.jobs.base import ENDED, Job
from local_sagemaker.jobs.training_metrics import (
    GROUP,
    KIND,
    log_files,
    publish,
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
_ABANDONED_GRACE = 5.0  # seconds for a container to end when the service stops


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


class TrainingJob(Job):
    """Runs a training job."""

    kind = KIND

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
        try:
            containers, interruption = self._train(record, hosts)
        finally:
            for feeder in self._feeders:
                feeder.stop()
        if self.abandoned:
            self.fail(self.abandoned)
        else:
            bases = [self.work_folder / host for host in hosts]
            left_out: set[str] = set()
            try:
                self._finish(
                    record, dict(zip(bases, containers, strict=True)), interruption, left_out
                )
            finally:
                self._note([f"{text}: it is left out." for text in sorted(left_out)])

    def _finish(
        self,
        record: Record,
        containers: Mapping[Path, Running],
        interruption: str | None,
        left_out: set[str],
    ) -> None:
        """Upload the results and record the end.

        Args:
            record: the job's.
            containers: those of the hosts, which have ended, by their /opt/ml.
            interruption: Stopped or similar, or None.
            left_out: receives a text for each link and the like that the containers left.
        """
        s3 = self.context.s3
        failed = [(base, one.ending()) for base, one in containers.items() if one.poll() != 0]
        target = record["OutputDataConfig"]["S3OutputPath"].rstrip("/") + f"/{self.name}/output"
        if interruption is None and not failed:
            self._set_status("Uploading")
        outputs, models = (
            [
                folder
                for base in containers
                if not (folder := ContainerFolder(base, place, left_out)).is_empty()
            ]
            for place in ("output/data", "model")
        )
        if outputs:
            objects.upload_folders(s3, outputs, f"{target}/output.tar.gz")
        if checkpoints := record.get("CheckpointConfig", {}).get("S3Uri"):
            folder = ContainerFolder(next(iter(containers)), "checkpoints", left_out)
            objects.upload_files(s3, folder, checkpoints)
        if failed and interruption is None:
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

    def _train(self, record: Record, hosts: list[str]) -> tuple[list[Running], str | None]:
        """Run all hosts until they end; return them, and Stopped or MaxRuntimeExceeded or None."""
        limit = (record.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds", 86400)
        with contextlib.ExitStack() as stack:
            network = None
            isolated = bool(record.get("EnableNetworkIsolation"))
            if len(hosts) > 1 or isolated:
                runner = self.context.runner
                if network := runner.network(isolated):
                    stack.callback(runner.remove_network, network)
            epoch = int(time.time())
            running = [
                stack.enter_context(self._container(record, host, network, epoch)) for host in hosts
            ]
            interruption = self._watch(running, time.monotonic() + limit)
            for container in running:
                container.wait()
            return running, interruption

    @contextlib.contextmanager
    def _container(
        self, record: Record, host: str, network: str | None, epoch: int
    ) -> Iterator[Running]:
        """Run one host's container, whose log stream is closed at the end."""
        context, name = self.context, self.name
        specification = record["AlgorithmSpecification"]
        file = context.folder(KIND, name) / f"{host}-{epoch}.log"
        stream = context.logs.stream(GROUP, f"{name}/{file.stem}", file)
        task = Task(
            image=specification["TrainingImage"],
            command="train",
            base=self.work_folder / host,
            env={
                "TRAINING_JOB_NAME": name,
                "TRAINING_JOB_ARN": record["TrainingJobArn"],
                "AWS_REGION": record["TrainingJobArn"].split(":")[3],
                **(record.get("Environment") or {}),
            },
            host=host,
            network=network,
            entrypoint=specification.get("ContainerEntrypoint") or (),
            arguments=specification.get("ContainerArguments") or (),
        )
        try:
            container = context.runner.start(task, stream.write)
            try:
                yield container
            finally:
                container.stop(0.0)
        finally:
            stream.close()

    def _watch(self, running: list[Running], deadline: float) -> str | None:
        """Wait for the containers; stop all of them at a failure, a request or the deadline."""
        while True:
            codes = [container.poll() for container in running]
            if all(code is not None for code in codes):
                return None
            interruption = None
            if self.stopping.wait(0.01):
                interruption = "Stopped"
            elif time.monotonic() > deadline:
                interruption = "MaxRuntimeExceeded"
            if interruption or any(codes):  # the failure of one host fails the job
                if interruption == "Stopped":
                    self._set_status("Stopping", TrainingJobStatus="Stopping")
                _stop(running, _ABANDONED_GRACE if self.abandoned else None)
                return interruption

    def _note(self, lines: Sequence[str]) -> None:
        """Append the service's own lines to the log of the first host."""
        streams = log_files(self.context, self.name)
        if lines and streams:
            stream = self.context.logs.stream(GROUP, *min(streams.items()))
            for line in lines:
                stream.write(line)
            stream.close()

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
        self._note(
            [
                f"Metric {metric}: its regular expression takes too long; it was not used further."
                for metric in context.metric_scrapers[self.name].too_slow
            ]
        )
        if points:
            self.keep_trying(lambda: store_metrics(context, self.name, points))
            changes["FinalMetricDataList"] = metrics.final(points)
            publish(context, list(metrics.data(points, self.name)))
        changes |= next_status(record, status, changes.get("FailureReason"))
        status = "Stopped" if status == "MaxRuntimeExceeded" else status
        self.close(TrainingJobStatus=status, **changes)


def _stop(running: list[Running], grace: float | None) -> None:
    threads = [threading.Thread(target=each.stop, args=(grace,)) for each in running]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
