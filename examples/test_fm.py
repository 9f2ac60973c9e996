"""A test of code for SageMaker: train, deploy, predict and clean up, with boto3 alone.

The fixture `local_sagemaker` comes with this package: `pytest examples/test_fm.py` needs no
account, no Docker and no other configuration.
"""

import json
import struct

import boto3

IMAGE = "382416733822.dkr.ecr.us-east-1.amazonaws.com/factorization-machines:1"
ROLE = "arn:aws:iam::123456789012:role/SageMakerRole"
FEATURES = 10
INSTANCE = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10}


def delimited(number, content):
    """Return a field of a protobuf message: here all are shorter than 128 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


def record(label, features):
    """Return a row as SageMaker's training reads it: a protobuf message in a RecordIO frame."""
    tensor = delimited(1, struct.pack(f"<{len(features)}f", *features.values()))
    row = delimited(2, tensor + delimited(2, bytes(features)) + delimited(3, bytes([FEATURES])))
    target = delimited(2, delimited(1, struct.pack("<f", label)))
    message = delimited(1, delimited(1, b"values") + delimited(2, row))
    message += delimited(2, delimited(1, b"values") + delimited(2, target))
    padding = bytes(-len(message) % 4)
    return struct.pack("<II", 0xCED7230A, len(message)) + message + padding


def test_train_deploy_predict(local_sagemaker):
    s3, sagemaker = boto3.client("s3"), boto3.client("sagemaker")
    s3.create_bucket(Bucket="ratings")
    # The label is 1 if the first feature of a row is one of the first five.
    rows = [record(float(i % 10 < 5), {i % 10: 1.0, (i * 3 + 1) % 10: 1.0}) for i in range(500)]
    s3.put_object(Bucket="ratings", Key="train/part-0", Body=b"".join(rows))

    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://ratings/train"}
    sagemaker.create_training_job(
        TrainingJobName="fm",
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        RoleArn=ROLE,
        InputDataConfig=[{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        OutputDataConfig={"S3OutputPath": "s3://ratings/models"},
        ResourceConfig=INSTANCE,
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        HyperParameters={
            **{"feature_dim": str(FEATURES), "num_factors": "2", "epochs": "20"},
            **{"predictor_type": "binary_classifier", "mini_batch_size": "50"},
        },
    )
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName="fm")
    job = sagemaker.describe_training_job(TrainingJobName="fm")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")

    model = {"Image": IMAGE, "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"]}
    sagemaker.create_model(ModelName="fm", ExecutionRoleArn=ROLE, PrimaryContainer=model)
    variant = {"VariantName": "all", "ModelName": "fm", "InstanceType": "ml.m5.large"}
    variants = [{**variant, "InitialInstanceCount": 1}]
    sagemaker.create_endpoint_config(EndpointConfigName="fm", ProductionVariants=variants)
    sagemaker.create_endpoint(EndpointName="fm", EndpointConfigName="fm")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="fm")

    instances = [{"data": {"features": {"keys": [k], "shape": [FEATURES], "values": [1.0]}}}
                 for k in (0, 9)]  # fmt: skip
    response = boto3.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="fm", ContentType="application/json", Body=json.dumps({"instances": instances})
    )
    low, high = json.load(response["Body"])["predictions"][::-1]
    assert low["score"] < high["score"]

    sagemaker.delete_endpoint(EndpointName="fm")
    sagemaker.delete_endpoint_config(EndpointConfigName="fm")
    sagemaker.delete_model(ModelName="fm")
