"""The console's pages of endpoints, models, experiments and model packages in a real browser."""

import io
import json
import tarfile

import pytest
from playwright.sync_api import Page, expect

from support.console import choose_page
from support.service import BUCKET, IMAGE, ROLE, ended, training

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=\"document.title='run'\">"


@pytest.fixture(scope="module")
def job(sm):
    """Return a job of an experiment."""
    sm.create_experiment(ExperimentName="pages", Description=HOSTILE)
    config = {"ExperimentName": "pages", "TrialComponentDisplayName": "A-run"}
    sm.create_training_job(**training("pages", ExperimentConfig=config))
    return ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="pages")


@pytest.fixture(scope="module")
def model(sm, job):
    return create_model(sm, "page-model", job["ModelArtifacts"]["S3ModelArtifacts"])


@pytest.fixture(scope="module")
def endpoint(sm, model):
    """Return the name of an endpoint with two variants."""
    return open_endpoint(sm, "tried", {"Blue": model, "Green": model})


def open_endpoint(sm, name, models):
    variants = [
        {
            "VariantName": variant,
            "ModelName": model,
            "InitialInstanceCount": 1,
            "InstanceType": "ml.c4.xlarge",
        }
        for variant, model in models.items()
    ]
    sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)
    sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    ended(sm.describe_endpoint, "EndpointStatus", EndpointName=name)
    return name


def create_model(sm, name, uri, **members):
    container = {"Image": IMAGE, "ModelDataUrl": uri, **members}
    sm.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    return name


def test_an_endpoint_can_be_tried(page: Page, endpoint):
    choose_page(page, "Endpoints")
    page.get_by_role("link", name=endpoint, exact=True).click()
    expect(page.get_by_text("binary_classifier of 30 features")).to_be_visible()
    answer, send = page.locator("#answer"), page.get_by_role("button", name="Send")
    sparse = json.loads(page.get_by_label("Body").input_value())
    assert sparse == {"instances": [{"features": {"keys": [0, 29], "values": [1, 1]}}]}
    scores = []
    for example in ("JSON, sparse", "JSON, dense", "JSON Lines", "CSV", "LibSVM"):
        page.get_by_label("Example").select_option(example)
        send.click()
        expect(answer).to_contain_text("200 · ")
        expect(answer).to_contain_text('"score":')
        text = (answer.text_content() or "").partition("\n")[2]
        scores.append(text.partition('"score":')[2].partition(",")[0])
        page.evaluate("document.getElementById('answer').textContent = ''")
    assert len(set(scores)) == 1  # all examples are the same instance
    page.get_by_label("Variant", exact=True).select_option("Green")
    send.click()
    expect(answer).to_contain_text("variant Green")
    page.get_by_label("Body").fill(HOSTILE)
    send.click()
    expect(answer).to_contain_text("424 · ")
    expect(answer).to_contain_text("Received client error (400)")
    assert page.title() == "Local SageMaker"


def test_a_request_names_a_container_where_it_must(page: Page, sm, job):
    uri = job["ModelArtifacts"]["S3ModelArtifacts"]
    both = [
        {"Image": IMAGE, "ModelDataUrl": uri, "ContainerHostname": name} for name in ("one", "two")
    ]
    for mode in ("Direct", "Serial"):
        name = f"several-{mode}"
        sm.create_model(
            ModelName=name,
            Containers=both,
            ExecutionRoleArn=ROLE,
            InferenceExecutionConfig={"Mode": mode},
        )
        open_endpoint(sm, name, {"All": name})
    page.goto(f"{page.url}#/endpoints/several-Direct")
    container = page.get_by_label("Container", exact=True)
    container.select_option("two")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#answer")).to_contain_text("200 · ")
    page.goto(f"{page.url.partition('#')[0]}#/endpoints/several-Serial")
    expect(page.get_by_text("binary_classifier of 30 features")).to_be_visible()
    expect(container).to_be_hidden()
    page.goto(f"{page.url.partition('#')[0]}#/models/several-Serial")
    expect(page.get_by_role("heading", name="Container two")).to_be_visible()
    expect(page.get_by_role("heading", name="Parameters of one")).to_be_visible()


def test_an_endpoint_is_deleted_after_a_question(page: Page, sm, endpoint):
    sm.create_endpoint(EndpointName="deleted", EndpointConfigName=endpoint)
    ended(sm.describe_endpoint, "EndpointStatus", EndpointName="deleted")
    page.goto(f"{page.url}#/endpoints/deleted")
    page.get_by_role("button", name="Delete").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert sm.describe_endpoint(EndpointName="deleted")["EndpointStatus"] == "InService"
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Endpoints")).to_be_visible()
    expect(page.get_by_role("link", name="deleted", exact=True)).to_have_count(0)


def test_an_error_of_an_action_is_shown_in_its_question(page: Page, sm, model):
    create_model(sm, "gone", "s3://bucket/none/model.tar.gz")
    page.goto(f"{page.url}#/models/gone")
    page.get_by_role("button", name="Delete").click()
    sm.delete_model(ModelName="gone")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog")).to_contain_text('Could not find model "arn:')


def test_a_model_shows_its_content_its_job_and_its_endpoints(page: Page, model, endpoint):
    choose_page(page, "Models")
    page.get_by_role("link", name=model, exact=True).click()
    expect(page.get_by_role("row", name="Features 30", exact=True)).to_be_visible()
    expect(page.get_by_role("row", name="Linear weights")).to_contain_text("30 features with")
    expect(page.get_by_role("figure", name="Norms of the factors")).to_be_visible()
    expect(page.get_by_role("row", name=f"Endpoints {endpoint}", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="pages", exact=True)).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="model.tar.gz").click()
    assert download.value.suggested_filename == "model.tar.gz"


def hostile_archive():
    """Return a tar.gz whose member leads out of the folder and has a hostile name."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo(f"../{HOSTILE}"))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (hostile_archive(), "leads out of the archive's folder"),
        (b"no archive", "is not a zip archive, or it is damaged"),
    ],
    ids=["path", "no-archive"],
)
def test_a_model_that_cannot_be_read_says_why(page: Page, sm, s3, body, reason, request):
    name = f"unreadable-{request.node.callspec.id}"
    s3.put_object(Bucket=BUCKET, Key=f"{name}/model.tar.gz", Body=body)
    create_model(sm, name, f"s3://{BUCKET}/{name}/model.tar.gz", Environment={"X": HOSTILE})
    page.goto(f"{page.url}#/models/{name}")
    expect(page.locator(".reason").filter(has_text=reason)).to_be_visible()
    expect(page.get_by_role("cell", name=HOSTILE)).to_be_visible()
    assert page.locator("main img").count() == 0


def test_an_experiment_shows_its_runs_with_parameters_and_metrics(page: Page, sm, job):
    choose_page(page, "Experiments")
    page.get_by_role("link", name="pages", exact=True).click()
    expect(page.get_by_role("cell", name=HOSTILE)).to_be_visible()
    expect(page.get_by_role("columnheader", name="test:binary_f_beta")).to_be_visible()
    expect(page.get_by_role("columnheader", name="num_factors")).to_be_visible()
    page.get_by_role("link", name="A-run").click()
    chart = page.get_by_role("figure", name="train:binary_classification_accuracy:epoch")
    expect(chart.get_by_text("step", exact=True)).to_be_visible()
    expect(page.get_by_role("row", name="num_factors 4", exact=True)).to_be_visible()
    page.get_by_role("link", name="pages", exact=True).click()
    expect(page.get_by_role("heading", name="Log")).to_be_visible()  # of the job


def test_a_model_package_is_approved(page: Page, sm, s3, job):
    s3.put_object(
        Bucket=BUCKET,
        Key="quality.json",
        Body=json.dumps({"rmse": {"value": 0.5, "note": HOSTILE}}).encode(),
    )
    sm.create_model_package_group(ModelPackageGroupName="group")
    source = {"ContentType": "application/json", "S3Uri": f"s3://{BUCKET}/quality.json"}
    uri = job["ModelArtifacts"]["S3ModelArtifacts"]
    arn = sm.create_model_package(
        ModelPackageGroupName="group",
        ModelPackageDescription=HOSTILE,
        InferenceSpecification={"Containers": [{"Image": IMAGE, "ModelDataUrl": uri}]},
        ModelMetrics={"ModelQuality": {"Statistics": source}},
    )["ModelPackageArn"]
    choose_page(page, "Model packages")
    page.get_by_role("link", name="group", exact=True).click()
    expect(page.get_by_role("row", name="PendingManualApproval")).to_contain_text(HOSTILE)
    page.get_by_role("link", name="Version 1").click()
    expect(page.get_by_role("row", name="rmse.value 0.5", exact=True)).to_be_visible()
    expect(page.get_by_role("row", name="rmse.note")).to_contain_text(HOSTILE)
    for label, status in (("Approve", "Approved"), ("Reject", "Rejected")):
        page.get_by_role("button", name=label).click()
        page.get_by_role("dialog").get_by_role("button", name=label).click()
        expect(page.get_by_role("row", name=f"Approval {status}")).to_be_visible()
        described = sm.describe_model_package(ModelPackageName=arn)
        assert described["ModelApprovalStatus"] == status
    assert page.locator("main img").count() == 0
