"""What the pipelines of both SDKs share: settings, the report of an execution, a plain job."""

import argparse
import json
import time
from urllib.parse import urlparse

import boto3
from botocore.exceptions import WaiterError

GROUP = "retail-recommender"
SCIKIT_LEARN = "1.2-1"  # the version of SageMaker's scikit-learn image
HYPERPARAMETERS = {"num_factors": 64, "predictor_type": "regressor", "mini_batch_size": 1000}
RECORDS, LINES = "application/x-recordio-protobuf", "application/jsonlines"
INPUT, OUTPUT = "/opt/ml/processing/input", "/opt/ml/processing/output"
PREPARED = ("train", "test", "batch", "report")  # the folders that prepare.py writes


def arguments(description):
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("csv", help="transactions, from raw_data.py")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--max-rmse", type=float, default=200.0, help="of a model to register")
    parser.add_argument("--role", help="ARN of an execution role; default: that of the session")
    return parser.parse_args()


def read_s3(uri):
    """Return the content of a JSON object in S3."""
    place = urlparse(uri)
    response = boto3.client("s3").get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))
    return json.load(response["Body"])


def wait(execution):
    """Return when an execution has succeeded; exit with the reason if it has not."""
    try:
        execution.wait(delay=5)
    except WaiterError:
        raise SystemExit(execution.describe()["FailureReason"]) from None


def report(execution_arn):
    """Print the seconds of an execution's steps, and the metrics of its model and a plain job's.

    Returns: the ARN of the model package, which is approved now, a request, and the quantities
    that its answer should have.
    """
    client = boto3.client("sagemaker")
    response = client.list_pipeline_execution_steps(
        PipelineExecutionArn=execution_arn, SortOrder="Ascending"
    )
    steps = {step["StepName"]: step for step in response["PipelineExecutionSteps"]}
    for name, step in steps.items():
        seconds = (step["EndTime"] - step["StartTime"]).total_seconds()
        print(f"step {name}: {step['StepStatus']} after {seconds:.1f} seconds")

    job = steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    trained = client.describe_training_job(TrainingJobName=job)
    show("the pipeline's job", trained)
    show("a plain job", train_again(client, trained))
    metadata = [step["Metadata"] for step in steps.values()]
    (package,) = (entry["RegisterModel"]["Arn"] for entry in metadata if "RegisterModel" in entry)
    statistics = client.describe_model_package(ModelPackageName=package)["ModelMetrics"]
    client.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
    print("evaluation:", read_s3(statistics["ModelQuality"]["Statistics"]["S3Uri"]))
    job = steps["Prepare"]["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2]
    outputs = client.describe_processing_job(ProcessingJobName=job)["ProcessingOutputConfig"]
    (uri,) = (o["S3Output"]["S3Uri"] for o in outputs["Outputs"] if o["OutputName"] == "report")
    return package, read_s3(f"{uri}/request.json"), read_s3(f"{uri}/expected.json")


def train_again(client, job):
    """Run a training job outside a pipeline, with another job's settings; return it."""
    members = (
        *("HyperParameters", "InputDataConfig", "OutputDataConfig"),
        *("ResourceConfig", "RoleArn", "StoppingCondition"),
    )
    algorithm = ("TrainingImage", "TrainingInputMode")  # without the metrics of the algorithm
    name = f"{GROUP}-plain-{int(time.time())}"
    client.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={name: job["AlgorithmSpecification"][name] for name in algorithm},
        **{name: job[name] for name in members},
    )
    waiter = client.get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName=name, WaiterConfig={"Delay": 5, "MaxAttempts": 720})
    return client.describe_training_job(TrainingJobName=name)


def show(title, job):
    """Print the final metrics of a training job and its seconds."""
    metrics = {m["MetricName"]: round(m["Value"], 4) for m in job["FinalMetricDataList"]}
    shown = ", ".join(f"{name}={metrics[name]}" for name in sorted(metrics) if "rmse" in name)
    print(f"{title}: {shown}, {job['TrainingTimeInSeconds']} seconds of training")
