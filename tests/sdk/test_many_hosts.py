"""A job of several hosts through the SDK v2's local mode: a container for each."""

import json
import re
from pathlib import Path

import pytest

from support import sdk

pytestmark = [pytest.mark.sdk, pytest.mark.docker]


def found(pattern: str, log: str) -> dict[str, list[float]]:
    """Return the numbers that a pattern matches, by host."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", log)
    hosts: dict[str, list[float]] = {}
    for host, value in re.findall(pattern, plain):
        hosts.setdefault(host, []).append(float(value))
    return hosts


def test_two_hosts_and_three_have_the_scores_of_one(ratings: Path, s3: str, tmp_path: Path) -> None:
    if reason := sdk.missing(2):
        pytest.skip(reason)
    run = sdk.run(tmp_path, s3, 2, "hosts_v2.py", ratings, *sdk.local_mode(tmp_path), 1, 2, 3)
    assert run.code == 0, run.story
    scores = {
        int(count): found(r"#test_score \((\S+?)\) : \('\S+', ([-\d.e]+)\)", log)
        for count, log in run.result["logs"].items()
    }
    assert {count: len(hosts) for count, hosts in scores.items()} == {1: 1, 2: 2, 3: 3}
    (one,) = scores[1].values()
    for count in (2, 3):
        for mine in scores[count].values():
            assert mine == pytest.approx(one, rel=1e-4), json.dumps(scores)
    assert run.other_hosts == ""
