"""The trial components of jobs: each is a view of the job's record.

A record of the component exists beside the job's. It holds the trials, the tags and what callers
added or changed; everything else is read from the job.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local_sagemaker.api import experiments
from local_sagemaker.api.experiments import COMPONENT, EXPERIMENT, TRIAL
from local_sagemaker.context import Caller, Context
from local_sagemaker.errors import invalid
from local_sagemaker.hosting.endpoints import MODEL
from local_sagemaker.jobs import processing
from local_sagemaker.storage import lineage
from local_sagemaker.storage.records import Record


def check(context: Context, kind: str, request: Record, caller: Caller) -> None:
    """Check the ExperimentConfig of a request that creates a job.

    Raises: ServiceError if the experiment or the trial does not exist, or does not fit.
    """
    config, name = request.get("ExperimentConfig") or {}, request[f"{JOBS[kind].title}Name"]
    experiment = experiments.find_name(context, EXPERIMENT, config, caller)
    trial = experiments.find_name(context, TRIAL, config, caller)
    existing = experiments.lookup(context, TRIAL, trial or name)
    if existing and experiment not in (None, existing["ExperimentName"]):
        raise invalid(
            f"Trial {existing['TrialName']} belongs to Experiment {existing['ExperimentName']},"
            f" not {experiment}."
        )
    component = component_name(kind, request)
    if experiments.lookup(context, COMPONENT, component) and not context.store.get(kind, name):
        raise invalid(f"TrialComponent {component} already exists, which would be this job's.")


def create(context: Context, kind: str, job: Record, caller: Caller) -> None:
    """Create the trial component and the lineage of a new job, as its ExperimentConfig says.

    An experiment without a trial gets a new trial with the name of the job.
    """
    title = JOBS[kind].title
    config = job.get("ExperimentConfig") or {}
    experiment = experiments.find_name(context, EXPERIMENT, config, caller)
    trial = experiments.find_name(context, TRIAL, config, caller)
    if experiment and not trial:
        trial = job[f"{title}Name"]
        if experiments.lookup(context, TRIAL, trial) is None:
            new = {"TrialName": trial, "ExperimentName": experiment}
            experiments.create_trial(context, new, caller)
    name = component_name(kind, job)
    members = {
        "TrialComponentName": name,
        "DisplayName": config.get("TrialComponentDisplayName", name),
        "Source": {"SourceArn": job[f"{title}Arn"], "SourceType": f"SageMaker{title}"},
        "Job": [kind, job[f"{title}Name"]],
        "RunName": config.get("RunName"),
        "Trials": [trial] if trial else [],
    }
    experiments.create(context, COMPONENT, members, caller)
    lineage.record_job(context.store, kind, job)


def remove(context: Context, kind: str, job: Record) -> None:
    """Remove the trial component of a job that was deleted."""
    experiments.remove(context, COMPONENT, component_name(kind, job))


def component_name(kind: str, job: Record) -> str:
    """Return the name of a job's trial component."""
    return f"{job[f'{JOBS[kind].title}Name']}-aws-{kind}"


def job_of(context: Context, component: Record) -> Record | None:
    """Return the record of a component's job, or None if it has none."""
    return context.store.get(*component["Job"]) if "Job" in component else None


def members(context: Context, component: Record) -> Record:
    """Return the members of a component that its job determines."""
    job = job_of(context, component)
    if job is None:
        return {}
    kind = JOBS[component["Job"][0]]
    begin = kind.title.removesuffix("Job")
    status = job[f"{kind.title}Status"]
    details = [f"Status: {status}"]
    if "SecondaryStatus" in job:
        details.append(f"secondary status: {job['SecondaryStatus']}")
    details.append(f"failure reason: {job.get('FailureReason') or 'null'}")
    return {
        "Status": {"PrimaryStatus": status, "Message": ", ".join(details)[:1023] + "."},
        "StartTime": job.get(f"{begin}StartTime"),
        "EndTime": job.get(f"{begin}EndTime"),
        "LastModifiedTime": job["LastModifiedTime"],
        **kind.members(context, job),
    }


def _training(_: Context, job: Record) -> Record:
    artifacts = (job.get("ModelArtifacts") or {}).get("S3ModelArtifacts")
    return {
        "Parameters": _parameters(job.get("HyperParameters"), job["ResourceConfig"]),
        "InputArtifacts": {
            "SageMaker.ImageUri": _artifact(job["AlgorithmSpecification"]["TrainingImage"]),
            **{
                channel["ChannelName"]: _artifact(
                    channel["DataSource"]["S3DataSource"]["S3Uri"], channel.get("ContentType")
                )
                for channel in job.get("InputDataConfig") or ()
            },
        },
        "OutputArtifacts": {"SageMaker.ModelArtifact": _artifact(artifacts)} if artifacts else {},
    }


def _transform(context: Context, job: Record) -> Record:
    source, output = job["TransformInput"], job["TransformOutput"]
    resources = _parameters({}, job["TransformResources"])
    resources["SageMaker.ModelName"] = {"StringValue": job["ModelName"]}
    model = context.store.get(MODEL, job["ModelName"]) or {}
    container: Record = model.get("PrimaryContainer") or next(
        iter(model.get("Containers") or ()), {}
    )
    for member, title in (("ModelDataUrl", "DataUrl"), ("Image", "Image")):
        if member in container:
            resources[f"SageMaker.ModelPrimary.{title}"] = {"StringValue": container[member]}
    uri = source["DataSource"]["S3DataSource"]["S3Uri"]
    return {
        "Parameters": resources,
        "InputArtifacts": {"SageMaker.TransformInput": _artifact(uri, source.get("ContentType"))},
        "OutputArtifacts": {
            "SageMaker.TransformOutput": _artifact(output["S3OutputPath"], output.get("Accept"))
        },
    }


def _processing(_: Context, job: Record) -> Record:
    inputs, outputs = processing.inputs(job), processing.outputs(job)
    return {
        "Parameters": _parameters({}, job["ProcessingResources"]["ClusterConfig"]),
        "InputArtifacts": {
            "SageMaker.ImageUri": _artifact(job["AppSpecification"]["ImageUri"]),
            **{name: _artifact(source["S3Uri"]) for name, source in inputs.items()},
        },
        "OutputArtifacts": {name: _artifact(output["S3Uri"]) for name, output in outputs.items()},
    }


@dataclass(frozen=True)
class _Job:
    title: str  # what the members of a job's record begin with
    members: Callable[[Context, Record], Record]


JOBS = {  # by the kind of the job's record
    "training-job": _Job("TrainingJob", _training),
    "transform-job": _Job("TransformJob", _transform),
    "processing-job": _Job("ProcessingJob", _processing),
}


def _parameters(texts: Mapping[str, str] | None, resources: Mapping[str, Any]) -> Record:
    """Return parameters from a job's own values and from the resources that it uses."""
    values: dict[str, Any] = dict(texts or {})
    for member in ("InstanceType", "InstanceCount", "VolumeSizeInGB"):
        if member in resources:
            values[f"SageMaker.{member}"] = resources[member]
    return {name: _parameter(value) for name, value in values.items()}


def _parameter(value: Any) -> Record:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    return {"NumberValue": number} if math.isfinite(number) else {"StringValue": value}


def _artifact(uri: str, media_type: str | None = None) -> Record:
    return {"Value": uri, **({"MediaType": media_type} if media_type else {})}
