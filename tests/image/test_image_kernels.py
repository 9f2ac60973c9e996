"""numba's cache, made with the image: found again by anybody, and never in the way."""

import json
from pathlib import Path

import pytest

from support.docker import OFFLINE, OTHER_USER, READ_ONLY, run
from support.job import PATIENCE

pytestmark = pytest.mark.docker

OTHER_CPU = ("-e", "NUMBA_CPU_NAME=generic", "-e", "NUMBA_CPU_FEATURES=")
SCRIPT = Path(__file__).with_name("kernels.py").read_text()


def kernels(*options):
    """Return for each kernel how often the cache was hit and missed."""
    # Kernels that are compiled anew take a minute where tests run in parallel.
    done = run(*OFFLINE, *options, command=("python", "-c", SCRIPT), timeout=5 * PATIENCE)
    assert done.code == 0, done.stderr
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert "factorization_machines.recordio.parser.parse" in found
    return found


@pytest.mark.parametrize(
    "options",
    [(), READ_ONLY, OTHER_USER, (*OTHER_USER, *READ_ONLY)],
    ids=["root", "read-only", "other user", "other user and read-only"],
)
def test_nothing_is_compiled(options):
    found = kernels(*options)
    assert {name: counts for name, counts in found.items() if counts != [1, 0]} == {}


def test_another_cpu_compiles_anew():
    found = kernels(*OTHER_USER, *READ_ONLY, *OTHER_CPU)
    assert {tuple(counts) for counts in found.values()} == {(0, 1)}


def test_where_nothing_can_be_written_all_is_compiled():
    found = kernels(*OTHER_USER, "--read-only")
    assert {tuple(counts) for counts in found.values()} == {(0, 1)}
