"""The console's pages of processing jobs and pipelines in a real browser."""

import json

import pytest
from playwright.sync_api import Page, expect

from support.console import choose_page
from support.service import BUCKET, IMAGE, ROLE, ended, training

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=\"document.title='run'\">"


def processing(script):
    """Return the arguments of a job that runs a Python script."""
    source = {"S3Uri": f"s3://{BUCKET}/data/test", "LocalPath": "/opt/ml/processing/in"}
    return {
        "RoleArn": ROLE,
        "AppSpecification": {
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["python3", "-c", script],
            "ContainerArguments": [HOSTILE],
        },
        "ProcessingInputs": [
            {
                "InputName": "rows",
                "S3Input": {**source, "S3DataType": "S3Prefix", "S3InputMode": "File"},
            }
        ],
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": "ml.m5.large",
                "VolumeSizeInGB": 1,
            }
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }


def train(name, **members):
    arguments = training("-", HyperParameters={"epochs": "1"})
    del arguments["TrainingJobName"]
    return {"Name": name, "Type": "Training", "Arguments": arguments, **members}


def create(sm, name, *steps, parameters=()):
    content = {"Version": "2020-12-01", "Parameters": list(parameters), "Steps": list(steps)}
    text = json.dumps(content)
    sm.create_pipeline(
        PipelineName=name, PipelineDefinition=text, PipelineDescription=HOSTILE, RoleArn=ROLE
    )


def open_page(page: Page, fragment):
    page.goto(f"{page.url.partition('#')[0]}{fragment}")


def test_a_processing_job_has_a_log_inputs_and_can_be_stopped(page: Page, sm):
    script = f"import time; print({HOSTILE!r}, flush=True); time.sleep(600)"
    sm.create_processing_job(ProcessingJobName="shown", **processing(script))
    choose_page(page, "Processing")
    page.get_by_role("link", name="shown", exact=True).click()
    expect(page.locator("pre")).to_contain_text(HOSTILE)
    expect(page.get_by_role("row", name=f"rows s3://{BUCKET}/data/test")).to_be_visible()
    expect(page.get_by_role("row", name="Arguments")).to_contain_text("<img src=x onerror=")
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(page.locator("main")).to_contain_text("Stopped")
    assert page.locator("main img").count() == 0


def test_a_transform_job_has_its_model_its_input_and_its_output(page: Page, sm, s3):
    sm.create_training_job(**training("to-transform"))
    job = ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="to-transform")
    container = {"Image": IMAGE, "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"]}
    sm.create_model(ModelName="used", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    s3.put_object(Bucket=BUCKET, Key="lines/part", Body=b"0 1:1\n")
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/lines"}
    sm.create_transform_job(
        TransformJobName="transformed",
        ModelName="used",
        TransformInput={"DataSource": {"S3DataSource": source}, "ContentType": "text/libsvm"},
        TransformOutput={"S3OutputPath": f"s3://{BUCKET}/scores"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    choose_page(page, "Batch transform")
    page.get_by_role("link", name="transformed", exact=True).click()
    expect(page.get_by_text("Completed")).to_be_visible()
    expect(page.get_by_role("row", name="ModelName used", exact=True)).to_be_visible()
    page.get_by_role("link", name=f"s3://{BUCKET}/scores").click()
    expect(page.get_by_role("link", name="part.out")).to_be_visible()


def test_an_execution_is_a_graph_with_the_states_of_its_steps(page: Page, sm):
    least = {"Type": "LessThan", "LeftValue": {"Get": "Parameters.Size"}, "RightValue": 3}
    check = {
        "Name": "Check",
        "Type": "Condition",
        "DependsOn": ["Train"],
        "Arguments": {
            "Conditions": [least],
            "IfSteps": [train("Small", DependsOn=["Train"])],
            "ElseSteps": [
                {"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": f"too {HOSTILE}"}}
            ],
        },
    }
    size = {"Name": "Size", "Type": "Integer", "DefaultValue": 9}
    create(sm, "graph", train("Train", DisplayName=HOSTILE), check, parameters=[size])
    choose_page(page, "Pipelines")
    page.get_by_role("link", name="graph", exact=True).click()
    expect(page.get_by_role("cell", name=HOSTILE)).to_be_visible()
    graph = page.get_by_label("Steps")
    expect(graph.locator(".node")).to_have_count(4)
    page.get_by_role("button", name="Start").click()
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    expect(graph.locator(".node.status-Failed")).to_contain_text("Stop: Fail, Failed")
    expect(graph.locator(".node.status-Succeeded")).to_have_count(2)
    expect(graph.locator(".node.status-Skipped")).to_contain_text("Small")
    expect(graph.get_by_text("Condition: False", exact=True)).to_be_visible()
    expect(graph.locator(".edge")).to_have_count(3)  # none that another path implies
    expect(graph.locator(".branch")).to_have_text(["True", "False"])
    expect(page.get_by_role("row", name="Size 9", exact=True)).to_be_visible()
    expect(page.locator(".reason").first).to_contain_text(f"Stop: too {HOSTILE}")
    assert page.locator("main img").count() == 0
    execution = page.url
    graph.get_by_role("link").first.click()  # the job of the step Train
    expect(page.get_by_role("heading", name="Log")).to_be_visible()
    page.goto(execution)
    page.get_by_role("button", name="Retry").click()
    page.get_by_role("dialog").get_by_role("button", name="Retry").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(graph.locator(".node.status-Failed")).to_contain_text("Stop: Fail, Failed")


def test_an_execution_moves_and_can_be_stopped(page: Page, sm):
    step = {"Name": "Wait", "Type": "Processing"}
    step["Arguments"] = processing("import time; time.sleep(600)")
    create(sm, "moving", step, train("After", DependsOn=["Wait"]))
    arn = sm.start_pipeline_execution(PipelineName="moving")["PipelineExecutionArn"]
    open_page(page, f"#/pipelines/moving/{arn.rpartition('/')[2]}")
    running = page.get_by_label("Steps").locator(".node.status-Executing .state")
    before = running.text_content()
    expect(running).not_to_have_text(before or "")
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    for title, status in (("Wait", "Stopped"), ("After", "NotRun")):
        node = page.get_by_label("Steps").locator(f".node.status-{status}")
        expect(node).to_contain_text(title)
    open_page(page, "#/pipelines/moving")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Pipelines")).to_be_visible()
    expect(page.get_by_role("link", name="moving", exact=True)).to_have_count(0)
