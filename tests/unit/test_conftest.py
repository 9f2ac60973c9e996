"""A build machine notices a skip: the rule of conftest.py, on a session of its own."""

from pathlib import Path

import pytest

pytest_plugins = "pytester"
CASES = """
import pytest

def test_passes(): pass

def test_skips(): pytest.skip("no engine")

@pytest.mark.skipif(True, reason="no luck")
def test_is_skipped(): pass

@pytest.mark.xfail(reason="known")
def test_fails_as_expected(): assert False
"""


@pytest.fixture
def session(pytester: pytest.Pytester) -> pytest.Pytester:
    source = Path(__file__).parents[1] / "conftest.py"
    pytester.makeconftest(source.read_text())
    pytester.makepyfile(CASES)
    pytester.makepyfile(test_whole="import pytest\npytest.importorskip('no_such_module')")
    return pytester


def test_a_user_may_skip(session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    session.runpytest_inprocess().assert_outcomes(passed=1, skipped=3, xfailed=1)


def test_a_build_machine_may_not(session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    result = session.runpytest_inprocess("--continue-on-collection-errors", "-ra")
    result.assert_outcomes(passed=1, failed=1, errors=2, xfailed=1)
    for reason in ("no engine", "no luck", "could not import 'no_such_module'*"):
        result.stdout.fnmatch_lines([f"*skipped, which fails where CI is set: *{reason}"])
