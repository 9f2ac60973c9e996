"""How much memory the job may use: the container's limit, or the machine's."""

from pathlib import Path

_V1_NONE = 1 << 60  # what version 1 has where there is no limit: the largest page-aligned int64


def limit(root: Path = Path("/")) -> int | None:
    """Return the bytes that this process's memory is limited to, None if that cannot be told.

    That is the least limit of its cgroup and those above it, version 1 or 2, or else the machine's
    memory and swap. In a container the groups lie at the mount's root, by whatever name the host
    knows them.
    """
    limits = [size for path in _files(root) if (size := _number(path)) is not None]
    return min(limits, default=None) or _machine(root)


def used(root: Path = Path("/")) -> int:
    """Return the bytes that this process holds in memory, 0 if that cannot be told."""
    for line in _lines(root / "proc/self/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def _files(root: Path) -> list[Path]:
    """Return the files that may hold a limit of this process."""
    mount = root / "sys/fs/cgroup"
    found = []
    for line in ["0::/", "1:memory:/", *_lines(root / "proc/self/cgroup")]:
        _, controllers, group = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top, name = (
            (mount / "memory", "memory.limit_in_bytes") if controllers else (mount, "memory.max")
        )
        path = top / group.strip("/")
        found += [each / name for each in (path, *path.parents) if each.is_relative_to(top)]
    return found


def _machine(root: Path) -> int | None:
    sizes = [
        int(line.split()[1]) * 1024
        for line in _lines(root / "proc/meminfo")
        if line.startswith(("MemTotal:", "SwapTotal:"))
    ]
    return sum(sizes) or None


def _number(path: Path) -> int | None:
    """Return the limit in a file, None where there is none."""
    for text in _lines(path):
        return int(text) if text.isdecimal() and int(text) < _V1_NONE else None
    return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, ValueError):
        return []
