"""Processing jobs by the SDK v2: each of its processors for scripts, unchanged.

Argument: an image for ScriptProcessor and Processor.
"""

import pathlib
import sys
import tempfile

import boto3
import sagemaker
from sagemaker.exceptions import UnexpectedStatusException
from sagemaker.processing import (
    FrameworkProcessor,
    ProcessingInput,
    ProcessingJob,
    ProcessingOutput,
    Processor,
    ScriptProcessor,
)
from sagemaker.sklearn import SKLearn
from sagemaker.sklearn.processing import SKLearnProcessor

SPLIT = """
import argparse
import pandas
from sklearn.model_selection import train_test_split
import helper

parser = argparse.ArgumentParser()
parser.add_argument("--test-size", type=float)
arguments = parser.parse_args()
rows = pandas.read_csv("/opt/ml/processing/input/rows.csv")
train, test = train_test_split(rows, test_size=arguments.test_size, random_state=0)
train.to_csv("/opt/ml/processing/train/train.csv", index=False)
test.to_csv("/opt/ml/processing/test/test.csv", index=False)
print(helper.text(len(train), len(test)))
"""
HELPER = "def text(*numbers):\n    return 'HELPER ' + ' '.join(map(str, numbers))\n"
FAIL = "import sys\nopen('/opt/ml/output/message', 'w').write('no rows')\nsys.exit(4)\n"

session, role = sagemaker.Session(), sagemaker.get_execution_role()
bucket, s3 = session.default_bucket(), boto3.client("s3")
folder = pathlib.Path(tempfile.mkdtemp())
(folder / "rows.csv").write_text("x,y\n" + "".join(f"{i},{i % 2}\n" for i in range(10)))
(folder / "split.py").write_text(SPLIT)
(folder / "helper.py").write_text(HELPER)
(folder / "fail.py").write_text(FAIL)
instances = {"role": role, "instance_count": 1, "instance_type": "ml.m5.large"}
files = {
    "inputs": [ProcessingInput(str(folder / "rows.csv"), "/opt/ml/processing/input")],
    "outputs": [
        ProcessingOutput(output_name=name, source=f"/opt/ml/processing/{name}")
        for name in ("train", "test")
    ],
    "arguments": ["--test-size", "0.3"],
}


def lines(job, name):
    """Return how many lines an output's file has."""
    uri = next(output.destination for output in job.outputs if output.output_name == name)
    place = uri.removeprefix(f"s3://{bucket}/")
    content = s3.get_object(Bucket=bucket, Key=f"{place}/{name}.csv")["Body"].read()
    return content.count(b"\n")


def run(title, processor, **arguments):
    """Run a job to its end, with its log, and show its outputs."""
    processor.run(**arguments)
    job = processor.latest_job
    status = job.describe()["ProcessingJobStatus"]
    print(title, status, *(lines(job, output.output_name) for output in job.outputs))


# A script alone; its module comes as another input beside it.
helper = ProcessingInput(str(folder / "helper.py"), "/opt/ml/processing/input/helper")
sklearn = SKLearnProcessor(
    framework_version="1.2-1", env={"PYTHONPATH": "/opt/ml/processing/input/helper"}, **instances
)
run(
    "SKLEARN",
    sklearn,
    code=str(folder / "split.py"),
    **{**files, "inputs": [*files["inputs"], helper]},
)
again = ProcessingJob.from_processing_name(session, sklearn.latest_job.job_name)
print("AGAIN", [item.input_name for item in again.inputs], lines(again, "train"))

framework = FrameworkProcessor(SKLearn, framework_version="1.2-1", **instances)
run("FRAMEWORK", framework, code="split.py", source_dir=str(folder), **files)

script = ScriptProcessor(image_uri=sys.argv[1], command=["python3"], **instances)
try:
    script.run(code=str(folder / "fail.py"))
except UnexpectedStatusException as error:
    print("REASON", str(error).partition("Reason: ")[2].partition(". Check")[0])
print("MESSAGE", script.latest_job.describe()["ExitMessage"])

plain = Processor(
    image_uri=sys.argv[1],
    entrypoint=["sh", "-c", "echo begun > /opt/ml/processing/out/part; sleep 600"],
    **instances,
)
output = ProcessingOutput(
    source="/opt/ml/processing/out", output_name="out", s3_upload_mode="Continuous"
)
plain.run(outputs=[output], wait=False, logs=False)
client = boto3.client("sagemaker")
name = plain.latest_job.job_name
plain.latest_job.stop()
plain.latest_job.wait(logs=False)
print("STOPPED", plain.latest_job.describe()["ProcessingJobStatus"])
found = client.list_processing_jobs(StatusEquals="Stopped", NameContains=name)
print("LISTED", len(found["ProcessingJobSummaries"]))
sys.stdout.flush()
