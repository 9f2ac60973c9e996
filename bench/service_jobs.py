"""Jobs through the service with the backend `process`: forked ones beside new processes."""

import itertools
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import boto3
from botocore.config import Config

from bench.data import Options, lab, shuffled
from bench.records import write_records
from bench.timing import Contender, Table
from local_sagemaker import up
from local_sagemaker.account import ACCOUNT, KEY_ID, REGION, SECRET
from local_sagemaker.settings import Settings

JOB = {
    "feature_dim": "2625",
    "num_factors": "64",
    "predictor_type": "binary_classifier",
    "mini_batch_size": "1000",
}
NEW = {"OMP_NUM_THREADS": "1"}  # with a variable of a library, a job is a new process
TUNED = {"epochs": (10, 30), "mini_batch_size": (100, 600)}
TUNING_JOBS = 30
POLL = 0.05


def run(options: Options) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(state=Path(folder) / "state", port=0, backend="process")
        with up.temporary(settings) as service:
            client = Client(service.url, Path(folder), options)
            _jobs(client, options.repeats)
            _tuning(client)


def _jobs(client: "Client", repeats: int) -> None:
    table = Table("a training job through the service, CreateTrainingJob to Completed")
    contenders = []
    for epochs in ("100", "10"):
        new, forked = (f"{kind}, {epochs} epochs" for kind in ("new process", "forked"))
        contenders += [
            Contender(new, lambda epochs=epochs: client.job(epochs, NEW)),
            Contender(forked, lambda epochs=epochs: client.job(epochs, {}), new),
        ]
    for contender in contenders[:2]:  # from here on the code of both kinds is loaded
        contender.measure()
    table.measure(contenders, repeats)
    table.print()


def _tuning(client: "Client") -> None:
    table = Table(f"a tuning job of {TUNING_JOBS} training jobs, two at a time")
    new, forked = "new processes", "forked"
    table.measure(
        [
            Contender(new, lambda: client.tuning(NEW)),
            Contender(forked, lambda: client.tuning({}), new),
        ],
        1,
    )
    table.print()


class Client:
    """A client with the lab's data in a bucket; its methods return seconds."""

    def __init__(self, url: str, folder: Path, options: Options):
        settings: dict[str, Any] = {
            "endpoint_url": url,
            "region_name": REGION,
            "aws_access_key_id": KEY_ID,
            "aws_secret_access_key": SECRET,
            "config": Config(proxies={"http": "", "https": ""}),
        }
        s3 = boto3.client("s3", **settings)
        self._sagemaker = boto3.client("sagemaker", **settings)
        self._numbers = itertools.count()
        s3.create_bucket(Bucket="bench")
        train, test = lab(options.data)
        self._inputs = []
        for name, rows in (("train", shuffled(train)), ("test", test)):
            s3.upload_file(str(write_records(rows, folder / name)), "bench", f"{name}/data")
            source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://bench/{name}"}
            entry = {"ChannelName": name, "DataSource": {"S3DataSource": source}}
            self._inputs.append(entry)

    def job(self, epochs: str, environment: Mapping[str, str]) -> float:
        """Run a training job."""
        name = f"job-{next(self._numbers)}"
        request = {"TrainingJobName": name, "HyperParameters": {**JOB, "epochs": epochs}}
        describe = self._sagemaker.describe_training_job
        began = perf_counter()
        self._sagemaker.create_training_job(**self._definition(environment), **request)
        _completed(lambda: describe(TrainingJobName=name)["TrainingJobStatus"])
        return perf_counter() - began

    def tuning(self, environment: Mapping[str, str]) -> float:
        """Run a tuning job, with the same hyperparameters each time."""
        name = f"tuning-{next(self._numbers)}"
        ranges = [
            {"Name": key, "MinValue": str(low), "MaxValue": str(high)}
            for key, (low, high) in TUNED.items()
        ]
        config = {
            "Strategy": "Random",
            "RandomSeed": 0,
            "HyperParameterTuningJobObjective": {
                "Type": "Minimize",
                "MetricName": "test:binary_classification_cross_entropy",
            },
            "ResourceLimits": {
                "MaxNumberOfTrainingJobs": TUNING_JOBS,
                "MaxParallelTrainingJobs": 2,
            },
            "ParameterRanges": {"IntegerParameterRanges": ranges},
        }
        static = {key: value for key, value in JOB.items() if key not in TUNED}
        definition = {**self._definition(environment), "StaticHyperParameters": static}
        describe = self._sagemaker.describe_hyper_parameter_tuning_job
        began = perf_counter()
        self._sagemaker.create_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name,
            HyperParameterTuningJobConfig=config,
            TrainingJobDefinition=definition,
        )
        member = "HyperParameterTuningJobStatus"
        _completed(lambda: describe(HyperParameterTuningJobName=name)[member])
        return perf_counter() - began

    def _definition(self, environment: Mapping[str, str]) -> dict[str, Any]:
        """Return what requests for training jobs and tuning jobs have in common."""
        registry = f"382416733822.dkr.ecr.{REGION}.amazonaws.com"
        return {
            "AlgorithmSpecification": {
                "TrainingImage": f"{registry}/factorization-machines:1",
                "TrainingInputMode": "File",
            },
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/bench",
            "InputDataConfig": self._inputs,
            "OutputDataConfig": {"S3OutputPath": "s3://bench/output"},
            "ResourceConfig": {
                "InstanceType": "ml.c4.xlarge",
                "InstanceCount": 1,
                "VolumeSizeInGB": 1,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
            "Environment": dict(environment),
        }


def _completed(status: Callable[[], str]) -> None:
    """Ask for a job's status until it is Completed."""
    while (found := status()) != "Completed":
        if found in ("Failed", "Stopped"):
            raise RuntimeError(f"the job ended with the status {found}")
        sleep(POLL)
