"""Processing jobs through boto3 and the SDKs, with the backend `process`."""

import io
import json
import sys
import tarfile
import time
import zipfile

import pytest
from botocore.exceptions import ClientError

from local_sagemaker.backends import scripts
from support import sdk
from support.service import (
    BUCKET,
    IMAGE,
    PATIENCE,
    ROOT,
    SKLEARN,
    down,
    ended,
    kill,
    processing,
    run_sdk,
    training,
    up,
)

GROUP = "/aws/sagemaker/ProcessingJobs"
# Without namespaces a script does not find /opt/ml; test_backends.py has that case.
own_opt_ml = pytest.mark.skipif(
    scripts.namespace_problem() is not None, reason="no mount namespaces on this machine"
)


def source(name, uri, path, **more):
    place = {"S3Uri": f"s3://{BUCKET}/{uri}", "LocalPath": f"/opt/ml/processing/{path}"}
    return {"InputName": name, "S3Input": {**place, "S3DataType": "S3Prefix", **more}}


def output(name, uri, path, mode="EndOfJob"):
    place = {"S3Uri": f"s3://{BUCKET}/{uri}", "LocalPath": f"/opt/ml/processing/{path}"}
    return {"OutputName": name, "S3Output": {**place, "S3UploadMode": mode}}


def outputs(*entries):
    return {"Outputs": list(entries)}


def describe(sm, name):
    return ended(sm.describe_processing_job, "ProcessingJobStatus", ProcessingJobName=name)


@pytest.fixture(scope="module")
def run(sm, s3):
    """Return a function that runs a script as a job to its end."""

    def run_script(name, script, *arguments, **changes):
        sm.create_processing_job(**processing(s3, name, script, *arguments, **changes))
        return describe(sm, name)

    return run_script


def log(service, name):
    events = service.client("logs").filter_log_events(logGroupName=GROUP)["events"]
    return [e["message"] for e in events if e["logStreamName"].startswith(f"{name}/algo-1-")]


def stored(s3, prefix):
    entries = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ())
    return {
        entry["Key"].removeprefix(prefix): s3.get_object(Bucket=BUCKET, Key=entry["Key"])[
            "Body"
        ].read()
        for entry in entries
    }


SCRIPT = """
import json, os, pathlib, sys, pandas
rows = pandas.read_csv("/opt/ml/processing/input/rows.csv")
rows.sum().to_json("/opt/ml/processing/output/sums/sum.json")
pathlib.Path("/opt/ml/processing/output/deep").mkdir()
pathlib.Path("/opt/ml/processing/output/deep/note").write_text(" ".join(sys.argv[1:]))
pathlib.Path("/opt/ml/output/message").write_text("all is well")
pathlib.Path("relative").write_text("in the job's folder")
print("INPUT", sorted(os.listdir("/opt/ml/processing/input")), os.environ["EXTRA"])
for name in ("processingjobconfig", "resourceconfig"):
    print(json.dumps(json.load(open(f"/opt/ml/config/{name}.json"))))
"""


@own_opt_ml
def test_a_script_reads_its_inputs_and_its_outputs_are_uploaded(service, sm, s3):
    s3.put_object(Bucket=BUCKET, Key="processing/rows/rows.csv", Body=b"x,y\n1,2\n3,4\n")
    s3.put_object(Bucket=BUCKET, Key="processing/code/helper.py", Body=b"")
    request = processing(
        s3, "whole", SCRIPT, "--size", "3",
        ProcessingInputs=[
            source("rows", "processing/rows/", "input"),
            source("helper", "processing/code/helper.py", "input/code"),
        ],
        ProcessingOutputConfig=outputs(
            output("all", "processing/all", "output"),
            output("sums", "processing/sums/", "output/sums", "Continuous"),
        ),
        Environment={"EXTRA": "some"},
        Tags=[{"Key": "a", "Value": "b"}],
    )  # fmt: skip
    arn = sm.create_processing_job(**request)["ProcessingJobArn"]
    assert arn == "arn:aws:sagemaker:us-east-1:123456789012:processing-job/whole"
    found = describe(sm, "whole")
    assert (found["ProcessingJobStatus"], found["ExitMessage"]) == ("Completed", "all is well")
    assert found["CreationTime"] <= found["ProcessingStartTime"] < found["ProcessingEndTime"]
    sums = b'{"x":4,"y":6}'
    assert stored(s3, "processing/all/") == {"deep/note": b"--size 3", "sums/sum.json": sums}
    assert stored(s3, "processing/sums/") == {"sum.json": sums}
    versions, inputs, config, resources = log(service, "whole")
    assert versions.startswith(f"Python {sys.version.split()[0]}, scikit-learn ")
    assert versions.endswith(f" of this machine stand in for the image {SKLEARN}.")
    assert inputs == "INPUT ['code', 'rows.csv'] some"
    assert json.loads(resources) == {"current_host": "algo-1", "hosts": ["algo-1"]}
    written = json.loads(config)
    assert written == {key: found[key] for key in written}
    assert {
        *("ProcessingJobArn", "ProcessingJobName", "AppSpecification", "Environment"),
        *("ProcessingInputs", "ProcessingOutputConfig", "ProcessingResources", "RoleArn"),
        "StoppingCondition",
    } == written.keys()
    assert written["ProcessingInputs"][0]["S3Input"]["S3InputMode"] == "File"
    assert written["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400}
    assert sm.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]


WRITE_BOTH = """
import pathlib, sys
for name in ("end", "early"):
    pathlib.Path(f"/opt/ml/processing/{name}/part").write_text(name)
pathlib.Path("/opt/ml/output/message").write_text("half of it")
"""


@own_opt_ml
def test_a_job_that_fails_keeps_only_what_is_uploaded_continuously(run, s3):
    config = outputs(
        output("end", "processing/failed/end", "end"),
        output("early", "processing/failed/early", "early", "Continuous"),
    )
    found = run("failed", WRITE_BOTH + "sys.exit(7)", ProcessingOutputConfig=config)
    assert found["ProcessingJobStatus"] == "Failed"
    assert found["FailureReason"] == "AlgorithmError: , exit code: 7"
    assert found["ExitMessage"] == "half of it"
    assert stored(s3, "processing/failed/") == {"early/part": b"early"}


WAIT = """
import signal, time
def stop(*_):
    pathlib.Path("/opt/ml/processing/early/after").write_text("after SIGTERM")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("WAITS")
time.sleep(600)
"""


@own_opt_ml
@pytest.mark.parametrize("how", ["stop", "limit"])
def test_a_job_is_stopped_by_a_request_and_by_its_time_limit(service, sm, s3, how):
    name, prefix = f"ends-by-{how}", f"processing/stopped/{how}/"
    config = outputs(
        output("end", f"{prefix}end", "end"),
        output("early", f"{prefix}early", "early", "Continuous"),
    )
    limit = {"MaxRuntimeInSeconds": 10 if how == "limit" else 600}
    request = processing(
        s3, name, WRITE_BOTH + WAIT, ProcessingOutputConfig=config, StoppingCondition=limit
    )
    sm.create_processing_job(**request)
    if how == "stop":
        until = time.monotonic() + PATIENCE
        while "WAITS" not in log(service, name):
            assert time.monotonic() < until
            time.sleep(0.1)
        sm.stop_processing_job(ProcessingJobName=name)
    found = describe(sm, name)
    assert (found["ProcessingJobStatus"], found["ExitMessage"]) == ("Stopped", "half of it")
    assert "FailureReason" not in found
    assert stored(s3, prefix) == {"early/part": b"early", "early/after": b"after SIGTERM"}
    noted = "The job was stopped after 10 s, its MaxRuntimeInSeconds."
    assert (noted in log(service, name)) == (how == "limit")
    with pytest.raises(ClientError, match="is in status Stopped"):
        sm.stop_processing_job(ProcessingJobName=name)


@own_opt_ml
def test_jobs_at_the_same_time_have_their_own_opt_ml(sm, s3):
    script = """
import pathlib, sys, time
mine = pathlib.Path("/opt/ml/processing/out/mine")
mine.write_text(sys.argv[1])
time.sleep(2)
"""
    for name in "ab":
        config = outputs(output("out", f"processing/both/{name}", "out"))
        request = processing(s3, f"both-{name}", script, name, ProcessingOutputConfig=config)
        sm.create_processing_job(**request)
    assert [describe(sm, f"both-{name}")["ProcessingJobStatus"] for name in "ab"] == [
        "Completed",
        "Completed",
    ]
    assert stored(s3, "processing/both/") == {"a/mine": b"a", "b/mine": b"b"}


@own_opt_ml
@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("long", 'open(path, "w").write("é" * 600)', "é" * 512),
        ("link", "os.symlink('/etc/hostname', path)", None),
        ("fifo", "os.mkfifo(path)", None),
        ("none", "pass", None),
    ],
)
def test_the_exit_message_is_the_start_of_a_file(service, run, name, write, message):
    found = run(f"message-{name}", f"import os; path = '/opt/ml/output/message'; {write}")
    assert found["ProcessingJobStatus"] == "Completed"
    assert found.get("ExitMessage") == message
    kind = {"link": "a link", "fifo": "a FIFO"}.get(name)
    last = f"/opt/ml/output/message is {kind}, and not a file: it is left out."
    assert (log(service, f"message-{name}")[-1] == last) == (kind is not None)


@own_opt_ml
def test_an_exit_message_that_is_not_utf_8_fails_the_job(run):
    found = run("message-bytes", "open('/opt/ml/output/message', 'wb').write(b'\\xff')")
    assert found["FailureReason"] == "ClientError: /opt/ml/output/message is not text in UTF-8."


@own_opt_ml
def test_links_among_the_outputs_are_left_out_by_name(service, run, s3):
    script = "import os; os.chdir('processing/out'); os.symlink('/etc', 'link'); open('file', 'w')"
    config = outputs(output("out", "processing/links", "out"))
    assert run("links", script, ProcessingOutputConfig=config)["ProcessingJobStatus"] == (
        "Completed"
    )
    assert stored(s3, "processing/links/") == {"file": b""}
    last = "/opt/ml/processing/out/link is a link, and not a file: it is left out."
    assert log(service, "links")[-1] == last


@own_opt_ml
@pytest.mark.parametrize(("isolated", "result"), [(True, "not connected"), (False, "connected")])
def test_an_isolated_script_reaches_no_network(service, run, isolated, result):
    host, port = service.url.removeprefix("http://").split(":")
    script = f"""
import socket
try:
    socket.create_connection(("{host}", {port}), 5).close()
    result = "connected"
except OSError:
    result = "not connected"
open("/opt/ml/output/message", "w").write(result)
"""
    network = {"EnableNetworkIsolation": isolated}
    assert run(f"network-{result[:3]}", script, NetworkConfig=network)["ExitMessage"] == result


@own_opt_ml
def test_what_a_job_installs_is_not_in_the_environment_of_the_service(run, s3):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as wheel:
        wheel.writestr("installed_by_a_job.py", "value = 42\n")
        for file, text in (
            ("METADATA", "Metadata-Version: 2.1\nName: installed-by-a-job\nVersion: 1\n"),
            ("WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
            ("RECORD", ""),
        ):
            wheel.writestr(f"installed_by_a_job-1.dist-info/{file}", text)
    name = "installed_by_a_job-1-py3-none-any.whl"
    s3.put_object(Bucket=BUCKET, Key=f"processing/wheel/{name}", Body=content.getvalue())
    script = f"""
import subprocess, sys
wheel = "/opt/ml/processing/wheel/{name}"
subprocess.run([sys.executable, "-m", "pip", "install", "--no-index", wheel], check=True)
show = "import installed_by_a_job as job; print(job.value, job.__file__)"
text = subprocess.run([sys.executable, "-c", show], check=True, capture_output=True, text=True)
open("/opt/ml/output/message", "w").write(text.stdout)
"""
    found = run("installs", script, ProcessingInputs=[source("wheel", "processing/wheel", "wheel")])
    assert found["ExitMessage"] == "42 /opt/ml/packages/installed_by_a_job.py\n"


def test_a_script_calls_this_service_and_no_account(service, run, s3):
    script = """
import boto3
name = boto3.client("sagemaker").list_processing_jobs(NameContains="calls")
boto3.client("s3").put_object(Bucket="bucket", Key="processing/called", Body=b"by a script")
print(len(name["ProcessingJobSummaries"]), boto3.client("sts").get_caller_identity()["Account"])
"""
    run("calls", script)
    assert log(service, "calls")[-1] == "1 123456789012"
    assert stored(s3, "processing/called") == {"": b"by a script"}


def test_the_image_of_the_algorithm_runs_scripts_too(service, sm, s3):
    request = processing(s3, "ours", "import torch; print('HAS TORCH')")
    request["AppSpecification"]["ImageUri"] = IMAGE
    sm.create_processing_job(**request)
    assert describe(sm, "ours")["ProcessingJobStatus"] == "Completed"
    assert log(service, "ours")[-1] == "HAS TORCH"


def test_a_job_without_input_objects_fails_with_the_name_of_the_input(run):
    found = run("no-objects", "", ProcessingInputs=[source("rows", "processing/nothing", "in")])
    assert found["ProcessingJobStatus"] == "Failed"
    assert "no S3 objects found under" in found["FailureReason"]
    assert "'rows'" in found["FailureReason"]


def change(path, value):
    """Return a function that sets a member of a request with an input and an output."""

    def apply(request):
        inner = request
        *parents, last = path.split(".")
        for name in parents:
            inner = inner[int(name)] if name.isdigit() else inner[name]
        inner[last] = value

    return apply


SPARK = "1.dkr.ecr.us-east-1.amazonaws.com/sagemaker-spark-processing:3"
CLUSTER = "ProcessingResources.ClusterConfig"
ENTRY, END = "ProcessingInputs.0", "ProcessingOutputConfig.Outputs.0"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({f"{ENTRY}.S3Input.LocalPath": "/data"}, "begin with /opt/ml/processing/.*'/data'"),
        ({f"{ENTRY}.S3Input.LocalPath": "/opt/ml/processing/../../etc"}, "have no .."),
        ({f"{ENTRY}.S3Input.LocalPath": None}, "Input rows: LocalPath must begin"),
        ({f"{END}.S3Output.LocalPath": "/opt/ml/model"}, "Output out: LocalPath must begin"),
        ({f"{END}.S3Output.LocalPath": "/opt/ml/processing/in/"}, "LocalPath must be unique"),
        ({f"{ENTRY}.S3Input.S3InputMode": "Pipe"}, "S3InputMode Pipe is not offered here"),
        ({f"{ENTRY}.S3Input.S3CompressionType": "Gzip"}, "S3CompressionType Gzip is for"),
        ({f"{ENTRY}.S3Input.S3Uri": "https://bucket/a"}, "must look like s3://bucket/prefix"),
        ({f"{ENTRY}.S3Input": None}, "Input rows must have an S3Input here"),
        ({f"{ENTRY}.AppManaged": True}, "AppManaged True is not offered here"),
        ({f"{ENTRY}.DatasetDefinition": {"LocalPath": "/a"}}, "DatasetDefinition is not offered"),
        ({f"{END}.S3Output": None}, "Output out must have an S3Output here"),
        ({f"{END}.FeatureStoreOutput": {"FeatureGroupName": "f"}}, "FeatureStoreOutput is not"),
        ({f"{END}.S3Output.S3Uri": "s3://no-such-bucket/a"}, '"no-such-bucket" does not exist'),
        ({"AppSpecification.ContainerEntrypoint": None}, "needs a ContainerEntrypoint"),
        (
            {"AppSpecification.ImageUri": SPARK},
            "sagemaker-scikit-learn and factorization-machines alone, not with"
            ".*spark-processing:3; with --backend docker",
        ),
        ({f"{CLUSTER}.InstanceCount": 2}, "InstanceCount must be 1 with"),
        ({f"{CLUSTER}.InstanceType": None}, "InstanceType is required"),
        (
            {f"{CLUSTER}.InstancePreferences": [{"InstanceType": "ml.m5.large"}]},
            "InstancePreferences is not offered",
        ),
    ],
)  # fmt: skip
def test_what_is_not_offered_is_refused_by_name(sm, s3, changes, message):
    request = processing(
        s3, "refused", "",
        ProcessingInputs=[source("rows", "processing/rows", "in")],
        ProcessingOutputConfig=outputs(output("out", "processing/refused", "out")),
    )  # fmt: skip
    for path, value in changes.items():
        change(path, value)(request)
    request = without_nothing(request)
    with pytest.raises(ClientError, match=message) as raised:
        sm.create_processing_job(**request)
    assert raised.value.response["Error"]["Code"] == "ValidationException"


def without_nothing(value):
    if isinstance(value, dict):
        return {k: without_nothing(v) for k, v in value.items() if v is not None}
    return [without_nothing(v) for v in value] if isinstance(value, list) else value


def test_names_of_inputs_are_unique(sm, s3):
    twice = [source("rows", "processing/rows", path) for path in ("a", "b")]
    with pytest.raises(ClientError, match="InputName must be unique within a job; got 'rows' 2"):
        sm.create_processing_job(**processing(s3, "twice", "", ProcessingInputs=twice))


def test_jobs_are_listed_and_deleted_and_have_a_trial_component(sm, s3, run):
    sm.create_experiment(ExperimentName="processing")
    config = {"ExperimentName": "processing", "TrialComponentDisplayName": "prepare"}
    made = run(
        "listed-one", "",
        ExperimentConfig=config,
        ProcessingOutputConfig=outputs(output("out", "processing/listed", "out")),
    )  # fmt: skip
    with pytest.raises(sm.exceptions.ResourceInUse, match="already exists"):
        sm.create_processing_job(**processing(s3, "listed-one", ""))
    run("listed-two", "raise SystemExit(1)")
    listed = sm.list_processing_jobs(NameContains="listed-", SortBy="Name")
    summaries = listed["ProcessingJobSummaries"]
    assert [each["ProcessingJobName"] for each in summaries] == ["listed-one", "listed-two"]
    assert summaries[1]["FailureReason"] == "AlgorithmError: , exit code: 1"
    failed = sm.list_processing_jobs(NameContains="listed-", StatusEquals="Failed")
    assert [e["ProcessingJobName"] for e in failed["ProcessingJobSummaries"]] == ["listed-two"]
    name = "listed-one-aws-processing-job"
    component = sm.describe_trial_component(TrialComponentName=name)
    assert component["DisplayName"] == "prepare"
    assert component["Source"] == {
        "SourceArn": made["ProcessingJobArn"],
        "SourceType": "SageMakerProcessingJob",
    }
    assert component["Status"]["PrimaryStatus"] == "Completed"
    assert component["InputArtifacts"] == {
        "SageMaker.ImageUri": {"Value": SKLEARN},
        "code": {"Value": f"s3://{BUCKET}/scripts/listed-one/script.py"},
    }
    assert component["OutputArtifacts"] == {"out": {"Value": f"s3://{BUCKET}/processing/listed"}}
    assert component["Parameters"]["SageMaker.InstanceType"] == {"StringValue": "ml.m5.large"}
    trials = sm.list_trials(ExperimentName="processing")["TrialSummaries"]
    assert [trial["TrialName"] for trial in trials] == ["listed-one"]
    sm.delete_processing_job(ProcessingJobName="listed-one")
    for call, member in (
        (sm.describe_processing_job, {"ProcessingJobName": "listed-one"}),
        (sm.describe_trial_component, {"TrialComponentName": name}),
    ):
        with pytest.raises(sm.exceptions.ResourceNotFound):
            call(**member)


def test_the_python_of_the_option_stands_in_for_the_image(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_SAGEMAKER_SKLEARN_PYTHON", "/nowhere/python")
    started = up(tmp_path / "state")
    try:
        sm, s3 = started.client("sagemaker"), started.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        with pytest.raises(ClientError, match="/nowhere/python cannot be run: No such file"):
            sm.create_processing_job(**processing(s3, "elsewhere", ""))
    finally:
        down(started)


def test_a_restart_marks_a_running_job_failed_and_keeps_the_logs(tmp_path):
    started = up(tmp_path / "state")
    sm, s3 = started.client("sagemaker"), started.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    sm.create_processing_job(**processing(s3, "done", "print('LINE')"))
    assert describe(sm, "done")["ProcessingJobStatus"] == "Completed"
    sm.create_processing_job(**processing(s3, "runs", "import time; time.sleep(600)"))
    until = time.monotonic() + PATIENCE
    while not list((tmp_path / "state" / "processes").iterdir()):
        assert time.monotonic() < until
        time.sleep(0.1)
    kill(started)
    started = up(tmp_path / "state")
    try:
        sm = started.client("sagemaker")
        lost = sm.describe_processing_job(ProcessingJobName="runs")
        reason = "InternalServerError: the local service ended while the job ran."
        assert (lost["ProcessingJobStatus"], lost["FailureReason"]) == ("Failed", reason)
        assert log(started, "done")[1:] == ["LINE"]
        assert list((tmp_path / "state" / "processes").iterdir()) == []
    finally:
        down(started)


@own_opt_ml
@pytest.mark.sdk
@pytest.mark.parametrize("version", [2, 3])
def test_the_processors_of_an_sdk_run_unchanged(service, version):
    if reason := sdk.missing(version, containers=False):
        pytest.skip(reason)
    script = ROOT / f"tests/service/processing_v{version}.py"
    printed = run_sdk(service, version, script, IMAGE)
    expected = {
        2: [
            *("HELPER 7 3", "SKLEARN Completed 8 4", "FRAMEWORK Completed 8 4"),
            "AGAIN ['input-1', 'input-2', 'code'] 8",
            *("REASON AlgorithmError: , exit code: 4", "MESSAGE no rows"),
            *("STOPPED Stopped", "LISTED 1"),
        ],
        3: [
            *("HEAD 3", "SCRIPT Completed 4", "HEAD 4", "FRAMEWORK Completed 5"),
            *("REASON AlgorithmError: , exit code: 4", "MESSAGE no rows", "LEFT []"),
        ],
    }[version]
    lines = printed.splitlines()
    assert [line for line in expected if line not in lines] == [], printed


@own_opt_ml
def test_a_training_job_runs_its_own_entry_point_too(sm, s3):
    request = training("own-entry-point")
    request["AlgorithmSpecification"]["ContainerEntrypoint"] = ["sh", "-c"]
    request["AlgorithmSpecification"]["ContainerArguments"] = [
        "ls /opt/ml/input/data > /opt/ml/model/channels"
    ]
    sm.create_training_job(**request)
    found = ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="own-entry-point")
    uri = found["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{BUCKET}/")
    packed = s3.get_object(Bucket=BUCKET, Key=uri)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as model:
        channels = model.extractfile("channels")
        assert channels is not None and channels.read() == b"test\ntrain\n"


@own_opt_ml
def test_a_bucket_that_is_gone_at_the_end_fails_the_job_with_its_message(sm, s3):
    s3.create_bucket(Bucket="processing-gone")
    script = """
import boto3
boto3.client("s3").delete_bucket(Bucket="processing-gone")
open("/opt/ml/processing/out/file", "w").close()
open("/opt/ml/output/message", "w").write("deleted it")
"""
    request = processing(
        s3, "gone", script, ProcessingOutputConfig=outputs(output("out", "x", "out"))
    )
    place = request["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]
    place["S3Uri"] = "s3://processing-gone/out"
    sm.create_processing_job(**request)
    found = describe(sm, "gone")
    assert (found["ProcessingJobStatus"], found["ExitMessage"]) == ("Failed", "deleted it")
    assert "file cannot be an object of S3" in found["FailureReason"]
    assert "bucket does not exist" in found["FailureReason"]
