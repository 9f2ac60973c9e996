"""A training job that fails in the SDK v2's local mode: the user sees our message.

tests/service/test_lab.py has the same on the local service.
"""

import pytest

from support import sdk

pytestmark = [pytest.mark.sdk, pytest.mark.docker]


def test_a_bad_hyperparameter(s3, tmp_path):
    if reason := sdk.missing(2):
        pytest.skip(reason)
    # docker-compose 1 seldom loses a container's last lines and its exit code: they are put into a
    # queue between its look at the queue and its look at the thread that has ended.
    for attempt in range(3):
        base = tmp_path / str(attempt)
        base.mkdir()
        run = sdk.run(base, s3, 2, "bad_v2.py", *sdk.local_mode(base))
        if "exited with code" in run.output:
            break
    assert run.code != 0, run.story
    words = ("HyperparameterError", "num_factors", "got '0'", "mini_batch_sise", "mini_batch_size")
    for word in words:
        assert word in run.output
    assert run.other_hosts == ""
    assert run.left == []
    # Compose prints the container's exit code: 2, an error of the caller.
    assert "exited with code 2" in run.output, run.story
