"""One training job, from its channels in S3 to its model there."""

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_sagemaker.backends.base import Running, Task
from local_sagemaker.context import Context
from local_sagemaker.jobs.base import Queued
from local_sagemaker.jobs.layout import failure_reason, lay_out
from local_sagemaker.storage import channels, metrics, objects
from local_sagemaker.storage.pipes import Feeder
from local_sagemaker.storage.records import Record, now
from sagemaker_container.contract.paths import OptMl

KIND = "training-job"
GROUP = "/aws/sagemaker/TrainingJobs"
MESSAGES = {
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


def moved(record: Record, secondary: str, message: str | None = None) -> dict[str, Any]:
    """Return the changes that take a record to its next secondary status."""
    at = now()
    transitions = [dict(one) for one in record.get("SecondaryStatusTransitions", ())]
    if transitions and "EndTime" not in transitions[-1]:
        transitions[-1]["EndTime"] = at
    text = message or MESSAGES[secondary]
    entry = {"Status": secondary, "StartTime": at, "StatusMessage": text}
    if secondary in ("Completed", "Failed", "Stopped", "MaxRuntimeExceeded"):
        entry["EndTime"] = at
    return {"SecondaryStatus": secondary, "SecondaryStatusTransitions": [*transitions, entry]}


def log_files(context: Context, name: str) -> dict[str, Path]:
    """Return the log streams of a job, each with its file."""
    folder = context.folder(KIND, name)
    return {f"{name}/{file.stem}": file for file in sorted(folder.glob("*.log"))}


def found_metrics(context: Context, record: Mapping[str, Any]) -> dict[str, list[metrics.Point]]:
    """Return the values of the job's metrics so far, from its log."""
    name = record["TrainingJobName"]
    follower = context.followers.get(name)
    if follower is None:
        definitions = record["AlgorithmSpecification"].get("MetricDefinitions") or []
        follower = context.followers.setdefault(name, metrics.Follower(definitions))
    return follower.update(log_files(context, name).values())


class TrainingRun(Queued):
    """The job's thread."""

    kind = KIND

    def __init__(self, context: Context, name: str):
        """Take the name of a job whose record is there."""
        super().__init__(context, name)
        self._feeders: list[Feeder] = []

    def work(self) -> None:
        """Run the job, from its channels to its model."""
        context, name = self.context, self.name
        record = self.record()
        self._move("Downloading", TrainingStartTime=now())
        hosts = self._lay_out(record)
        self._move("Training")
        try:
            codes, why = self._train(record, hosts)
        finally:
            for feeder in self._feeders:
                feeder.stop()
        base = context.work(name)
        jobs = [OptMl(base / host) for host in hosts]
        failed = [(job, code) for job, code in zip(jobs, codes, strict=True) if code != 0]
        if self.abandoned:
            self.fail(self.abandoned)
            return
        target = record["OutputDataConfig"]["S3OutputPath"].rstrip("/") + f"/{name}/output"
        if why is None and not failed:
            self._move("Uploading")
        data = [job.output_data for job in jobs if any(job.output_data.iterdir())]
        if data:
            objects.upload_folders(context.s3, data, f"{target}/output.tar.gz")
        if checkpoints := record.get("CheckpointConfig", {}).get("S3Uri"):
            objects.upload_files(context.s3, base / hosts[0] / "checkpoints", checkpoints)
        if failed and why is None:
            job, code = next((one for one in failed if one[0].failure.is_file()), failed[0])
            self.fail(failure_reason(job, code))
            return
        models = [job.model for job in jobs if any(job.model.iterdir())]
        done: dict[str, Any] = {}
        if models or why is None:
            address = objects.upload_folders(context.s3, models, f"{target}/model.tar.gz")
            done["ModelArtifacts"] = {"S3ModelArtifacts": address}
        self.end(why or "Completed", **done)

    def _lay_out(self, record: Record) -> list[str]:
        """Make each host's /opt/ml and return the hosts' names."""
        context = self.context
        count = record["ResourceConfig"].get("InstanceCount") or 1
        hosts = [f"algo-{index + 1}" for index in range(count)]
        mode = record["AlgorithmSpecification"]["TrainingInputMode"]
        given = {one["ChannelName"]: one for one in record.get("InputDataConfig", ())}
        configs = {key: channels.config(one, mode) for key, one in given.items()}
        for index, host in enumerate(hosts):
            base = context.work(self.name) / host
            job = lay_out(base, record.get("HyperParameters", {}), configs, host, hosts)
            for key, one in given.items():
                if configs[key]["TrainingInputMode"] == "Pipe":
                    job.channel(key).rmdir()
                    folder = job.channel(key).parent
                    self._feeders.append(Feeder(context.s3, one, folder, index, count))
                else:
                    channels.fetch(context.s3, one, job.channel(key), index, count)
            checkpoints = record.get("CheckpointConfig", {}).get("S3Uri")
            if checkpoints:
                (base / "checkpoints").mkdir()
                bucket, prefix = objects.split_uri(checkpoints)
                if objects.keys(context.s3, bucket, prefix):
                    objects.download_prefix(context.s3, checkpoints, base / "checkpoints")
        return hosts

    def _train(self, record: Record, hosts: list[str]) -> tuple[list[int], str | None]:
        """Run all hosts; return their exit codes, and Stopped or MaxRuntimeExceeded if so ended."""
        context, name, runner = self.context, self.name, self.context.runner
        specification = record["AlgorithmSpecification"]
        env = {
            "TRAINING_JOB_NAME": name,
            "TRAINING_JOB_ARN": record["TrainingJobArn"],
            "AWS_REGION": record["TrainingJobArn"].split(":")[3],
            **(record.get("Environment") or {}),
        }
        epoch = int(time.time())
        network = f"local-sagemaker-{name}" if len(hosts) > 1 else None
        running: list[Running] = []
        streams = []
        try:
            made = runner.network(network) if network else None
            for host in hosts:
                file = context.folder(KIND, name) / f"{host}-{epoch}.log"
                stream = context.logs.stream(GROUP, f"{name}/{file.stem}", file)
                streams.append(stream)
                task = Task(
                    image=specification["TrainingImage"],
                    command="train",
                    base=context.work(name) / host,
                    env=env,
                    host=host,
                    network=made,
                    entrypoint=specification.get("ContainerEntrypoint") or (),
                    arguments=specification.get("ContainerArguments") or (),
                )
                running.append(runner.start(task, stream.write))
            limit = (record.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds", 86400)
            why = self._watch(running, time.monotonic() + limit)
            return [one.wait() for one in running], why
        finally:
            for one in running:
                one.stop(0.0)
            for stream in streams:
                stream.close()
            if network:
                runner.remove_network(network)

    def _watch(self, running: list[Running], deadline: float) -> str | None:
        while True:
            codes = [one.poll() for one in running]
            if all(code is not None for code in codes):
                return None
            why = None
            if self.stopping.wait(0.05):
                why = "Stopped"
            elif time.monotonic() > deadline:
                why = "MaxRuntimeExceeded"
            if why or any(codes):  # one host's failure is the job's
                if why == "Stopped":
                    self._move("Stopping", TrainingJobStatus="Stopping")
                grace = 5.0 if self.abandoned else None
                threads = [threading.Thread(target=one.stop, args=(grace,)) for one in running]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                return why

    def _move(self, secondary: str, **changes: Any) -> None:
        self.update(**moved(self.record(), secondary), **changes)

    def end(self, status: str, **changes: Any) -> None:
        """Note how it ended, with its times and its metrics."""
        context = self.context
        record = context.store.get(KIND, self.name)
        if record is None:
            return
        at = now()
        changes |= {"TrainingEndTime": at}
        if started := record.get("TrainingStartTime"):
            seconds = max(1, round((at - started).total_seconds()))
            changes |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
        found = found_metrics(context, record)
        if found:
            changes["FinalMetricDataList"] = metrics.final(found)
            publish(context, self.name, found)
        changes |= moved(record, status, changes.get("FailureReason"))
        status = "Stopped" if status == "MaxRuntimeExceeded" else status
        self.update(TrainingJobStatus=status, **changes)


def publish(context: Context, name: str, found: Mapping[str, list[metrics.Point]]) -> None:
    """Give CloudWatch a job's metrics."""
    points = list(metrics.data(found, name))
    for start in range(0, len(points), 500):
        context.metrics.put_metric_data(Namespace=GROUP, MetricData=points[start : start + 500])
