"""One service for all tests."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect, sync_playwright

from local_sagemaker.pytest_plugin import start
from local_sagemaker.server.environment import variables
from local_sagemaker.settings import Settings
from support.recordio import sparse_file
from support.service import BUCKET, Service, planted


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    state = tmp_path_factory.mktemp("service") / "state"
    with start(Settings(state, port=0, backend="process", cores=2)) as started:
        s3 = started.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        for seed, name in enumerate(("train", "test")):
            x, y = planted(seed)
            s3.put_object(Bucket=BUCKET, Key=f"data/{name}/part-0", Body=sparse_file(x, y))
        yield Service(state, variables(state, started.url), started.url)


@pytest.fixture(scope="session")
def sm(service: Service) -> Any:
    return service.client("sagemaker")


@pytest.fixture(scope="session")
def s3(service: Service) -> Any:
    return service.client("s3")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return the Chromium of this machine."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no chromium on PATH")
    expect.set_options(timeout=30_000)
    with sync_playwright() as driver:
        # Root, as in containers, has no sandbox to give.
        with driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"]) as launched:
            yield launched


@pytest.fixture
def page(browser: Any, service: Service) -> Iterator[Any]:
    """Return a page with the console, which has no errors and asks no other server."""
    errors: list[Any] = []
    asked: list[str] = []
    with browser.new_context() as context:
        opened = context.new_page()
        opened.on("pageerror", lambda error: errors.append(error))
        opened.on("request", lambda request: asked.append(request.url))
        opened.goto(f"{service.url}/console")
        yield opened
        assert errors == []
        assert [url for url in asked if not url.startswith(service.url)] == []
