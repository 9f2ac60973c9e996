"""examples/curl.sh as it stands: `docker run`, curl, and files that the SDK's writer made."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from support.job import PATIENCE, free_port

pytestmark = pytest.mark.docker
SCRIPT = Path(__file__).parents[2] / "examples" / "curl.sh"


def test_the_example(job, fill):
    fill(job)
    files = [job.data / name / "part-0" for name in ("train", "test")]
    done = subprocess.run(
        ["bash", SCRIPT, *files, "300"],
        env={**os.environ, "PORT": str(free_port())},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *scores, answer = done.stdout.splitlines()
    assert [line.split("'")[1] for line in scores] == [
        "binary_classification_accuracy",
        "binary_classification_cross_entropy",
        "binary_f_1.000",
    ]
    (prediction,) = json.loads(answer)["predictions"]
    assert 0 < prediction["score"] < 1
