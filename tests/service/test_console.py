"""The console in a real browser: each page, a live job, the search, the form, and hostile text."""

import pytest
from playwright.sync_api import Page, expect

from support.console import choose_page
from support.recordio import sparse_file
from support.service import BUCKET, channel, ended, planted, training

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=\"document.title='run'\">"


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
    page.get_by_role("button", name="Cancel").click()
    before = lines.text_content()
    expect(lines).not_to_have_text(before or "")  # it runs on
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(page.locator("main")).to_contain_text("Stopped", timeout=60_000)
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog")).to_contain_text("Delete live?")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Training jobs")).to_be_visible()
    expect(page.get_by_role("link", name="live", exact=True)).to_have_count(0)
    assert "live" not in [
        job["TrainingJobName"] for job in sm.list_training_jobs()["TrainingJobSummaries"]
    ]


def test_a_chart_has_the_epochs_and_the_scores_of_the_test_data(page: Page, job):
    # uPlot draws its texts on a canvas.
    page.add_init_script("""
        globalThis.drawn = [];
        const fill = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
            drawn.push(text);
            return fill.call(this, text, ...rest);
        };
    """)
    page.goto(f"{page.url}#/jobs/looked-at")
    page.reload()
    chart = page.get_by_role("figure", name="binary_classification_accuracy")
    for label in ("epoch", "train", "test, after training"):
        expect(chart.get_by_text(label, exact=True)).to_be_visible()
    drawn = page.evaluate("drawn")
    assert {"epoch", "fraction of rows", "0", "5", "10", "15"} <= set(drawn)
    script = (
        "import('/console/static/charts.js').then((charts) => (drawn.length = 0, "
        "document.body.append(charts.scatter('rate', [[0.0001, 1], [0.1, 2]], null, true, 'o'))))"
    )
    page.evaluate(script)
    page.wait_for_function("drawn.includes('0.0001') && drawn.includes('0.1')")
    assert "0" not in page.evaluate("drawn")


def test_scores_of_each_epoch_of_the_test_data_are_a_curve(page: Page, sm):
    more = {"epochs": "5", "_early_stopping_patience": "9"}
    sm.create_training_job(**training("early", HyperParameters=more))
    ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="early")
    page.get_by_role("link", name="early", exact=True).click()
    chart = page.get_by_role("figure", name="binary_classification_cross_entropy")
    expect(chart.get_by_text("test", exact=True)).to_be_visible()
    expect(chart.get_by_text("test, after training", exact=True)).to_have_count(0)


def test_jobs_are_filtered_and_sorted_and_the_url_keeps_it(page: Page, sm, job):
    sm.create_training_job(**training("filter-good"))
    sm.create_training_job(**training("filter-bad", HyperParameters={"num_factors": HOSTILE}))
    for name in ("filter-good", "filter-bad"):
        ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
    names = page.get_by_role("link", name="filter-")
    expect(names).to_have_text(["filter-bad", "filter-good"])  # the newest first
    page.get_by_label("Filter by text").fill("filter-")
    page.get_by_role("button", name="Accuracy, test").click()
    page.get_by_role("button", name="Name").click()
    page.get_by_role("button", name="Name").click()
    expect(names).to_have_text(["filter-good", "filter-bad"])
    assert page.url.endswith("#/jobs?q=filter-&sort=-Name")
    page.reload()
    expect(names).to_have_text(["filter-good", "filter-bad"])
    expect(page.get_by_role("link", name="looked-at")).to_have_count(0)
    scores = sm.describe_training_job(TrainingJobName="filter-good")["FinalMetricDataList"]
    (score,) = (
        s["Value"] for s in scores if s["MetricName"] == "test:binary_classification_accuracy"
    )
    row = page.get_by_role("row").filter(has_text="filter-good")
    expect(row.get_by_role("cell", name=f"{score:.5g}", exact=True)).to_be_visible()
    page.get_by_label("Filter by status").select_option("Failed")
    expect(names).to_have_text(["filter-bad"])
    expect(page.locator(".reason[title]")).to_contain_text("<img src=x onerror=")


def test_a_long_list_is_shown_in_parts(page: Page):
    row = {"status": "Completed", "created": 1, "started": 1, "ended": 2, "scores": {}}
    rows = [{**row, "name": f"job-{number}"} for number in range(450)]
    page.route("**/console/api/jobs", lambda route: route.fulfill(json=rows))
    jobs = page.get_by_role("link", name="job-")
    expect(jobs).to_have_count(200)
    page.get_by_role("button", name="Show 200 more").click()
    page.get_by_role("button", name="Show 50 more").click()
    expect(jobs).to_have_count(450)
    page.get_by_label("Filter by text").fill("job-449")
    expect(jobs).to_have_count(1)
    expect(page.get_by_role("button", name="more")).to_have_count(0)


def test_chosen_jobs_are_compared(page: Page, sm, job):
    sm.create_training_job(**training("compared", HyperParameters={"num_factors": "8"}))
    ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName="compared")
    page.get_by_label("Compare looked-at").check()
    page.get_by_label("Compare compared").check()
    page.get_by_role("link", name="Compare 2 jobs").click()
    assert page.url.endswith("#/compare/looked-at/compared")
    chart = page.get_by_role("figure", name="binary_classification_accuracy")
    for name in ("looked-at", "compared"):
        expect(chart.get_by_text(f"{name} · train", exact=True)).to_be_visible()
    expect(page.get_by_role("row", name="≠ num_factors 4 8")).to_be_visible()
    expect(page.get_by_role("row", name="feature_dim 30 30", exact=True)).to_be_visible()
    expect(page.get_by_role("row", name="≠ test:binary_classification_accuracy")).to_be_visible()


def test_objects_are_listed_and_what_they_are_named_is_text(page: Page, s3):
    s3.put_object(Bucket=BUCKET, Key=f"named/{HOSTILE}", Body=b"<script>")
    choose_page(page, "S3")
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


PAGES = ["Training jobs", "Processing", "Tuning", "Batch transform", "Pipelines", "Experiments"]


@pytest.mark.parametrize("name", [*PAGES, "Models", "Model packages", "Endpoints", "S3"])
def test_every_page_opens(page: Page, name):
    choose_page(page, name)
    expect(page.locator("h1")).to_contain_text(name)
    expect(page.get_by_role("alert")).to_have_text("")


@pytest.mark.parametrize(("fragment", "heading"), [("#/%", "Training jobs"), ("#/jobs/%", "%")])
def test_an_address_that_is_not_percent_encoded_opens_a_page(page: Page, fragment, heading):
    page.goto(f"{page.url.partition('#')[0]}{fragment}")
    expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
