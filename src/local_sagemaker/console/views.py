"""Jobs as the console displays them: plain values for JSON."""

import shlex
from collections.abc import Mapping
from typing import Any

from local_sagemaker import builtin
from local_sagemaker.context import Context
from local_sagemaker.jobs import processing
from local_sagemaker.jobs.training import KIND as TRAINING
from local_sagemaker.jobs.training_metrics import log_files
from local_sagemaker.jobs.transform import KIND as TRANSFORM
from local_sagemaker.storage.logs import read_on
from local_sagemaker.storage.records import Record

KINDS = {
    "jobs": (TRAINING, "TrainingJob"),
    "processing": (processing.KIND, "ProcessingJob"),
    "transform": (TRANSFORM, "TransformJob"),
}
_TAIL = 20_000  # bytes at the end of a log that are searched for the progress


def job_row(context: Context, page: str, record: Record) -> dict[str, Any]:
    """Return a row of the list of jobs."""
    title = KINDS[page][1]
    begin = title.removesuffix("Job")
    running = record[f"{title}Status"] in ("InProgress", "Stopping")
    return {
        "name": record[f"{title}Name"],
        "status": record[f"{title}Status"],
        "secondary": record.get("SecondaryStatus"),
        "created": seconds(record["CreationTime"]),
        "started": seconds(record.get(f"{begin}StartTime")),
        "ended": seconds(record.get(f"{begin}EndTime")),
        "reason": record.get("FailureReason"),
        "progress": _progress(context, record) if running and page == "jobs" else None,
    }


def job(context: Context, page: str, record: Record) -> dict[str, Any]:
    """Return the content of a job's page, without the log and metrics by epoch."""
    metrics = record.get("FinalMetricDataList") or ()
    return {
        **job_row(context, page, record),
        "metrics": {metric["MetricName"]: metric["Value"] for metric in metrics},
        **_CONTENTS[page](record),
    }


def log(context: Context, page: str, name: str, offsets: Mapping[str, int]) -> dict[str, Any]:
    """Return the lines of a job's log from an offset of each stream on, and the next offsets.

    With several hosts, the lines are in the order of their times, and each starts with its host.
    """
    files = sorted(context.folder(KINDS[page][0], name).glob("*.log"))
    entries, ends = [], {}
    for file in files:
        ends[file.stem], lines = read_on(file, max(0, offsets.get(file.stem, 0)))
        host = f"{file.stem.rpartition('-')[0]}  " if len(files) > 1 else ""
        entries += [(at, host + line) for at, line in lines]
    entries.sort(key=lambda entry: entry[0])
    return {"lines": [line for _, line in entries], "offsets": ends}


def seconds(value: Any) -> float | None:
    """Return a time as seconds since 1970."""
    return None if value is None else float(value.timestamp())


def _training(record: Record) -> dict[str, Any]:
    uri = (record.get("ModelArtifacts") or {}).get("S3ModelArtifacts")
    return {
        "settings": record.get("HyperParameters") or {},
        "inputs": {
            channel["ChannelName"]: channel["DataSource"]["S3DataSource"]["S3Uri"]
            for channel in record.get("InputDataConfig") or ()
        },
        "outputs": {"model": uri} if uri else {},
    }


def _processing(record: Record) -> dict[str, Any]:
    specification, environment = record["AppSpecification"], record.get("Environment") or {}
    return {
        "settings": {
            "Image": specification["ImageUri"],
            "Entry point": shlex.join(specification.get("ContainerEntrypoint") or ()),
            "Arguments": shlex.join(specification.get("ContainerArguments") or ()),
            "Environment": shlex.join(f"{key}={value}" for key, value in environment.items()),
            "Exit message": record.get("ExitMessage"),
        },
        "inputs": {name: one["S3Uri"] for name, one in processing.inputs(record).items()},
        "outputs": {name: one["S3Uri"] for name, one in processing.outputs(record).items()},
    }


def _transform(record: Record) -> dict[str, Any]:
    names = ("ModelName", "BatchStrategy", "MaxPayloadInMB", "MaxConcurrentTransforms")
    return {
        "settings": {name: record[name] for name in names if name in record},
        "inputs": {"input": record["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]},
        "outputs": {"output": record["TransformOutput"]["S3OutputPath"]},
    }


_CONTENTS = {"jobs": _training, "processing": _processing, "transform": _transform}


def _progress(context: Context, record: Record) -> float | None:
    if not builtin.is_ours(record["AlgorithmSpecification"]["TrainingImage"]):
        return None
    for file in log_files(context, record["TrainingJobName"]).values():
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - _TAIL))
            text = stream.read().decode(errors="replace")
        return builtin.progress(text.splitlines())
    return None
