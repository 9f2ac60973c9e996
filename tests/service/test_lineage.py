"""Lineage: artifacts, actions, contexts, associations, queries, and what the service records."""

import time

import pytest
from botocore.exceptions import ClientError

from support import sdk
from support.service import BUCKET, IMAGE, ROLE, ROOT, down, ended, kill, run_sdk, training, up

ACCOUNT = "arn:aws:sagemaker:us-east-1:123456789012"
URI = "s3://bucket/lineage"
SCIKIT_LEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


class Entities:
    """The operations on a kind of entity, by boto3."""

    def __init__(self, sm, title):
        self._sm, self.title = sm, title
        self._by_arn = title == "Artifact"

    def create(self, name, uri=URI, **members):
        """Return the ARN of a new entity."""
        request = {f"{self.title}Name": name, f"{self.title}Type": "Kind", **members}
        response = self("create", **{"Source": {"SourceUri": uri}, **request})
        return response[f"{self.title}Arn"]

    def on(self, verb, arn, **members):
        """Call an operation on the entity with an ARN."""
        member = "Arn" if self._by_arn else "Name"
        reference = arn if self._by_arn else arn.rpartition("/")[2]
        return self(verb, **{f"{self.title}{member}": reference}, **members)

    def listed(self, **filters):
        summaries = self("list", suffix="s", **filters)[f"{self.title}Summaries"]
        return [summary[f"{self.title}Arn"] for summary in summaries]

    def __call__(self, verb, suffix="", **request):
        return getattr(self._sm, f"{verb}_{self.title.lower()}{suffix}")(**request)


@pytest.fixture(params=["Artifact", "Action", "Context"])
def entities(sm, request):
    return Entities(sm, request.param)


def refused(text):
    return pytest.raises(ClientError, match=rf"(?s)\(ValidationException\).*{text}")


def test_an_entity_is_created_listed_changed_and_deleted(sm, entities):
    uri, title = f"{URI}/life/{entities.title}", entities.title
    arn = entities.create("life", uri, Properties={"a": "1", "b": "2"})
    assert arn.startswith(f"{ACCOUNT}:{title.lower()}/")
    with refused(f"{title} '{arn}' already exists"):
        entities.create("life", uri)
    assert entities.listed(SourceUri=uri) == [arn]
    assert entities.listed(SourceUri=uri, **{f"{title}Type": "Kind"}) == [arn]
    assert entities.listed(SourceUri=uri, **{f"{title}Type": "Other"}) == []
    assert entities.listed(SourceUri=f"{uri}/none") == []
    more = {
        "Artifact": {"ArtifactName": "renamed"},
        "Action": {"Description": "text", "Status": "Failed"},
        "Context": {"Description": "text"},
    }[title]
    changed = entities.on(
        "update", arn, Properties={"b": "3", "c": "4"}, PropertiesToRemove=["a"], **more
    )
    assert changed[f"{title}Arn"] == arn
    described = entities.on("describe", arn)
    assert described["Properties"] == {"b": "3", "c": "4"}
    assert {name: described[name] for name in more} == more
    assert described["LastModifiedTime"] >= described["CreationTime"]
    with refused("30 properties at most; got 32"):
        entities.on("update", arn, Properties={str(number): "n" for number in range(30)})
    sm.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "blue"}])
    assert sm.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "blue"}]
    entities.on("delete", arn)
    for verb in ("describe", "update", "delete"):
        with pytest.raises(sm.exceptions.ResourceNotFound, match="does not exist"):
            entities.on(verb, arn)


def test_a_description_is_found_by_its_arn(sm):
    for title in ("Action", "Context"):
        arn = Entities(sm, title).create("by-arn")
        assert Entities(sm, title)("describe", **{f"{title}Name": arn})[f"{title}Arn"] == arn


def test_an_artifact_is_deleted_by_its_source(sm):
    source = {
        "SourceUri": f"{URI}/source",
        "SourceTypes": [{"SourceIdType": "MD5Hash", "Value": "1"}],
    }
    arn = sm.create_artifact(Source=source, ArtifactType="File")["ArtifactArn"]
    other = sm.create_artifact(Source={"SourceUri": f"{URI}/source"}, ArtifactType="File")
    assert sm.delete_artifact(Source=source)["ArtifactArn"] == arn != other["ArtifactArn"]
    with refused("either an ArtifactArn or a Source"):
        sm.delete_artifact()


def test_associations_connect_all_kinds(sm):
    artifact, action, context = (
        Entities(sm, title).create(f"ends-{title}", f"{URI}/ends")
        for title in ("Artifact", "Action", "Context")
    )
    component = sm.create_trial_component(TrialComponentName="ends")["TrialComponentArn"]
    experiment = sm.create_experiment(ExperimentName="ends")["ExperimentArn"]
    pairs = [
        (artifact, component, "ContributedTo"),
        (component, action, "Produced"),
        (action, context, "AssociatedWith"),
        (experiment, context, "AssociatedWith"),
    ]
    for source, destination, kind in pairs:
        ends = {"SourceArn": source, "DestinationArn": destination}
        assert sm.add_association(**ends, AssociationType=kind) | ends
        with refused("already exists"):
            sm.add_association(**ends)

    def found(**filters):
        summaries = sm.list_associations(**filters)["AssociationSummaries"]
        return {(s["SourceArn"], s["DestinationArn"], s["AssociationType"]) for s in summaries}

    assert found(SourceArn=component) == {pairs[1]}
    assert found(DestinationArn=context) == set(pairs[2:])
    assert found(DestinationArn=context, SourceType="Kind") == {pairs[2]}
    assert found(DestinationArn=component, AssociationType="ContributedTo") == {pairs[0]}
    assert found(DestinationArn=component, AssociationType="Produced") == set()
    assert found(SourceArn=artifact, DestinationType="SageMakerExperimentTrialComponent")
    (summary,) = sm.list_associations(SourceArn=artifact)["AssociationSummaries"]
    assert summary["SourceName"] == "ends-Artifact" and summary["DestinationName"] == "ends"
    sm.update_artifact(ArtifactArn=artifact, ArtifactName="renamed")
    (summary,) = sm.list_associations(SourceArn=artifact)["AssociationSummaries"]
    assert summary["SourceName"] == "renamed"
    for delete in (
        lambda: sm.delete_artifact(ArtifactArn=artifact),
        lambda: sm.delete_action(ActionName="ends-Action"),
        lambda: sm.delete_context(ContextName="ends-Context"),
    ):
        with refused("has associations and cannot be deleted"):
            delete()
    sm.delete_trial_component(TrialComponentName="ends")
    assert found(SourceArn=component) == found(DestinationArn=component) == set()
    sm.delete_artifact(ArtifactArn=artifact)
    ends = {"SourceArn": action, "DestinationArn": context}
    sm.delete_association(**ends)
    with pytest.raises(sm.exceptions.ResourceNotFound, match="no association"):
        sm.delete_association(**ends)
    with pytest.raises(sm.exceptions.ResourceNotFound, match="no entity"):
        sm.add_association(SourceArn=artifact, DestinationArn=context)


@pytest.fixture(scope="module")
def graph(sm):
    """data -> step -> model -> deployment -> place, image -> step, and step -> report."""
    artifacts, made = Entities(sm, "Artifact"), {}
    for name in ("data", "image", "model", "report"):
        kind = {"data": "DataSet", "image": "Image"}.get(name, "Model")
        properties = {"owner": name, "all": "yes"}
        uri = f"{URI}/graph/{name}"
        made[name] = artifacts.create(name, uri, ArtifactType=kind, Properties=properties)
    made["step"] = sm.create_trial_component(TrialComponentName="graph-step")["TrialComponentArn"]
    made["deployment"] = Entities(sm, "Action").create("graph-deployment")
    made["place"] = Entities(sm, "Context").create("graph-place", ContextType="Endpoint")
    for edge in (
        *("data step", "image step", "step model", "step report"),
        *("model deployment", "deployment place"),
    ):
        source, destination = edge.split()
        ends = {"SourceArn": made[source], "DestinationArn": made[destination]}
        sm.add_association(**ends, AssociationType="ContributedTo")
    return made


def query(sm, graph, start, direction="Both", **more):
    """Return the names of the vertices, and the edges, of a query."""
    response = sm.query_lineage(StartArns=[graph[start]], Direction=direction, **more)
    names = {arn: name for name, arn in graph.items()}
    edges = {
        f"{names[edge['SourceArn']]} {names[edge['DestinationArn']]}" for edge in response["Edges"]
    }
    return [names[vertex["Arn"]] for vertex in response["Vertices"]], edges


def test_a_query_follows_a_direction_to_a_depth(sm, graph):
    assert query(sm, graph, "model", "Ascendants") == (["step", "data", "image"], set())
    assert query(sm, graph, "model", "Descendants")[0] == ["deployment", "place"]
    assert set(query(sm, graph, "model")[0]) == graph.keys() - {"model"}
    assert query(sm, graph, "data", "Descendants", MaxDepth=1)[0] == ["step"]
    assert query(sm, graph, "data", "Descendants", MaxDepth=2)[0] == ["step", "model", "report"]
    vertices, edges = query(sm, graph, "data", "Descendants", MaxDepth=2, IncludeEdges=True)
    assert vertices == ["data", "step", "model", "report"]
    assert edges == {"data step", "step model", "step report"}


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"LineageTypes": ["Artifact"]}, {"data", "image", "report"}),
        ({"Types": ["Model"]}, {"report"}),
        ({"Types": ["DataSet", "Endpoint"]}, {"data", "place"}),
        ({"LineageTypes": ["TrialComponent"]}, {"step"}),
        ({"Types": ["ExperimentTrialComponent"]}, {"step"}),
        ({"LineageTypes": ["Artifact"], "Types": ["Endpoint"]}, set()),
        ({"Properties": {"owner": "data"}}, {"data"}),
        ({"Properties": {"owner": "data", "all": "yes"}}, {"data", "image", "report"}),
        ({"CreatedBefore": 1}, set()),
        ({"ModifiedBefore": 1}, set()),
        ({"CreatedAfter": 4e9}, set()),
        ({"ModifiedAfter": 4e9}, set()),
        (
            {"CreatedAfter": 1, "ModifiedAfter": 1, "CreatedBefore": 4e9, "ModifiedBefore": 4e9},
            {"data", "image", "report", "step", "deployment", "place"},
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_query_filters(sm, graph, filters, found):
    assert set(query(sm, graph, "model", Filters=filters)[0]) == found


def test_edges_are_those_on_the_paths_to_the_matches(sm, graph):
    filters = {"Types": ["Endpoint"]}
    vertices, edges = query(sm, graph, "data", Filters=filters, IncludeEdges=True)
    assert vertices == ["data", "step", "model", "deployment", "place"]
    assert edges == {"data step", "step model", "model deployment", "deployment place"}


def test_the_pages_of_a_query_have_everything_once(sm, graph):
    expected = query(sm, graph, "model", IncludeEdges=True)
    vertices, edges, token = [], [], {}
    while token is not None:
        request = {"StartArns": [graph["model"]], "Direction": "Both", "IncludeEdges": True}
        response = sm.query_lineage(**request, MaxResults=3, **token)
        assert len(response["Vertices"]) <= 3
        vertices += response["Vertices"]
        edges += response["Edges"]
        token = {"NextToken": response["NextToken"]} if "NextToken" in response else None
    assert [vertex["Arn"] for vertex in vertices] == [graph[name] for name in expected[0]]
    assert len(edges) == len(expected[1]) == 6


def test_a_query_needs_an_entity_to_start_at(sm):
    with refused("StartArns must have the ARN"):
        sm.query_lineage(Direction="Both")
    with pytest.raises(sm.exceptions.ResourceNotFound, match="no entity"):
        sm.query_lineage(StartArns=[f"{ACCOUNT}:artifact/none"])
    experiment = sm.create_experiment(ExperimentName="start")["ExperimentArn"]
    with refused("StartArns must name one of artifact"):
        sm.query_lineage(StartArns=[experiment])


def table(sm, arn):
    """Return direction, type, association and source of the neighbours of an entity."""
    rows = set()
    for end, other in (("Destination", "Source"), ("Source", "Destination")):
        summaries = sm.list_associations(**{f"{end}Arn": arn})["AssociationSummaries"]
        for each in summaries:
            neighbour = each[f"{other}Arn"]
            kind = neighbour.rpartition(":")[2].partition("/")[0]
            if kind == "artifact":
                source = sm.describe_artifact(ArtifactArn=neighbour)["Source"]["SourceUri"]
            else:
                source = each[f"{other}Name"]
            direction = "Input" if other == "Source" else "Output"
            rows.add((direction, each[f"{other}Type"], each["AssociationType"], source))
    return rows


def artifact_of(sm, uri):
    (summary,) = sm.list_artifacts(SourceUri=uri)["ArtifactSummaries"]
    return summary["ArtifactArn"]


@pytest.fixture(scope="module")
def trained(sm):
    """Two training jobs on the same data; the second has checkpoints."""
    checkpoints = {"CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/lin-checkpoints"}}
    sm.create_training_job(**training("lin-one", HyperParameters={"epochs": "1"}))
    created = table(sm, component("lin-one-aws-training-job"))
    more = training("lin-two", HyperParameters={"epochs": "1"}, **checkpoints)
    sm.create_training_job(**more)
    jobs = [
        ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
        for name in ("lin-one", "lin-two")
    ]
    return created, jobs


def component(name):
    return f"{ACCOUNT}:experiment-trial-component/{name}"


INPUTS = {
    ("Input", "Image", "ContributedTo", IMAGE),
    ("Input", "DataSet", "ContributedTo", f"s3://{BUCKET}/data/train"),
    ("Input", "DataSet", "ContributedTo", f"s3://{BUCKET}/data/test"),
}


def test_a_training_job_leaves_its_inputs_and_its_model(sm, trained):
    created, (first, second) = trained
    assert created >= INPUTS  # the job may have ended already
    models = [job["ModelArtifacts"]["S3ModelArtifacts"] for job in (first, second)]
    assert table(sm, component("lin-one-aws-training-job")) == {
        *INPUTS,
        ("Output", "Model", "Produced", models[0]),
    }
    assert table(sm, component("lin-two-aws-training-job")) == {
        *INPUTS,
        ("Output", "Model", "Produced", models[1]),
        ("Output", "Checkpoint", "Produced", f"s3://{BUCKET}/lin-checkpoints"),
    }
    # Both jobs share the artifact of the data.
    used = table(sm, artifact_of(sm, f"s3://{BUCKET}/data/train"))
    for name in ("lin-one-aws-training-job", "lin-two-aws-training-job"):
        assert ("Output", "SageMakerTrainingJob", "ContributedTo", name) in used
    found = sm.query_lineage(
        StartArns=[artifact_of(sm, models[0])],
        Direction="Ascendants",
        Filters={"Types": ["TrainingJob"]},
    )
    (vertex,) = found["Vertices"]
    assert vertex == {
        "Arn": component("lin-one-aws-training-job"),
        "Type": "TrainingJob",
        "LineageType": "TrialComponent",
    }


def test_a_failed_job_and_a_deleted_job_leave_what_they_used(sm):
    sm.create_training_job(**training("lin-fails", HyperParameters={"feature_dim": "2"}))
    done = ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="lin-fails")
    assert done["TrainingJobStatus"] == "Failed"
    arn = component("lin-fails-aws-training-job")
    assert table(sm, arn) == INPUTS
    sm.delete_training_job(TrainingJobName="lin-fails")
    assert table(sm, arn) == set()
    assert artifact_of(sm, f"s3://{BUCKET}/data/train")


def test_a_transform_job_leaves_its_input_and_its_output(sm, trained):
    container = {
        "Image": IMAGE,
        "ModelDataUrl": trained[1][0]["ModelArtifacts"]["S3ModelArtifacts"],
    }
    sm.create_model(ModelName="lin-model", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/data/test"}}
    sm.create_transform_job(
        TransformJobName="lin-transform",
        ModelName="lin-model",
        TransformInput={"DataSource": source, "ContentType": "application/x-recordio-protobuf"},
        TransformOutput={"S3OutputPath": f"s3://{BUCKET}/lin-scores"},
        TransformResources={"InstanceType": "ml.c4.xlarge", "InstanceCount": 1},
    )
    ended(sm.describe_transform_job, "TransformJobStatus", TransformJobName="lin-transform")
    assert table(sm, component("lin-transform-aws-transform-job")) == {
        ("Input", "DataSet", "ContributedTo", f"s3://{BUCKET}/data/test"),
        ("Output", "DataSet", "Produced", f"s3://{BUCKET}/lin-scores"),
    }


def test_a_processing_job_leaves_its_inputs_and_its_outputs(sm):
    place, data = "/opt/ml/processing", f"s3://{BUCKET}/data/test"
    script = f"open('{place}/out/report', 'w').write('text')"
    source = {"S3Uri": data, "LocalPath": f"{place}/in", "S3DataType": "S3Prefix"}
    target = {"S3Uri": f"s3://{BUCKET}/lin-report", "LocalPath": f"{place}/out"}
    sm.create_processing_job(
        ProcessingJobName="lin-processing",
        ProcessingInputs=[{"InputName": "in", "S3Input": {**source, "S3InputMode": "File"}}],
        ProcessingOutputConfig={
            "Outputs": [{"OutputName": "out", "S3Output": {**target, "S3UploadMode": "EndOfJob"}}]
        },
        AppSpecification={
            "ImageUri": SCIKIT_LEARN,
            "ContainerEntrypoint": ["python3", "-c", script],
        },
        ProcessingResources={
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": "ml.m5.xlarge",
                "VolumeSizeInGB": 1,
            }
        },
        RoleArn=ROLE,
    )
    job = ended(
        sm.describe_processing_job, "ProcessingJobStatus", ProcessingJobName="lin-processing"
    )
    assert job["ProcessingJobStatus"] == "Completed", job
    assert table(sm, component("lin-processing-aws-processing-job")) == {
        ("Input", "Image", "ContributedTo", SCIKIT_LEARN),
        ("Input", "DataSet", "ContributedTo", data),
        ("Output", "DataSet", "Produced", f"s3://{BUCKET}/lin-report"),
    }


def test_a_package_an_approval_and_an_endpoint_are_connected(sm, trained):
    model = trained[1][0]["ModelArtifacts"]["S3ModelArtifacts"]
    group = sm.create_model_package_group(ModelPackageGroupName="lin-group")
    package = sm.create_model_package(
        ModelPackageGroupName="lin-group",
        InferenceSpecification={
            "Containers": [{"Image": IMAGE, "ModelDataUrl": model}],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )["ModelPackageArn"]
    (context,) = sm.list_contexts(SourceUri=group["ModelPackageGroupArn"])["ContextSummaries"]
    assert context["ContextType"] == "ModelGroup"
    assert context["ContextName"] == "lin-group-aws-model-group"
    before = time.time()
    sm.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
    sm.update_model_package(ModelPackageArn=package, ApprovalDescription="again")
    actions = sm.list_actions(SourceUri=package, ActionType="Approval")["ActionSummaries"]
    names = sorted(action["ActionName"] for action in actions)
    approved, pending = names
    assert approved.startswith("lin-group-1-Approved-")
    assert pending.startswith("lin-group-1-PendingManualApproval-")
    assert int(approved.split("-")[4]) >= int(before)
    inputs = {
        ("Input", "Image", "ContributedTo", IMAGE),
        ("Input", "Model", "ContributedTo", model),
        ("Input", "Approval", "ContributedTo", approved),
        ("Input", "Approval", "ContributedTo", pending),
        ("Output", "ModelGroup", "AssociatedWith", "lin-group-aws-model-group"),
    }
    assert table(sm, artifact_of(sm, package)) == inputs

    container = {"ModelPackageName": package}
    sm.create_model(ModelName="lin-packaged", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {
        "VariantName": "v",
        "ModelName": "lin-packaged",
        "InitialInstanceCount": 1,
        "InstanceType": "ml.c4.xlarge",
    }
    sm.create_endpoint_config(EndpointConfigName="lin-config", ProductionVariants=[variant])
    arn = sm.create_endpoint(EndpointName="lin-endpoint", EndpointConfigName="lin-config")
    ended(sm.describe_endpoint, "EndpointStatus", EndpointName="lin-endpoint")
    (context,) = sm.list_contexts(SourceUri=arn["EndpointArn"])["ContextSummaries"]
    assert (context["ContextName"], context["ContextType"]) == (
        "lin-endpoint-aws-endpoint",
        "Endpoint",
    )
    (row,) = table(sm, context["ContextArn"])
    assert row[:3] == ("Input", "ModelDeployment", "AssociatedWith")
    action = sm.describe_action(ActionName=row[3])
    assert (action["Status"], action["Source"]["SourceUri"]) == ("Completed", arn["EndpointArn"])
    assert table(sm, action["ActionArn"]) == {
        ("Input", "Image", "ContributedTo", IMAGE),
        ("Input", "Model", "ContributedTo", model),
        ("Input", "Model", "ContributedTo", package),
        ("Output", "Endpoint", "AssociatedWith", "lin-endpoint-aws-endpoint"),
    }
    sm.delete_endpoint(EndpointName="lin-endpoint")
    sm.delete_model_package(ModelPackageName=package)
    assert len(table(sm, artifact_of(sm, package))) == 6  # those of before, and the deployment
    assert sm.list_contexts(SourceUri=arn["EndpointArn"])["ContextSummaries"]


def test_a_restart_keeps_the_lineage(tmp_path):
    service = up(tmp_path / "state")
    sm = service.client("sagemaker")
    action = Entities(sm, "Action").create("kept")
    context = Entities(sm, "Context").create("kept")
    sm.add_association(SourceArn=action, DestinationArn=context)
    kill(service)
    service = up(tmp_path / "state")
    sm = service.client("sagemaker")
    (found,) = sm.list_associations(SourceArn=action)["AssociationSummaries"]
    assert (found["DestinationArn"], found["DestinationType"]) == (context, "Kind")
    assert sm.describe_context(ContextName="kept")["Source"] == {"SourceUri": URI}
    down(service)


@pytest.mark.sdk
def test_the_sdk_v2_shows_the_lineage(service):
    if reason := sdk.missing(2, containers=False):
        pytest.skip(reason)
    output = run_sdk(service, 2, ROOT / "tests/service/lineage_v2.py", IMAGE, BUCKET)
    lines = output.splitlines()
    job = [line.partition(" ")[2] for line in lines if line.startswith("JOB ")]
    data = f"s3://{BUCKET}/data/train"
    assert f"{data},Input,DataSet,ContributedTo,artifact" in job
    assert any(row.endswith(",Input,Image,ContributedTo,artifact") for row in job)
    assert any(row.endswith("model.tar.gz,Output,Model,Produced,artifact") for row in job)
    assert len(job) == 3
    for title in ("COMPONENT", "STEP"):
        assert [line.partition(" ")[2] for line in lines if line.startswith(f"{title} ")] == job
    package = "\n".join(line for line in lines if line.startswith("PACKAGE "))
    for row in (
        "model.tar.gz,Input,Model,ContributedTo,artifact",
        ",Input,Image,ContributedTo,artifact",
        "-aws-model-group,Input,Approval,ContributedTo,action",
        "-aws-endpoint,Output,ModelDeployment,ContributedTo,action",
        "lin-sdk-group-aws-model-group,Output,ModelGroup,AssociatedWith,context",
    ):
        assert row in package
    (endpoint,) = (line for line in lines if line.startswith("ENDPOINT "))
    assert endpoint.endswith("-aws-endpoint,Input,ModelDeployment,AssociatedWith,action")
    assert f"DATA ['{data}']" in lines
    assert f"JOBS ['{ACCOUNT}:training-job/lin-sdk']" in lines
    for title in ("ENDPOINTS", "APPROVED"):
        assert f"{title} ['{ACCOUNT}:endpoint/lin-sdk-endpoint']" in lines
    assert "GRAPH 8 10" in lines
    assert "NOTE Completed {'by': 'hand'}" in lines
