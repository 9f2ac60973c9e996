"""The pytest plugin in the project of a user."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.job import PATIENCE

EXAMPLE = Path(__file__).parents[2] / "examples" / "test_fm.py"
PLUGIN = "local_sagemaker.pytest_plugin"

TWO_TESTS = """
import os

import boto3
import pytest


@pytest.mark.parametrize("run", [1, 2])
def test_a_bucket_is_new(local_sagemaker, run):
    s3 = boto3.client("s3")
    assert s3.list_buckets()["Buckets"] == []
    s3.create_bucket(Bucket="mine")
    boto3.client("sagemaker").create_model_package_group(ModelPackageGroupName="mine")
    other = local_sagemaker.client("s3", region_name="eu-west-1")
    assert other.meta.region_name == "eu-west-1"
    assert [bucket["Name"] for bucket in other.list_buckets()["Buckets"]] == ["mine"]
    assert local_sagemaker.session().region_name == "us-east-1"
    if run == 2:  # the reset after the first test is that of the fixture
        # The group has a context in the lineage.
        assert local_sagemaker.reset() == {"bucket": 1, "context": 1, "model-package-group": 1}
        assert s3.list_buckets()["Buckets"] == []


def test_the_environment_is_the_service_s(local_sagemaker):
    assert os.environ["AWS_ENDPOINT_URL"] == local_sagemaker.url
    assert "AWS_PROFILE" not in os.environ
    assert boto3.client("sts").get_caller_identity()["Account"] == "123456789012"


def test_without_the_fixture_it_is_the_user_s():
    assert os.environ["AWS_PROFILE"] == "work"
    assert "AWS_ENDPOINT_URL" not in os.environ
"""


@pytest.fixture
def project(tmp_path, monkeypatch, pytestconfig):
    """Return a function that runs pytest in a folder with a user's test, where warnings fail."""
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    installed = pytestconfig.pluginmanager.has_plugin("local_sagemaker")

    def run(test, *arguments):
        (tmp_path / "test_it.py").write_text(test)
        command = [sys.executable, "-m", "pytest", f"--junitxml={tmp_path / 'report.xml'}"]
        done = subprocess.run(
            [*command, *([] if installed else ["-p", PLUGIN]), *arguments],
            cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.parametrize("workers", ["0", "2"])
def test_each_test_has_an_empty_service(project, workers):
    code, output = project(TWO_TESTS, "-n", workers)
    assert code == 0, output
    assert "4 passed" in output


def test_the_example_passes(project):
    code, output = project(EXAMPLE.read_text(), "-p", "no:xdist")
    assert code == 0, output


def test_nothing_is_left_running(project, tmp_path):
    test = """
import json, pathlib, urllib.request

def test_it(local_sagemaker):
    pathlib.Path("url.json").write_text(json.dumps(local_sagemaker.url))
    assert False, "a test that fails"
"""
    code, output = project(test, "-p", "no:xdist")
    assert (code, "a test that fails" in output) == (1, True)
    url = json.loads((tmp_path / "url.json").read_text())
    done = subprocess.run(
        [sys.executable, "-m", "local_sagemaker", "status", "--url", url],
        capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert (done.returncode, "No service answers" in done.stderr) == (1, True)


def test_the_backend_is_an_option_or_a_setting(project):
    test = "def test_it(local_sagemaker): pass"
    code, output = project(test, "-p", "no:xdist", "--local-sagemaker-backend", "other")
    assert (code, "--local-sagemaker-backend" in output) == (4, True)
    code, output = project(test, "-p", "no:xdist", "-o", "local_sagemaker_backend=other")
    assert "local_sagemaker_backend must be process, docker, auto; got 'other'" in output
    assert code == 1


def test_the_plugin_loads_nothing_that_is_large():
    code = f"""
import sys, pytest, {PLUGIN}
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import json\n{code}"],
        capture_output=True, text=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    large = {"boto3", "botocore", "moto", "torch", "numba", "numpy", "flask", "werkzeug"}
    assert not large & set(json.loads(done.stdout))
