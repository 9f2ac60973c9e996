"""The console in a real browser: each page, a live job, the search, the form, and hostile text."""

import json
import shutil

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from support.recordio import sparse_file
from support.service import BUCKET, IMAGE, ROLE, channel, ended, planted, training

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = "<img src=x onerror=\"document.title='run'\">"


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("there is no chromium on PATH")
    with sync_playwright() as driver:
        # Root, as in containers, has no sandbox to give.
        with driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as launched:
            yield launched


@pytest.fixture
def page(browser, service):
    errors, asked = [], []
    with browser.new_context() as context:
        opened = context.new_page()
        opened.on("pageerror", lambda error: errors.append(error))
        opened.on("request", lambda request: asked.append(request.url))
        opened.goto(f"{service.url}/console")
        yield opened
        assert errors == []
        assert [url for url in asked if not url.startswith(service.url)] == []


@pytest.fixture(scope="module")
def job(sm):
    sm.create_training_job(**training("looked-at", HyperParameters={"epochs": "20"}))
    return ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="looked-at")


def test_a_job_has_curves_metrics_a_log_to_search_and_its_model(page: Page, job):
    page.get_by_role("link", name="looked-at", exact=True).click()
    expect(page.locator("canvas")).to_have_count(3)
    expect(page.get_by_text("test:binary_classification_accuracy")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("test_score")
    expect(page.locator("mark")).to_have_count(3)
    expect(page.get_by_role("status")).to_contain_text("3 of ")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download model.tar.gz").click()
    assert download.value.suggested_filename == "model.tar.gz"


def test_a_live_job_moves_and_can_be_stopped(page: Page, sm, s3):
    # Many rows, so that the log grows at a pace that people see.
    s3.put_object(Bucket=BUCKET, Key="many/part-0", Body=sparse_file(*planted(0)) * 200)
    request = training("live", HyperParameters={"epochs": "100000000"})
    sm.create_training_job(**{**request, "InputDataConfig": [channel("train", "many")]})
    page.get_by_role("link", name="live", exact=True).click()
    lines = page.get_by_role("status")
    expect(page.locator("pre")).to_contain_text("epoch=3, train", timeout=60_000)
    before = lines.text_content()
    expect(lines).not_to_have_text(before or "", timeout=20_000)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("main")).to_contain_text("Stopped", timeout=60_000)


def test_an_endpoint_can_be_tried(page: Page, sm, job):
    container = {"Image": IMAGE, "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"]}
    sm.create_model(ModelName="tried", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {
        "VariantName": "Only",
        "ModelName": "tried",
        "InitialInstanceCount": 1,
        "InstanceType": "ml.c4.xlarge",
    }
    sm.create_endpoint_config(EndpointConfigName="tried", ProductionVariants=[variant])
    sm.create_endpoint(EndpointName="tried", EndpointConfigName="tried")
    ended(sm.describe_endpoint, "EndpointStatus", EndpointName="tried")
    page.keyboard.press("3")
    page.get_by_role("link", name="tried", exact=True).click()
    page.get_by_label("Body").fill(json.dumps({"instances": [{"features": [1.0] * 30}]}))
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#answer")).to_contain_text('{"predictions":[{"score":')
    page.get_by_label("Body").fill(HOSTILE)
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#answer")).to_contain_text("400")
    expect(page.get_by_role("cell", name="Only")).to_be_visible()
    sm.delete_endpoint(EndpointName="tried")


def test_objects_are_listed_and_what_they_are_named_is_text(page: Page, s3):
    s3.put_object(Bucket=BUCKET, Key=f"named/{HOSTILE}", Body=b"<script>")
    page.get_by_role("link", name="S3").click()
    page.get_by_role("link", name=BUCKET, exact=True).click()
    page.get_by_role("link", name="named/").click()
    with page.expect_download() as download:
        page.get_by_role("link", name=HOSTILE).click()
    assert download.value.path().read_bytes() == b"<script>"
    assert page.title() == "Local SageMaker"


def test_what_a_job_says_is_text(page: Page, sm):
    more = {"num_factors": HOSTILE, "_note": HOSTILE}
    sm.create_training_job(**training("hostile", HyperParameters=more))
    ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="hostile")
    page.get_by_role("link", name="hostile", exact=True).click()
    expect(page.locator(".reason").first).to_contain_text("<img src=x onerror=")
    expect(page.locator("pre")).to_contain_text("<img src=x onerror=")
    assert page.locator("main img").count() == 0
    assert page.title() == "Local SageMaker"


@pytest.mark.parametrize("name", ["Tuning", "Batch transform", "Endpoints"])
def test_every_page_opens(page: Page, name):
    page.get_by_role("link", name=name).click()
    expect(page.locator("h1")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_text("")
