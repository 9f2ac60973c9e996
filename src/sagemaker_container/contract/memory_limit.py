"""The memory limit of the process: that of the container, or of the machine."""

from pathlib import Path

_V1_UNLIMITED = 1 << 60  # cgroup version 1 stores the largest page-aligned int64 for no limit


def limit(root: Path = Path("/")) -> int | None:
    """Return the memory limit of this process in bytes; None if it is unknown.

    It is the smallest limit of its cgroup and the parents of that, version 1 or 2; without one, the
    machine's memory and swap. In a container, the process's own cgroup is at the mount's root,
    although /proc/self/cgroup may show the path that it has on the host.
    """
    limits = [size for path in _files(root) if (size := _number(path)) is not None]
    return min(limits, default=None) or _machine(root)


def used(root: Path = Path("/")) -> int:
    """Return the resident memory of this process in bytes; 0 if it is unknown."""
    for line in _lines(root / "proc/self/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def kills(root: Path = Path("/")) -> int:
    """Return how many processes in this process's cgroup the kernel killed for want of memory."""
    counts = [
        int(line.split()[1])
        for path in _files(root)
        for name in ("memory.events", "memory.oom_control")  # of version 2, and of version 1
        for line in _lines(path.with_name(name))
        if line.startswith("oom_kill ")
    ]
    return max(counts, default=0)


def _files(root: Path) -> list[Path]:
    """Return the files that may hold a limit of this process."""
    mount = root / "sys/fs/cgroup"
    files = []
    for line in ["0::/", "1:memory:/", *_lines(root / "proc/self/cgroup")]:
        _, controllers, group = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top, name = (
            (mount / "memory", "memory.limit_in_bytes") if controllers else (mount, "memory.max")
        )
        path = top / group.strip("/")
        files += [folder / name for folder in (path, *path.parents) if folder.is_relative_to(top)]
    return files


def _machine(root: Path) -> int | None:
    sizes = [
        int(line.split()[1]) * 1024
        for line in _lines(root / "proc/meminfo")
        if line.startswith(("MemTotal:", "SwapTotal:"))
    ]
    return sum(sizes) or None


def _number(path: Path) -> int | None:
    """Return the limit in a file; None if it has none."""
    for text in _lines(path):
        return int(text) if text.isdecimal() and int(text) < _V1_UNLIMITED else None
    return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, ValueError):
        return []
