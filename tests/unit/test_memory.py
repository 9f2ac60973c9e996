"""The memory limit of each kind of cgroup, and the memory budget."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from factorization_machines.engines.memory import fitting, parameter_bytes
from factorization_machines.errors import PlatformError
from factorization_machines.optimizers import OPTIMIZERS
from sagemaker_container.contract import hyperparameters, memory_limit
from sagemaker_container.training import memory_budget
from support import fm

V1_NONE = "9223372036854771712"


def tree(root: Path, **files: str) -> Path:
    """Write files, whose names have __ for a slash and D for a dot."""
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("D", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    return root


MACHINE = {"proc__meminfo": "MemTotal:  1000 kB\nMemFree: 5 kB\nSwapTotal: 24 kB"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        (MACHINE, 1024 * 1024),
        # A container: its group is the root of the mount, whatever its name on the host.
        ({"sys__fs__cgroup__memoryDmax": "1500", "proc__self__cgroup": "0::/"}, 1500),
        ({"sys__fs__cgroup__memoryDmax": "max", **MACHINE}, 1024 * 1024),
        ({"sys__fs__cgroup__memory__memoryDlimit_in_bytes": "1700",
          "proc__self__cgroup": "4:memory:/docker/0f3\n0::/"}, 1700),
        ({"sys__fs__cgroup__memory__memoryDlimit_in_bytes": V1_NONE, **MACHINE}, 1024 * 1024),
        # On a host: the smallest limit of its group and the groups above.
        ({"sys__fs__cgroup__a__b__memoryDmax": "max", "sys__fs__cgroup__a__memoryDmax": "900",
          "proc__self__cgroup": "0::/a/b"}, 900),
        ({"sys__fs__cgroup__memory__x__y__memoryDlimit_in_bytes": "700",
          "sys__fs__cgroup__memory__x__memoryDlimit_in_bytes": "800",
          "sys__fs__cgroup__memory__memoryDlimit_in_bytes": V1_NONE,
          "proc__self__cgroup": "3:cpu,cpuacct:/z\n5:hugetlb,memory:/x/y"}, 700),
        ({"sys__fs__cgroup__memoryDmax": "nonsense", **MACHINE}, 1024 * 1024),
    ],
)  # fmt: skip
def test_the_limit(tmp_path: Path, files: dict[str, str], expected: int | None) -> None:
    assert memory_limit.limit(tree(tmp_path, **files)) == expected


def test_the_memory_in_use(tmp_path: Path) -> None:
    assert memory_limit.used(tmp_path) == 0
    tree(tmp_path, proc__self__status="VmPeak: 9 kB\nVmRSS:\t   12 kB")
    assert memory_limit.used(tmp_path) == 12 * 1024
    assert 10_000_000 < memory_limit.used() < memory_limit.limit()  # type: ignore[operator]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("threads", [1, 2])
def test_the_suggestion_fits_and_one_more_does_not(optimizer: str, threads: int) -> None:
    config = fm.config(1000, 50, optimizer=optimizer)
    available = parameter_bytes(config, threads) // 3
    k, d = fitting(config, threads, available)
    assert 0 < k < 50 and 0 < d < 1000
    for change in ({"num_factors": k}, {"feature_dim": d}):
        shape = {"d": 1000, "k": 50} | {"num_factors": {"k": k}, "feature_dim": {"d": d}}[
            next(iter(change))
        ]
        fits = fm.config(shape["d"], shape["k"], optimizer=optimizer)
        more = fm.config(
            shape["d"] + ("feature_dim" in change),
            shape["k"] + ("num_factors" in change),
            optimizer=optimizer,
        )
        assert parameter_bytes(fits, threads) <= available < parameter_bytes(more, threads)
    assert fitting(config, threads, 3) == (0, 0)
    assert fitting(config, threads, 1 << 40) == (50, 1000)


def job(**values: object) -> Any:
    required = {"feature_dim": 10**6, "num_factors": 64, "predictor_type": "regressor"}
    return hyperparameters.check({k: str(v) for k, v in {**required, **values}.items()})


def limited(monkeypatch: pytest.MonkeyPatch, limit: int | None) -> None:
    monkeypatch.setattr(
        memory_budget,
        "memory_limit",
        SimpleNamespace(limit=lambda: limit, used=lambda: 100_000_000),
    )


def test_the_budget_is_half_of_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    config = fm.config(10**6, 64)
    model = parameter_bytes(config)
    limited(monkeypatch, 390_000_000 + model + 500_000_000)
    assert memory_budget.for_data(config, job()) == 250_000_000
    assert memory_budget.for_data(config, job(_memory_budget_mb=500)) == 500_000_000
    with pytest.raises(PlatformError) as caught:
        memory_budget.for_data(config, job(_memory_budget_mb=501))
    assert str(caught.value) == (
        "not enough memory for _memory_budget_mb 501: the limit of 1.7 GB leaves 1.3 GB, "
        "of which the model takes 848 MB; up to 500 would fit"
    )
    limited(monkeypatch, None)
    assert memory_budget.for_data(config, job(_memory_budget_mb=5)) == 5_000_000
    assert memory_budget.for_data(config, job()) > 1 << 50


def test_the_copy_for_checkpoints_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    config = fm.config(10**6, 64)
    both = parameter_bytes(config, copied=True)
    assert both - parameter_bytes(config) == 4 * 10**6 * 65 * 3
    limited(monkeypatch, 390_000_000 + both + 500_000_000)
    assert memory_budget.for_data(config, job(), checkpoints=True) == 250_000_000
    limited(monkeypatch, 390_000_000 + both - 1)
    assert memory_budget.for_data(config, job()) > 0
    with pytest.raises(PlatformError, match=r"training with checkpoints takes 1\.6 GB"):
        memory_budget.for_data(config, job(), checkpoints=True)


def test_the_error_of_a_large_model_says_what_would_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limited(monkeypatch, 600_000_000)
    with pytest.raises(PlatformError) as caught:
        memory_budget.for_data(fm.config(10**6, 64), job())
    assert str(caught.value) == (
        "not enough memory for feature_dim 1000000 x num_factors 64: training takes 848 MB of the "
        "210 MB that the limit of 600 MB leaves; num_factors up to 14 or feature_dim up to 235259 "
        "would fit"
    )


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 0),
        ({"sys__fs__cgroup__memoryDevents": "oom 5\noom_kill 3", "proc__self__cgroup": "0::/"}, 3),
        ({"sys__fs__cgroup__a__memoryDevents": "oom_kill 2", "proc__self__cgroup": "0::/a"}, 2),
        ({"sys__fs__cgroup__memory__x__memoryDoom_control": "under_oom 0\noom_kill 1",
          "proc__self__cgroup": "5:memory:/x"}, 1),
    ],
)  # fmt: skip
def test_processes_that_the_kernel_killed(
    tmp_path: Path, files: dict[str, str], expected: int
) -> None:
    assert memory_limit.kills(tree(tmp_path, **files)) == expected


def test_a_limit_below_what_training_itself_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, 100_000_000)
    with pytest.raises(PlatformError) as caught:
        memory_budget.for_data(fm.config(3, 2), job())
    assert str(caught.value) == (
        "not enough memory: the limit is 100 MB, and training takes 390 MB besides model and data"
    )
