"""One service for all tests."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.recordio import sparse_file
from support.service import BUCKET, Service, down, planted, up


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    started = up(tmp_path_factory.mktemp("service") / "state")
    s3 = started.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for seed, name in enumerate(("train", "test")):
        x, y = planted(seed)
        s3.put_object(Bucket=BUCKET, Key=f"data/{name}/part-0", Body=sparse_file(x, y))
    yield started
    down(started)


@pytest.fixture(scope="session")
def sm(service: Service) -> Any:
    return service.client("sagemaker")


@pytest.fixture(scope="session")
def s3(service: Service) -> Any:
    return service.client("s3")
