"""The pytest plugin: fixtures with a local SageMaker service for the tests of other projects.

pytest imports this module in every run, so that it imports what it needs in its functions.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from local_sagemaker.settings import Settings

_BACKENDS = ("process", "docker", "auto")
_OPTION, _INI = "--local-sagemaker-backend", "local_sagemaker_backend"
_RESET_SECONDS = 60.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the setting of the backend."""
    text = "how the service of the fixture local_sagemaker runs containers"
    group = parser.getgroup("local-sagemaker")
    group.addoption(_OPTION, choices=_BACKENDS, help=f"{text} (process)")
    parser.addini(_INI, f"{text}: {', '.join(_BACKENDS)}", default=_BACKENDS[0])


class LocalSageMaker:
    """A local SageMaker service that runs.

    Attributes:
        url: the URL of the service.
        state: its state folder; service.log is there.
        environment: the variables with which boto3, the AWS command line and SageMaker's SDK reach
            the service, and no other host by HTTPS.
    """

    def __init__(self, url: str, state: Path):
        """Take a service that runs."""
        from local_sagemaker.server.environment import variables

        self.url, self.state = url, state
        # The endpoint is for boto3; the SDK names that of STS itself, and needs the proxy.
        self.environment = {**variables(state, url), **variables(state, url, endpoint_url=True)}

    def session(self, region_name: str | None = None) -> Any:
        """Return a boto3 session with the credentials of the service and no profile."""
        import boto3
        import botocore.session

        # Without the environment variable of the profile, which need not exist.
        core = botocore.session.Session({"profile": (None, None, None, None)})
        return boto3.Session(
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            region_name=region_name or self.environment["AWS_REGION"],
            botocore_session=core,
        )

    def client(self, service_name: str, **options: Any) -> Any:
        """Return a boto3 client of the service; options go to `boto3.Session.client`."""
        session = self.session(options.pop("region_name", None))
        return session.client(service_name, **{"endpoint_url": self.url, **options})

    def reset(self) -> dict[str, int]:
        """End all jobs and endpoints and remove everything; return the counts by kind.

        Raises: LocalError if the service does not answer, or could not remove everything.
        """
        from local_sagemaker.errors import LocalError
        from local_sagemaker.status import request

        code, content = request(self.url, "POST", "reset", _RESET_SECONDS)
        if code != 200:
            raise LocalError(f"{self.url} was not reset: {content.decode(errors='replace')}")
        removed: dict[str, int] = json.loads(content)["removed"]
        return removed


@contextlib.contextmanager
def start(settings: Settings) -> Iterator[LocalSageMaker]:
    """Yield a service that ends with the block.

    Raises: LocalError if it does not start; the message has the last line of its log.
    """
    from local_sagemaker import up

    with up.temporary(settings) as running:
        yield LocalSageMaker(running.url, settings.state)


@pytest.fixture(scope="session")
def local_sagemaker_service(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalSageMaker]:
    """The local SageMaker service of this session, or of this worker of pytest-xdist."""
    from local_sagemaker.settings import Settings

    backend = pytestconfig.getoption(_OPTION) or pytestconfig.getini(_INI)
    if backend not in _BACKENDS:
        raise pytest.UsageError(f"{_INI} must be {', '.join(_BACKENDS)}; got {backend!r}")
    state = tmp_path_factory.mktemp("local-sagemaker")
    with start(Settings(state, port=0, backend=backend)) as service:
        yield service


@pytest.fixture
def local_sagemaker(
    local_sagemaker_service: LocalSageMaker, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalSageMaker]:
    """A local SageMaker service that is empty; boto3 and SageMaker's SDK reach it in the test."""
    from local_sagemaker.server.environment import unset

    environment = local_sagemaker_service.environment
    others = [name for name in os.environ if name.startswith("AWS_ENDPOINT_URL_")]
    for name in (*unset(environment), *others):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # it may have another region
    yield local_sagemaker_service
    local_sagemaker_service.reset()
