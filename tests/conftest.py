"""What all tests share: no AWS account, an order for parallel runs, no unnoticed skip in CI."""

import os
import sys
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

from support.data import WITHOUT_DATA
from support.job import Job

# An environment that was made before the package had the plugin does not name it to pytest.
_PLUGIN = "local_sagemaker.pytest_plugin"
pytest_plugins = [] if _PLUGIN in sys.modules else [_PLUGIN]

# Whatever a test starts finds these and no account: nothing can reach a real one by accident.
os.environ.update(
    AWS_ACCESS_KEY_ID="",
    AWS_SECRET_ACCESS_KEY="",
    AWS_SESSION_TOKEN="",
    AWS_PROFILE="",
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    AWS_EC2_METADATA_DISABLED="true",
)
# A job of the tests gets its own; one that is set outside must not leak into it.
for _name in [name for name in os.environ if name.startswith("SAGEMAKER_")]:
    del os.environ[_name]

# No deadline: the first example of a test may compile a kernel.
hypothesis.settings.register_profile(
    "tests", deadline=None, derandomize=bool(os.environ.get("CI")), print_blob=True
)
hypothesis.settings.register_profile(
    "quick", hypothesis.settings.get_profile("tests"), max_examples=20
)
hypothesis.settings.load_profile("tests")

# The order of a parallel run: long files first and short ones last, so that workers end together.
_LONG = ("test_lab", "test_hosts", "test_service_runs", "test_lab2")
_ORDER = {"sdk": 1, "contract": 2, "image": 2, "service": 2, "numerics": 3, "unit": 4}


def pytest_configure(config: pytest.Config) -> None:
    """Compile the kernels before several workers would do so at the same time."""
    if getattr(config.option, "numprocesses", None):
        from factorization_machines.kernels.jit import compile_all

        compile_all()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the files of a parallel run."""
    if hasattr(config, "workerinput"):
        items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    return 0 if item.path.stem in _LONG else _ORDER.get(item.path.parent.name, 2)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Return an empty /opt/ml tree of the test's own."""
    return Job(tmp_path / "ml")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a skipped test a failed one where CI is set, but for data that nobody may hand out."""
    report = yield
    # An expected failure is reported as skipped too.
    expected = hasattr(report, "wasxfail") or WITHOUT_DATA in str(report.longrepr)
    if os.environ.get("CI") and report.skipped and not expected:
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Make a module that is skipped as a whole a failed one where CI is set."""
    report = yield
    if os.environ.get("CI") and report.skipped:
        _fail(report)
    return report


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"skipped, which fails where CI is set: {reason}"
