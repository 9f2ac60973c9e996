"""The local service as a process, and requests for it."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from botocore.config import Config

from local_sagemaker.pytest_plugin import LocalSageMaker
from support import sdk
from support.fm import rows
from support.job import PATIENCE

ROOT = Path(__file__).parents[2]
IMAGE = "382416733822.dkr.ecr.us-east-1.amazonaws.com/factorization-machines:1"
SKLEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
ROLE = "arn:aws:iam::123456789012:role/SageMakerExecutionRole"
BUCKET = "bucket"


FEATURES = 30


def planted(seed: int, count: int = 400) -> tuple[Any, Any]:
    """Return rows, and labels that a linear function of the features gives."""
    x, _ = rows(seed, count, FEATURES)
    w = np.linspace(-1, 1, FEATURES, dtype=np.float32)
    return x, (x @ w > 0).astype(np.float32)


@dataclass
class Service:
    """A service that runs."""

    state: Path
    env: dict[str, str]  # what `up --env` printed
    url: str

    def client(self, name: str, proxy: bool = False) -> Any:
        """Return a boto3 client with the service as its endpoint, or as its proxy."""
        return LocalSageMaker(self.url, self.state).client(
            name,
            endpoint_url=None if proxy else self.url,
            verify=str(self.state / "ca" / "ca-bundle.pem"),
            config=Config(
                proxies={"https": self.url} if proxy else {}, retries={"max_attempts": 1}
            ),
        )

    def environment(self) -> dict[str, str]:
        """Return the environment of a program in a shell that has evaluated `up --env`."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "SAGEMAKER_"))}
        return {**kept, **self.env}


def command(name: str, state: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "local_sagemaker", name, "--state", str(state), *options]


def up(state: Path, *options: str) -> Service:
    """Start a service in the background, as `./build.sh up --env` does."""
    options = ("--env", "--port", "0", "--backend", "process", "--cores", "2", *options)
    done = subprocess.run(
        command("up", state, *options),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    env = exported(done.stdout)
    return Service(state, env, env["HTTPS_PROXY"])


def exported(lines: str) -> dict[str, str]:
    """Return the variables that a shell exports when it evaluates lines."""
    words = [shlex.split(line) for line in lines.splitlines()]
    pairs = [value.partition("=") for name, value, *_ in words if name == "export"]
    return {name: value for name, _, value in pairs}


def down(service: Service) -> None:
    subprocess.run(command("down", service.state), check=True, timeout=PATIENCE)


def kill(service: Service) -> None:
    """Kill a service, as a crash ends it."""
    os.kill(json.loads((service.state / "service.json").read_text())["pid"], signal.SIGKILL)


def channel(name: str, prefix: str = "", **source: str) -> dict[str, Any]:
    uri = f"s3://{BUCKET}/{prefix or f'data/{name}'}"
    return {
        "ChannelName": name,
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri, **source}},
    }


def training(name: str, **changes: Any) -> dict[str, Any]:
    """Return a request for a job on the planted data; new hyperparameters are added."""
    more = changes.pop("HyperParameters", {})
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "InputDataConfig": [channel("train"), channel("test")],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {
            "InstanceType": "ml.c4.xlarge",
            "InstanceCount": 1,
            "VolumeSizeInGB": 1,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "HyperParameters": {
            "feature_dim": "30",
            "num_factors": "4",
            "predictor_type": "binary_classifier",
            "epochs": "3",
            "mini_batch_size": "100",
            **more,
        },
        **changes,
    }


def processing(s3: Any, name: str, script: str, *arguments: str, **changes: Any) -> dict[str, Any]:
    """Upload a Python script; return a request for a job of it with the image of scikit-learn."""
    s3.put_object(Bucket=BUCKET, Key=f"scripts/{name}/script.py", Body=script.encode())
    code = {
        "S3Uri": f"s3://{BUCKET}/scripts/{name}/script.py",
        "LocalPath": "/opt/ml/processing/code",
        "S3DataType": "S3Prefix",
    }
    return {
        "ProcessingJobName": name,
        "RoleArn": ROLE,
        "AppSpecification": {
            "ImageUri": SKLEARN,
            "ContainerEntrypoint": ["python3", "/opt/ml/processing/code/script.py"],
            **({"ContainerArguments": list(arguments)} if arguments else {}),
        },
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceType": "ml.m5.large",
                "InstanceCount": 1,
                "VolumeSizeInGB": 1,
            }
        },
        **changes,
        "ProcessingInputs": [
            *changes.get("ProcessingInputs", ()),
            {"InputName": "code", "S3Input": code},
        ],
    }


def ended(describe: Callable[..., Any], status: str, **name: str) -> Any:
    """Return the description once its status is final."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        description = describe(**name)
        if description[status] in ("Completed", "Failed", "Stopped", "InService"):
            return description
        time.sleep(0.1)
    raise AssertionError(f"{name} has not ended: {description}")


def eventually(get: Callable[[], Any]) -> Any:
    """Return the first result that is true."""
    until = time.monotonic() + PATIENCE
    while not (result := get()):
        assert time.monotonic() < until
        time.sleep(0.1)
    return result


def run_sdk(service: Service, version: int, *arguments: Any, timeout: float = PATIENCE) -> str:
    """Run a script with an SDK in the environment of `up --env`; return what it printed."""
    done = subprocess.run(
        [sdk.python(version), *map(str, arguments)],
        env=service.environment() | {"COLUMNS": "5000"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout
