"""Processing jobs by the SDK v3: its processors for scripts, and the resource itself."""

import pathlib
import tempfile

import boto3
from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.processing import FrameworkProcessor, ScriptProcessor
from sagemaker.core.resources import ProcessingJob
from sagemaker.core.shapes import (
    AppSpecification,
    ProcessingClusterConfig,
    ProcessingInput,
    ProcessingOutput,
    ProcessingResources,
    ProcessingS3Input,
    ProcessingS3Output,
)
from sagemaker.core.utils.exceptions import FailedStatusError

SPLIT = """
import sys
import pandas

rows = pandas.read_csv("/opt/ml/processing/input/rows.csv")
rows.head(int(sys.argv[1])).to_csv("/opt/ml/processing/head/head.csv", index=False)
print("HEAD", sys.argv[1])
"""

session, role = Session(), get_execution_role()
bucket, s3 = session.default_bucket(), boto3.client("s3")
folder = pathlib.Path(tempfile.mkdtemp())
(folder / "split.py").write_text(SPLIT)
s3.put_object(Bucket=bucket, Key="v3/rows.csv", Body="x,y\n" + "1,2\n" * 10)
image = image_uris.retrieve("sklearn", "us-east-1", version="1.2-1", instance_type="ml.m5.large")
instances = {"role": role, "instance_count": 1, "instance_type": "ml.m5.large", "image_uri": image}


def run(title, processor, rows, **code):
    """Run a job to its end, with its log, and show how many lines its output has."""
    source = ProcessingS3Input(
        s3_uri=f"s3://{bucket}/v3/rows.csv",
        local_path="/opt/ml/processing/input",
        s3_data_type="S3Prefix",
        s3_input_mode="File",
    )
    output = ProcessingS3Output(
        s3_uri=f"s3://{bucket}/v3/{title}",
        local_path="/opt/ml/processing/head",
        s3_upload_mode="EndOfJob",
    )
    processor.run(
        inputs=[ProcessingInput(input_name="rows", s3_input=source)],
        outputs=[ProcessingOutput(output_name="head", s3_output=output)],
        arguments=[rows],
        **code,
    )
    job = ProcessingJob.get(processor.latest_job.processing_job_name)
    content = s3.get_object(Bucket=bucket, Key=f"v3/{title}/head.csv")["Body"].read()
    print(title, job.processing_job_status, content.count(b"\n"))


run("SCRIPT", ScriptProcessor(command=["python3"], **instances), "3", code=str(folder / "split.py"))
run("FRAMEWORK", FrameworkProcessor(**instances), "4", code="split.py", source_dir=str(folder))

fail = "import sys; open('/opt/ml/output/message', 'w').write('no rows'); sys.exit(4)"
job = ProcessingJob.create(
    processing_job_name="fails-v3",
    processing_resources=ProcessingResources(
        cluster_config=ProcessingClusterConfig(
            instance_count=1, instance_type="ml.m5.large", volume_size_in_gb=1
        )
    ),
    app_specification=AppSpecification(
        image_uri=image, container_entrypoint=["python3", "-c", fail]
    ),
    role_arn=role,
)
try:
    job.wait(poll=1)
except FailedStatusError as error:
    print("REASON", str(error).partition("Reason: ")[2])
job.refresh()
print("MESSAGE", job.exit_message)
job.delete()
print("LEFT", [each.processing_job_name for each in ProcessingJob.get_all(name_contains="fails")])
