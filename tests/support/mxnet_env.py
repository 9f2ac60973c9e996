"""The real mxnet, in an environment of its own: the scripts of tests/mx, run there."""

import os
import subprocess
from pathlib import Path

from support.job import PATIENCE

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".sdk" / "mxnet" / "bin" / "python"
SCRIPTS = ROOT / "tests" / "mx"


def missing() -> str | None:
    """Return what is not there to run mxnet with, or None."""
    if not os.access(PYTHON, os.X_OK):
        return "no .sdk/mxnet (./build.sh sdk mxnet makes it)"
    return None


def run(script: str, folder: Path, *arguments: object) -> str:
    """Run a script of tests/mx in a folder; return what it printed."""
    done = subprocess.run(
        [str(part) for part in (PYTHON, "-W", "ignore", SCRIPTS / script, *arguments)],
        cwd=folder,
        # What it parallelises is smaller than the cost of doing so.
        env={**os.environ, "OMP_NUM_THREADS": "1", "MXNET_CPU_WORKER_NTHREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout
