"""docker/compose.yaml: the service in a container, and the lab against it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_sagemaker.lab.printed import parse
from support import docker, sdk
from support.job import PATIENCE, free_port
from support.ratings import write_ratings
from support.service import BUCKET, ROOT, Service, ended, exported, processing, run_sdk

COMPOSE = ROOT / "docker" / "compose.yaml"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Return the URL of a service that `docker compose up` started and that is healthy."""
    if reason := docker.missing("local-sagemaker:latest") or sdk.missing(2, containers=False):
        pytest.skip(reason)
    project, port = f"fm-test-{os.getpid()}", str(free_port())
    words = ["docker", "compose"] if sdk.has_compose_plugin() else ["docker-compose"]
    words += ["--file", str(COMPOSE), "--project-name", project]
    environment = {**os.environ, "LOCAL_SAGEMAKER_PORT": port}

    def compose(*arguments: str) -> str:
        done = subprocess.run(
            [*words, *arguments], env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        compose("up", "--detach")
        url = f"http://127.0.0.1:{port}"
        assert "status: ready" in local_sagemaker("status", "--url", url, "--wait")
        yield url
        (container,) = compose("ps", "--quiet").split()
        shown = docker.docker("inspect", "--format", "{{json .State}}", container).stdout
        state = json.loads(shown)
        assert (state["Status"], state["Health"]["Status"]) == ("running", "healthy")
    finally:
        compose("down", "--volumes", "--timeout", "20")


def local_sagemaker(*arguments: str) -> str:
    command = [sys.executable, "-m", "local_sagemaker", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_lab_as_it_is_written(url: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    write_ratings(tmp_path)
    env = exported(local_sagemaker("env", "--url", url))
    assert env["HTTPS_PROXY"] == url and Path(env["AWS_CA_BUNDLE"]).is_relative_to(tmp_path)
    service = Service(tmp_path, env, url)
    output = run_sdk(service, 2, ROOT / "tests" / "service" / "lab2.py", tmp_path)
    log = parse(output.splitlines())
    assert log.test["binary_classification_accuracy"] > 0.65
    assert len(re.findall(r"'predicted_label': [01]\.0", output)) == 10


def test_a_processing_job_has_the_packages_of_the_scikit_learn_image(url: str, tmp_path) -> None:
    service = Service(tmp_path, {}, url)
    sm, s3 = service.client("sagemaker"), service.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    script = "import pathlib, sys, pandas, sklearn; pathlib.Path(sys.argv[1]).write_text('done')"
    place = {"S3Uri": f"s3://{BUCKET}/out", "LocalPath": "/opt/ml/processing/out"}
    output = {"OutputName": "out", "S3Output": {**place, "S3UploadMode": "EndOfJob"}}
    request = processing(
        s3, "packages", script, "/opt/ml/processing/out/file",
        ProcessingOutputConfig={"Outputs": [output]},
    )  # fmt: skip
    sm.create_processing_job(**request)
    job = ended(sm.describe_processing_job, "ProcessingJobStatus", ProcessingJobName="packages")
    assert job["ProcessingJobStatus"] == "Completed", job
    assert s3.get_object(Bucket=BUCKET, Key="out/file")["Body"].read() == b"done"
