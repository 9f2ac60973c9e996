"""A training job that must fail: what the SDK's user sees has our words, and says what to do."""

import pytest

from support import sdk

pytestmark = pytest.mark.sdk

WORDS = (
    "num_factors",
    "got '0'",
    "mini_batch_sise",
    "mini_batch_size",
)


@pytest.mark.parametrize("backend", ["process", pytest.param("docker", marks=pytest.mark.docker)])
def test_a_bad_hyperparameter(backend, s3, tmp_path):
    if reason := sdk.missing(2, containers=backend == "docker"):
        pytest.skip(reason)
    run = sdk.run(tmp_path, s3, 2, "bad_v2.py", backend)
    assert run.code != 0
    assert "HyperparameterError" in run.output
    for word in WORDS:
        assert word in run.output
    assert run.other_hosts == ""
    assert run.left == []
    if backend == "docker":
        # Compose says which code the container ended with: 2, the caller can fix it.
        assert "exited with code 2" in run.output, run.story
    else:
        reason = run.output.rpartition("Reason: ")[2]
        assert reason.startswith("HyperparameterError: "), run.story
