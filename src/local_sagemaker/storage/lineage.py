"""Lineage: entities, associations between them, and what the service records of its resources.

An artifact is identified by its source, so that two jobs with the same data have one artifact for
it. Entities that exist are used again; deleting a resource deletes none.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from local_sagemaker.storage.records import Record, Store, now

ARTIFACT, ACTION, CONTEXT, ASSOCIATION = "artifact", "action", "context", "association"
COMPONENT = "experiment-trial-component"
TITLES = {ARTIFACT: "Artifact", ACTION: "Action", CONTEXT: "Context"}
_Sources = list[tuple[str | None, str]]  # URIs, and the types of their artifacts


def add(store: Store, resource: str, members: Mapping[str, Any]) -> bool:
    """Add an artifact, an action or a context; return False if its ARN exists."""
    kind, name = split(resource)
    record: Record = {
        "CreatedBy": {},
        "LastModifiedBy": {},
        "Properties": {},
        **members,
        f"{TITLES[kind]}Arn": resource,
        "CreationTime": now(),
    }
    return store.add(kind, name, record)


def associate(store: Store, source: str, destination: str, kind: str | None) -> bool:
    """Add an association between two ARNs; return False if there is one."""
    record: Record = {
        "SourceArn": source,
        "DestinationArn": destination,
        "AssociationType": kind,
        "CreatedBy": {},
        "CreationTime": now(),
    }
    return store.add(ASSOCIATION, association_name(source, destination), record)


def associations(store: Store, resource: str) -> list[Record]:
    """Return the associations that an entity is an end of."""
    ends = ("SourceArn", "DestinationArn")
    records = store.all(ASSOCIATION)
    return [record for record in records if resource in [record[end] for end in ends]]


def disassociate(store: Store, resource: str) -> None:
    """Remove the associations of an entity that is being deleted."""
    for record in associations(store, resource):
        name = association_name(record["SourceArn"], record["DestinationArn"])
        store.remove(ASSOCIATION, name)


def entity(store: Store, resource: str) -> Record | None:
    """Return Name, Type and Record of the entity with an ARN, or None."""
    kind, name = split(resource)
    record = store.get(kind, name)
    if record is None or resource not in record.values():
        return None
    if title := TITLES.get(kind):
        shown = record.get(f"{title}Name"), record[f"{title}Type"]
    elif kind == COMPONENT:
        source = record.get("Source") or {}
        shown = name, source.get("SourceType", "SageMakerExperimentTrialComponent")
    else:
        shown = name, None
    return dict(zip(("Name", "Type", "Record"), (*shown, record), strict=True))


def artifact_name(source: Mapping[str, Any]) -> str:
    """Return the last part of the ARN of a source's artifact."""
    types = source.get("SourceTypes") or ()
    parts = [source["SourceUri"], *sorted(f"{t['SourceIdType']} {t['Value']}" for t in types)]
    return _digest(parts)


def association_name(source: str, destination: str) -> str:
    """Return the name of an association's record: its ends are too long for a file's name."""
    return _digest([source, destination])


def split(resource: str) -> tuple[str, str]:
    """Return kind and name of the record that an ARN names."""
    kind, _, name = resource.split(":", 5)[5].partition("/")
    return kind, name


def record_job(store: Store, kind: str, job: Record) -> None:
    """Record the image and the inputs of a job, and its outputs if it has ended with them.

    Does nothing if its trial component was deleted.
    """
    title = kind.title().replace("-", "")
    lineage = _Lineage(store, job[f"{title}Arn"])
    component = f"{lineage.prefix}:{COMPONENT}/{job[f'{title}Name']}-aws-{kind}"
    if entity(store, component) is None:
        return
    inputs, outputs = _JOBS[kind](job)
    for artifact in lineage.artifacts(inputs):
        associate(store, artifact, component, "ContributedTo")
    if job[f"{title}Status"] != "Completed":  # a job that was stopped may have a model
        outputs = [output for output in outputs if output[1] == "Model"]
    for artifact in lineage.artifacts(outputs):
        associate(store, component, artifact, "Produced")


def record_group(store: Store, group: Record) -> str:
    """Record a model package group as a context, and return its ARN."""
    name = f"{group['ModelPackageGroupName']}-aws-model-group"
    resource = group["ModelPackageGroupArn"]
    return _Lineage(store, resource).named(CONTEXT, name, "ModelGroup", resource)


def record_package(store: Store, package: Record, group: Record | None) -> None:
    """Record a model package: its containers, its group and its approval status."""
    resource = package["ModelPackageArn"]
    lineage = _Lineage(store, resource)
    (artifact,) = lineage.artifacts([(resource, "Model")])
    for container in (package.get("InferenceSpecification") or {}).get("Containers", ()):
        for part in lineage.container(container):
            associate(store, part, artifact, "ContributedTo")
    if group is not None:
        associate(store, artifact, record_group(store, group), "AssociatedWith")
        record_approval(store, package)


def record_approval(store: Store, package: Record) -> None:
    """Record the approval status of a version as an action."""
    resource, status = package["ModelPackageArn"], package["ModelApprovalStatus"]
    version = f"{package['ModelPackageGroupName']}-{package['ModelPackageVersion']}"
    name = f"{version}-{status}-{int(now().timestamp())}-aws-model-group"
    lineage = _Lineage(store, resource)
    action = lineage.named(ACTION, name, "Approval", resource, Status="Completed")
    for artifact in lineage.artifacts([(resource, "Model")]):
        associate(store, action, artifact, "ContributedTo")


def record_deployment(store: Store, endpoint: Record, models: Sequence[Record]) -> None:
    """Record that an endpoint serves models: its context, and an action for the deployment."""
    name, resource = endpoint["EndpointName"], endpoint["EndpointArn"]
    lineage = _Lineage(store, resource)
    context = lineage.named(CONTEXT, f"{name}-aws-endpoint", "Endpoint", resource)
    title = f"{name}-{int(now().timestamp())}-aws-endpoint"
    action = lineage.named(ACTION, title, "ModelDeployment", resource, Status="Completed")
    associate(store, action, context, "AssociatedWith")
    for model in models:
        for container in model.get("Containers") or [model["PrimaryContainer"]]:
            for artifact in lineage.container(container):
                associate(store, artifact, action, "ContributedTo")


class _Lineage:
    """Adds the entities of a resource, in the resource's region."""

    def __init__(self, store: Store, resource: str):
        self._store, self.prefix = store, resource.rpartition(":")[0]

    def artifacts(self, sources: _Sources) -> Iterator[str]:
        """Yield the ARNs of the artifacts of sources, without those that are None."""
        for uri, kind in sources:
            if uri:
                source = {"SourceUri": uri}
                resource = f"{self.prefix}:{ARTIFACT}/{artifact_name(source)}"
                add(self._store, resource, {"Source": source, "ArtifactType": kind})
                yield resource

    def container(self, container: Mapping[str, Any]) -> Iterator[str]:
        """Yield the ARNs of the artifacts of a container: image, model and model package."""
        data = container.get("ModelDataSource") or {}
        package = container.get("ModelPackageName")
        if package and not package.startswith("arn:"):
            package = f"{self.prefix}:model-package/{package}"
        return self.artifacts(
            [
                (container.get("Image"), "Image"),
                (container.get("ModelDataUrl"), "Model"),
                (data.get("S3DataSource", {}).get("S3Uri"), "Model"),
                (package, "Model"),
            ]
        )

    def named(self, kind: str, name: str, entity_type: str, uri: str, **members: Any) -> str:
        """Return the ARN of an action or a context, which is added if it does not exist."""
        resource, title = f"{self.prefix}:{kind}/{name}", TITLES[kind]
        source = {"SourceUri": uri, "SourceType": "ARN"}
        members |= {f"{title}Name": name, f"{title}Type": entity_type, "Source": source}
        add(self._store, resource, members)
        return resource


def _training(job: Record) -> tuple[_Sources, _Sources]:
    channels = job.get("InputDataConfig") or ()
    inputs: _Sources = [(job["AlgorithmSpecification"]["TrainingImage"], "Image")]
    inputs += [(c["DataSource"]["S3DataSource"]["S3Uri"], "DataSet") for c in channels]
    outputs: _Sources = [
        ((job.get("ModelArtifacts") or {}).get("S3ModelArtifacts"), "Model"),
        ((job.get("CheckpointConfig") or {}).get("S3Uri"), "Checkpoint"),
    ]
    return inputs, outputs


def _transform(job: Record) -> tuple[_Sources, _Sources]:
    source = job["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
    return [(source, "DataSet")], [(job["TransformOutput"]["S3OutputPath"], "DataSet")]


def _processing(job: Record) -> tuple[_Sources, _Sources]:
    inputs: _Sources = [(job["AppSpecification"]["ImageUri"], "Image")]
    for entry in job.get("ProcessingInputs") or ():
        inputs.append(((entry.get("S3Input") or {}).get("S3Uri"), "DataSet"))
    entries = (job.get("ProcessingOutputConfig") or {}).get("Outputs", ())
    outputs = [((entry.get("S3Output") or {}).get("S3Uri"), "DataSet") for entry in entries]
    return inputs, list(outputs)


_JOBS: Mapping[str, Callable[[Record], tuple[_Sources, _Sources]]] = {
    "training-job": _training,
    "transform-job": _transform,
    "processing-job": _processing,
}


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:32]
