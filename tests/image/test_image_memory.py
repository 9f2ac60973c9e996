"""A container with a memory limit: what does not fit is told before it is allocated."""

import json
import re

import pytest

from support.docker import OFFLINE, opt_ml, run

pytestmark = pytest.mark.docker

LIMIT = ("--memory", "512m", "--memory-swap", "512m")
MORE = ("--memory", "800m", "--memory-swap", "800m")  # room for a model beside torch


def test_a_model_that_does_not_fit_says_what_would(job, fill):
    fill(job)
    path = job.config / "hyperparameters.json"
    given = json.loads(path.read_text())
    path.write_text(json.dumps({**given, "feature_dim": "5000000", "num_factors": "64"}))
    done = run(*MORE, *OFFLINE, *opt_ml(job), command=("train",))
    assert done.code == 3, done.stderr
    assert job.failure is not None
    would = re.fullmatch(
        r"PlatformError: not enough memory for feature_dim 5000000 x num_factors 64: training "
        r"takes 4.2 GB of the \d+ MB that the limit of 839 MB leaves; num_factors up to (\d+) or "
        r"feature_dim up to (\d+) would fit",
        job.failure,
    )
    assert would, job.failure
    path.write_text(json.dumps({**given, "feature_dim": would[2], "num_factors": "64"}))
    done = run(*MORE, *OFFLINE, *opt_ml(job), command=("train",))
    assert done.code == 0, done.stdout[-2000:] + done.stderr


def test_a_channel_larger_than_the_limit_is_streamed(job, fill):
    fill(job, epochs=1)
    part = (job.data / "train" / "part-0").read_bytes()
    content = part * (700_000_000 // len(part))
    (job.data / "train" / "part-0").write_bytes(content)
    done = run(*LIMIT, *OFFLINE, *opt_ml(job), command=("train",))
    assert done.code == 0, done.stderr
    assert "streamed train" in done.stdout
