"""One service for all tests."""

from collections.abc import Iterator
from typing import Any

import pytest

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
