"""wrk, a load generator that nobody here wrote: how many requests a second, and how late."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.data import WORK
from bench.timing import Missing

# What each run ends with; wrk itself prints rounded figures.
DONE = """
done = function(summary, latency, requests)
    local e = summary.errors
    io.write(string.format("answer %d %d %d %f %f\\n", summary.requests, summary.duration,
        e.connect + e.read + e.write + e.status + e.timeout,
        latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Load:
    """What a run showed: requests in a second, those that failed, and times in milliseconds."""

    rate: float
    failed: int
    median: float
    p99: float


def wrk() -> str:
    """Return wrk's program: WRK names it, or it is on PATH. Raises: Missing."""
    given = os.environ.get("WRK") or shutil.which("wrk")
    if not given:
        raise Missing("no load generator: install wrk (apt-get install wrk), or name it with WRK")
    return given


def run(
    port: int, body: Path, content_type: str, connections: int, seconds: float, pause: float = 0.0
) -> Load:
    """Return what so many connections got that ask as fast as they are answered.

    With a pause each waits between an answer and its next request, so many milliseconds on
    average. Raises: Missing.
    """
    script = WORK / "wrk.lua"
    script.write_text(
        f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "{content_type}"\n'
        f'local file = io.open("{body}", "rb")\nwrk.body = file:read("*a")\nfile:close()\n'
        # At random, or all connections would stay in step.
        + (f"function delay() return math.random(0, {round(2 * pause)}) end\n" if pause else "")
        + DONE
    )
    output = start(port, script, connections, seconds, "/invocations").communicate()[0]
    found = re.search(r"^answer (.*)$", output, re.MULTILINE)
    if not found:
        raise Missing(f"wrk failed: {output.strip()[-300:]}")
    requests, microseconds, failed, median, p99 = map(float, found[1].split())
    return Load(1e6 * requests / microseconds, int(failed), median / 1000, p99 / 1000)


def start(
    port: int, script: Path, connections: int, seconds: float, path: str
) -> "subprocess.Popen[str]":
    """Start wrk with a script. Raises: Missing."""
    command = [
        *(wrk(), "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "20s"),
        *("-s", str(script), f"http://127.0.0.1:{port}{path}"),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
