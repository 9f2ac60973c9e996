"""The service's own paths: /_local-sagemaker/health and /_local-sagemaker/reset."""

import concurrent.futures
import contextlib
import json
import threading
import time
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

from support.recordio import sparse_file
from support.service import BUCKET, IMAGE, PATIENCE, ROLE, down, ended, kill, planted, training, up

# moto has a metric of each bucket as well.
FILTERS = {"list_metrics": {"Namespace": "/aws/sagemaker/TrainingJobs"}}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """Return a service of this module's own, since others must not lose what they have."""
    started = up(tmp_path_factory.mktemp("reset") / "state")
    yield started
    down(started)


def ask(service, path, method="GET", **headers):
    """Return the status and the body of a response of the service."""
    url = f"{service.url}/_local-sagemaker/{path}"
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, method=method, headers=fields), timeout=PATIENCE
        ) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def reset(service):
    status, answer = ask(service, "reset", "POST")
    assert status == 200, answer
    return answer["removed"]


def fill(service):
    s3 = service.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for seed, name in enumerate(("train", "test")):
        x, y = planted(seed)
        s3.put_object(Bucket=BUCKET, Key=f"data/{name}/part-0", Body=sparse_file(x, y))


def model(sm, name):
    sm.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE})


def endpoint(service, artifact):
    sm = service.client("sagemaker")
    container = {"Image": IMAGE, "ModelDataUrl": artifact}
    sm.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {"VariantName": "v", "ModelName": "m", "InitialInstanceCount": 1}
    sm.create_endpoint_config(
        EndpointConfigName="c", ProductionVariants=[{**variant, "InstanceType": "ml.m5.large"}]
    )
    sm.create_endpoint(EndpointName="e", EndpointConfigName="c")
    ended(sm.describe_endpoint, "EndpointStatus", EndpointName="e")


def left(service):
    """Return what a service has, by the operation that lists it."""
    clients = {name: service.client(name) for name in ("sagemaker", "s3", "logs", "cloudwatch")}
    operations = {
        "sagemaker": ("list_training_jobs", "list_models", "list_endpoints", "list_trials"),
        "s3": ("list_buckets",),
        "logs": ("describe_log_groups",),
        "cloudwatch": ("list_metrics",),
    }
    listed = {}
    for name, client in clients.items():
        for operation in operations[name]:
            answer = getattr(client, operation)(**FILTERS.get(operation, {}))
            listed[operation] = next(v for v in answer.values() if isinstance(v, list))
    roles = service.client("iam").list_roles()["Roles"]
    listed["list_roles"] = [r["RoleName"] for r in roles if r["RoleName"] == "mine"]
    return {operation: entries for operation, entries in listed.items() if entries}


def processes(service):
    return list((service.state / "processes").glob("*"))


def test_health_says_what_runs(service):
    reset(service)
    status, health = ask(service, "health")
    assert (status, health["status"], health["backend"]) == (200, "ready", "process")
    assert health["url"] == service.url
    assert set(health["services"].values()) == {"ready"}
    model(service.client("sagemaker"), "m")
    assert ask(service, "health")[1]["resources"]["training-job"] == {}


@pytest.mark.parametrize(
    ("path", "method", "headers", "status"),
    [
        ("reset", "GET", {}, 405),
        ("health", "POST", {}, 405),
        ("shutdown", "POST", {}, 404),
        ("reset", "POST", {"Origin": "https://evil.example"}, 403),
        ("reset", "POST", {"Host": "evil.example"}, 403),
        ("reset", "POST", {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}, 403),
        ("health", "GET", {"Origin": "https://evil.example"}, 403),
    ],
)
def test_other_sites_cannot_reset(service, path, method, headers, status):
    reset(service)
    model(service.client("sagemaker"), "kept")
    assert ask(service, path, method, **headers)[0] == status
    assert list(left(service)) == ["list_models"]


def test_a_reset_leaves_nothing_and_nothing_comes_back(tmp_path):
    service = up(tmp_path / "state")
    try:
        fill(service)
        service.client("iam").create_role(RoleName="mine", AssumeRolePolicyDocument="{}")
        sm = service.client("sagemaker")
        sm.create_training_job(**training("done", Tags=[{"Key": "k", "Value": "v"}]))
        job = ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="done")
        endpoint(service, job["ModelArtifacts"]["S3ModelArtifacts"])
        for name in ("running", "queued-1", "queued-2"):
            sm.create_training_job(**training(name, HyperParameters={"epochs": "100000"}))
        before = left(service)
        assert len(before) == 7, before
        removed = reset(service)
        assert (removed["training-job"], removed["endpoint"], removed["bucket"]) == (4, 1, 1)
        assert left(service) == {}
        fill(service)  # nothing of the jobs that ran may reach the new bucket
        until = time.monotonic() + PATIENCE
        while processes(service) and time.monotonic() < until:
            time.sleep(0.05)
        assert processes(service) == []
        assert list(left(service)) == ["list_buckets"]
        keys = service.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
        assert [entry["Key"] for entry in keys] == ["data/test/part-0", "data/train/part-0"]
        sm.create_training_job(**training("done"))
        again = ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="done")
        assert again["TrainingJobStatus"] == "Completed"
        assert sm.list_tags(ResourceArn=again["TrainingJobArn"])["Tags"] == []
        reset(service)
        kill(service)
        service = up(tmp_path / "state")
        assert left(service) == {}
        assert not list((service.state / "bodies").iterdir())
    finally:
        down(service)


def test_what_is_created_during_a_reset_is_gone_or_whole(tmp_path):
    service = up(tmp_path / "state")
    try:
        ending = threading.Event()

        sm, s3 = service.client("sagemaker"), service.client("s3")

        def create(worker):
            for number in range(10_000):
                if ending.is_set():
                    return
                name = f"{worker}-{number}"
                with contextlib.suppress(ClientError):  # reset meanwhile
                    s3.create_bucket(Bucket=BUCKET)
                    s3.put_object(Bucket=BUCKET, Key=name, Body=b"1" * 300_000)
                    model(sm, name)
                    sm.create_training_job(**training(name))  # fails: it has no data

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            workers = [pool.submit(create, worker) for worker in range(4)]
            for _ in range(6):
                time.sleep(0.4)  # some are complete then
                reset(service)
            ending.set()
            for worker in workers:
                worker.result(PATIENCE)
        for job in sm.list_training_jobs(MaxResults=100)["TrainingJobSummaries"]:
            name = job["TrainingJobName"]
            ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
        before = {operation: len(entries) for operation, entries in left(service).items()}
        kill(service)
        service = up(tmp_path / "state")
        after = {operation: len(entries) for operation, entries in left(service).items()}
        names = ("list_training_jobs", "list_models", "list_buckets")
        assert [after.get(n) for n in names] == [before.get(n) for n in names]
    finally:
        down(service)
