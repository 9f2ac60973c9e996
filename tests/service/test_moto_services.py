"""What reaches SageMaker through AWS's other services is executed, or refused."""

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from support.service import IMAGE, PATIENCE, ROLE, ended, processing, training

ENDPOINT_ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/{}"


@pytest.fixture(scope="module")
def artifact(sm):
    sm.create_training_job(**training("moto-services"))
    job = ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="moto-services")
    return job["ModelArtifacts"]["S3ModelArtifacts"]


def template(artifact, endpoint, **container) -> dict[str, Any]:
    container = {"Image": IMAGE, "ModelDataUrl": artifact, **container}
    variant = {
        "VariantName": "all",
        "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": "1",  # a template may write a number as text
        "InitialVariantWeight": 1,
    }
    config = {"Fn::GetAtt": ["Config", "EndpointConfigName"]}
    properties = {
        "Model": {"ExecutionRoleArn": ROLE, "PrimaryContainer": container},
        "EndpointConfig": {"ProductionVariants": [variant]},
        "Endpoint": {"EndpointName": endpoint, "EndpointConfigName": config},
    }
    names = {"Model": "Model", "EndpointConfig": "Config", "Endpoint": "Endpoint"}
    return {
        "Resources": {
            names[kind]: {"Type": f"AWS::SageMaker::{kind}", "Properties": values}
            for kind, values in properties.items()
        },
        "Outputs": {
            "Name": {"Value": {"Fn::GetAtt": ["Endpoint", "EndpointName"]}},
            "Arn": {"Value": {"Ref": "Endpoint"}},
        },
    }


def settled(cloudformation, name):
    """Return a stack that is no longer in progress."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            return stack
        time.sleep(0.1)
    raise AssertionError(stack)


def endpoints(sm, name):
    return [entry["EndpointName"] for entry in sm.list_endpoints(NameContains=name)["Endpoints"]]


def test_a_stack_creates_updates_and_deletes_an_endpoint(service, sm, artifact):
    stacks = service.client("cloudformation")
    body = template(artifact, "stack-endpoint")
    stacks.create_stack(StackName="whole", TemplateBody=json.dumps(body))
    stack = settled(stacks, "whole")
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    outputs = {entry["OutputKey"]: entry["OutputValue"] for entry in stack["Outputs"]}
    assert outputs == {"Name": "stack-endpoint", "Arn": ENDPOINT_ARN.format("stack-endpoint")}
    answer = service.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="stack-endpoint",
        Body=",".join(["0"] * 30),
        ContentType="text/csv",
        Accept="application/json",
    )
    assert len(json.loads(answer["Body"].read())["predictions"]) == 1

    before = sm.describe_endpoint(EndpointName="stack-endpoint")["EndpointConfigName"]
    body = template(artifact, "stack-endpoint", Environment={"A": "b"})
    stacks.update_stack(StackName="whole", TemplateBody=json.dumps(body))
    assert settled(stacks, "whole")["StackStatus"] == "UPDATE_COMPLETE"
    after = sm.describe_endpoint(EndpointName="stack-endpoint")["EndpointConfigName"]
    config = sm.describe_endpoint_config(EndpointConfigName=after)
    model = sm.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
    assert after != before
    assert model["PrimaryContainer"]["Environment"] == {"A": "b"}

    body = template(artifact, "stack-endpoint", Mode="MultiModel")
    stacks.update_stack(StackName="whole", TemplateBody=json.dumps(body))
    stack = settled(stacks, "whole")
    assert stack["StackStatus"] == "UPDATE_FAILED"
    assert "Mode 'MultiModel' is not offered here" in stack["StackStatusReason"]

    stacks.delete_stack(StackName="whole")
    gone = stacks.describe_stacks(StackName=stack["StackId"])["Stacks"][0]
    assert gone["StackStatus"] == "DELETE_COMPLETE"
    assert endpoints(sm, "stack-endpoint") == []
    assert sm.list_models(NameContains="whole-")["Models"] == []


def test_a_change_set_creates_an_endpoint(service, sm, artifact):
    stacks = service.client("cloudformation")
    stacks.create_change_set(
        StackName="changes",
        ChangeSetName="first",
        ChangeSetType="CREATE",
        TemplateBody=json.dumps(template(artifact, "change-set-endpoint")),
    )
    assert endpoints(sm, "change-set-endpoint") == []
    stacks.execute_change_set(StackName="changes", ChangeSetName="first")
    stack = settled(stacks, "changes")
    assert (stack["StackStatus"], len(stack["Outputs"])) == ("CREATE_COMPLETE", 2)
    assert endpoints(sm, "change-set-endpoint") == ["change-set-endpoint"]
    stacks.delete_stack(StackName="changes")


@pytest.mark.parametrize(
    ("resource", "container", "reason"),
    [
        ("AWS::SageMaker::NotebookInstance", {}, "AWS::SageMaker::NotebookInstance are not"),
        ("AWS::SageMaker::Pipeline", {}, "AWS::SageMaker::Pipeline are not offered"),
        ("AWS::ApplicationAutoScaling::ScalableTarget", {}, "ScalableTarget are not offered"),
        ("", {"Image": "other"}, "not other"),
        ("", {"ModelDataUrl": "s3://absent/model.tar.gz"}, "Failed to download model data"),
    ],
)
@pytest.mark.parametrize("way", ["create_stack", "change_set"])
def test_a_stack_that_is_refused_is_rolled_back(
    service, sm, artifact, resource, container, reason, way
):
    stacks, name = service.client("cloudformation"), f"refused-{time.monotonic_ns()}"
    body = template(artifact, "refused", **container)
    if resource:
        body["Resources"]["Other"] = {"Type": resource, "Properties": {}}
    if way == "create_stack":
        stacks.create_stack(StackName=name, TemplateBody=json.dumps(body))
    else:
        change = {"StackName": name, "ChangeSetName": "first"}
        text = json.dumps(body)
        stacks.create_change_set(**change, ChangeSetType="CREATE", TemplateBody=text)
        stacks.execute_change_set(**change)
    stack = settled(stacks, name)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert reason in stack["StackStatusReason"]
    assert any(
        reason in event.get("ResourceStatusReason", "")
        for event in stacks.describe_stack_events(StackName=name)["StackEvents"]
    )
    assert endpoints(sm, "refused") == []
    assert sm.list_models(NameContains=name)["Models"] == []
    with pytest.raises(WaiterError):
        stacks.get_waiter("stack_create_complete").wait(StackName=name)


def run_machine(service, name, resource, parameters):
    machines = service.client("stepfunctions")
    task = {"Type": "Task", "Resource": resource, "Parameters": parameters, "End": True}
    definition = json.dumps({"StartAt": "Task", "States": {"Task": task}})
    arn = machines.create_state_machine(name=name, roleArn=ROLE, definition=definition)
    execution = machines.start_execution(stateMachineArn=arn["stateMachineArn"])["executionArn"]
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        description = machines.describe_execution(executionArn=execution)
        if description["status"] != "RUNNING":
            return description
        time.sleep(0.1)
    raise AssertionError(description)


TASK = "arn:aws:states:::sagemaker:createTrainingJob"


def test_a_state_machine_trains_and_waits(service, sm):
    done = run_machine(service, "train", f"{TASK}.sync", training("machine-job"))
    assert done["status"] == "SUCCEEDED"
    output = json.loads(done["output"])
    assert output["TrainingJobStatus"] == "Completed"
    assert output["ModelArtifacts"]["S3ModelArtifacts"].endswith("machine-job/output/model.tar.gz")
    resource = "arn:aws:states:::aws-sdk:sagemaker:describeTrainingJob"
    done = run_machine(service, "describe", resource, {"TrainingJobName": "machine-job"})
    assert json.loads(done["output"])["TrainingJobStatus"] == "Completed"


def test_a_state_machine_processes_and_waits(service, s3):
    request = processing(s3, "machine-processing", "print('done')")
    resource = "arn:aws:states:::sagemaker:createProcessingJob.sync"
    done = run_machine(service, "process", resource, request)
    assert done["status"] == "SUCCEEDED"
    assert json.loads(done["output"])["ProcessingJobStatus"] == "Completed"


def test_a_state_machine_fails_with_the_reason(service):
    request = training("machine-bad", HyperParameters={"epochs": "no"})
    done = run_machine(service, "fails", f"{TASK}.sync", request)
    assert (done["status"], done["error"]) == ("FAILED", "States.TaskFailed")
    assert "epochs must be an integer" in done["cause"]
    checkpoints = {"S3Uri": "s3://bucket/c", "LocalPath": "/other"}
    done = run_machine(service, "refused", TASK, training("x", CheckpointConfig=checkpoints))
    assert (done["status"], done["error"]) == ("FAILED", "SageMaker.ValidationException")


@pytest.mark.parametrize("action", ["createAutoMLJob.sync", "createModel.sync", "createHub"])
def test_a_task_that_cannot_be_executed_is_refused_at_creation(service, action):
    with pytest.raises(ClientError, match=f"sagemaker:{action} is not offered here"):
        run_machine(service, "no", f"arn:aws:states:::sagemaker:{action}", {})


SCALED = {
    "ServiceNamespace": "sagemaker",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        ("endpoint/absent/variant/all", "Could not find endpoint"),
        ("endpoint/absent", "must be endpoint/ENDPOINT/variant/VARIANT"),
    ],
)
def test_a_scalable_target_must_exist(service, resource, reason):
    scaling = service.client("application-autoscaling")
    with pytest.raises(scaling.exceptions.ValidationException, match=reason):
        scaling.register_scalable_target(
            ResourceId=resource, MinCapacity=1, MaxCapacity=2, **SCALED
        )
    with pytest.raises(scaling.exceptions.ValidationException, match="Nothing scales"):
        scaling.put_scaling_policy(PolicyName="p", ResourceId=resource, **SCALED)


PIPELINE = {"Arn": "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p", "RoleArn": ROLE}
SDK_TARGET = {"Arn": "arn:aws:scheduler:::aws-sdk:sagemaker:createTrainingJob", "RoleArn": ROLE}


def test_rules_and_targets_of_sagemaker_are_refused(service):
    events, schedules = service.client("events"), service.client("scheduler")
    pattern = json.dumps({"source": ["aws.sagemaker"]})
    with pytest.raises(ClientError, match="ValidationException.*would never match"):
        events.put_rule(Name="r", EventPattern=pattern)
    events.put_rule(Name="r", ScheduleExpression="rate(1 hour)")
    with pytest.raises(ClientError, match="pipeline/p is not offered here"):
        events.put_targets(Rule="r", Targets=[{"Id": "1", **PIPELINE}])
    queue = {"Arn": "arn:aws:sqs:us-east-1:123456789012:q", "RoleArn": ROLE}
    assert events.put_targets(Rule="r", Targets=[{"Id": "1", **queue}])["FailedEntryCount"] == 0
    with pytest.raises(ClientError, match="createTrainingJob is not offered here"):
        schedules.create_schedule(
            Name="s",
            ScheduleExpression="rate(1 hour)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target=SDK_TARGET,
        )
    with pytest.raises(ClientError, match="pipeline/p is not offered here"):
        service.client("pipes").create_pipe(
            Name="p", RoleArn=ROLE, Source=queue["Arn"], Target=PIPELINE["Arn"]
        )


MAIL = {
    "Source": "a@example.com",
    "Destination": {"ToAddresses": ["b@example.com"]},
    "Message": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}},
}
STREAM = {
    "DeliveryStreamName": "out",
    "HttpEndpointDestinationConfiguration": {
        "EndpointConfiguration": {"Url": "https://example.com/"},
        "S3Configuration": {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::bucket"},
    },
}
CONNECTION = "arn:aws:events:us-east-1:123456789012:connection/c/1"
DESTINATION = {
    "Name": "out",
    "ConnectionArn": CONNECTION,
    "InvocationEndpoint": "https://example.com/",
    "HttpMethod": "POST",
}


@pytest.mark.parametrize(
    ("name", "operation", "request_"),
    [
        ("ses", "send_email", MAIL),
        ("ses", "send_raw_email", {"RawMessage": {"Data": b"x"}}),
        ("sns", "publish", {"PhoneNumber": "+15551234567", "Message": "m"}),
        ("firehose", "create_delivery_stream", STREAM),
        ("events", "create_api_destination", DESTINATION),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_would_leave_this_machine_is_refused(service, name, operation, request_):
    with pytest.raises(ClientError, match="ValidationException.*nothing leaves this machine"):
        getattr(service.client(name), operation)(**request_)


def test_a_stream_does_not_become_one_to_an_http_endpoint(service):
    firehose = service.client("firehose")
    bucket = {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::bucket"}
    firehose.create_delivery_stream(DeliveryStreamName="to-s3", S3DestinationConfiguration=bucket)
    described = firehose.describe_delivery_stream(DeliveryStreamName="to-s3")
    stream = described["DeliveryStreamDescription"]
    with pytest.raises(ClientError, match="nothing leaves this machine"):
        firehose.update_destination(
            DeliveryStreamName="to-s3",
            CurrentDeliveryStreamVersionId=stream["VersionId"],
            DestinationId=stream["Destinations"][0]["DestinationId"],
            HttpEndpointDestinationUpdate={"EndpointConfiguration": {"Url": "https://192.0.2.1/"}},
        )


def test_an_event_of_s3_goes_to_no_web_server(service, s3):
    sns, sqs = service.client("sns"), service.client("sqs")
    topic = sns.create_topic(Name="events")["TopicArn"]
    with pytest.raises(ClientError, match="The protocol http is not offered here"):
        sns.subscribe(TopicArn=topic, Protocol="http", Endpoint="http://192.0.2.1/")
    queue = sqs.create_queue(QueueName="events")["QueueUrl"]
    arn = "arn:aws:sqs:us-east-1:123456789012:events"
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    s3.create_bucket(Bucket="events")
    s3.put_bucket_notification_configuration(
        Bucket="events",
        NotificationConfiguration={
            "TopicConfigurations": [{"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}]
        },
    )
    s3.put_object(Bucket="events", Key="key", Body=b"1")
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert any('"key"' in json.loads(message["Body"])["Message"] for message in messages)


def test_a_topic_delivers_to_queues_only(service):
    sns, sqs = service.client("sns"), service.client("sqs")
    topic = sns.create_topic(Name="jobs")["TopicArn"]
    for protocol, address in {
        "http": "http://192.0.2.1/",
        "https": "https://192.0.2.1/",
        "email": "a@example.com",
        "email-json": "a@example.com",
        "sms": "+15551234567",
    }.items():
        with pytest.raises(ClientError, match=f"The protocol {protocol} is not offered here"):
            sns.subscribe(TopicArn=topic, Protocol=protocol, Endpoint=address)
    queue = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    arn = "arn:aws:sqs:us-east-1:123456789012:jobs"
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    sns.publish(TopicArn=topic, Message="done")
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert json.loads(message["Body"])["Message"] == "done"


def test_the_tagging_api_has_the_tags_of_jobs(service, sm, artifact):
    tagging = service.client("resourcegroupstaggingapi")
    arn = sm.describe_training_job(TrainingJobName="moto-services")["TrainingJobArn"]
    tagging.tag_resources(ResourceARNList=[arn], Tags={"team": "a"})
    assert sm.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "a"}]
    filters = [{"Key": "team", "Values": ["a"]}]
    found = tagging.get_resources(ResourceTypeFilters=["sagemaker"], TagFilters=filters)
    assert [entry["ResourceARN"] for entry in found["ResourceTagMappingList"]] == [arn]
    tagging.untag_resources(ResourceARNList=[arn], TagKeys=["team"])
    assert sm.list_tags(ResourceArn=arn)["Tags"] == []
    with pytest.raises(ClientError, match="ValidationException"):
        tagging.tag_resources(ResourceARNList=[arn + "-absent"], Tags={"team": "a"})
