"""Which machine the figures are of."""

import os
import platform
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe() -> str:
    """Return processor, cores, load and versions in two lines."""
    load = os.getloadavg()[0]
    versions = ", ".join(f"{name} {version(name)}" for name in ("numba", "numpy", "scipy", "torch"))
    return (
        f"Machine: {_processor()}, {cores()} cores, load {load:.1f} at the start; "
        f"{platform.system()} {platform.machine()}\n"
        f"Python {platform.python_version()}, {versions}"
    )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
        return platform.processor()
    except OSError:
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        shown = subprocess.run(command, capture_output=True, text=True, check=False)
        return shown.stdout.strip() or platform.machine()


def peak(process: str = "self") -> float:
    """Return the most memory that a process ever had, in bytes; elsewhere than on Linux, our own.

    Linux's getrusage would give the parent's where the parent had more: it outlives the exec.
    """
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        if process != "self":
            return float("nan")
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
