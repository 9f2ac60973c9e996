"""Imports point one way: the rule of the house, held over the syntax tree."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"

# Each part of fm_container, and the parts of it that it may import.
ALLOWED: dict[str, set[str]] = {
    "__init__": set(),
    "errors": set(),
    "jit": set(),
    "contract": {"errors"},
    "data": {"errors", "jit"},
    "algorithm": {"errors", "jit"},
    "artifact": {"algorithm", "errors"},
    "serving": {"algorithm", "artifact", "contract", "data", "errors"},
    "job_settings": {"algorithm", "contract"},
    "progress": {"algorithm", "contract", "source"},
    "hosts": {"errors"},
    "team": {"algorithm", "contract", "data", "errors", "hosts"},
    "engines": {"algorithm", "data", "errors", "team"},
    "checkpoints": {"algorithm", "errors"},
    "resume": {"algorithm", "checkpoints", "contract", "errors", "source", "team"},
    "warmstart": {"algorithm", "artifact", "contract", "errors"},
    "budget": {"algorithm", "contract", "errors"},
    "source": {"algorithm", "contract", "data", "errors"},
    "train": {
        *("__init__", "algorithm", "artifact", "budget", "checkpoints", "contract", "engines"),
        *("errors", "job_settings", "progress", "resume", "source", "team", "warmstart"),
    },
    "exchange": {"algorithm", "artifact", "errors"},
    "model_cli": {"artifact", "errors", "exchange"},
    "cli": {"contract", "errors", "model_cli", "serving", "train"},
}
WITH_TORCH = {
    "fm_container.algorithm.model",
    "fm_container.algorithm.optimizer",
    "fm_container.algorithm.torch_engine",
    "fm_container.exchange.torch_state",  # within functions
    "fm_container.hosts.group",  # loaded within a function of `team`
    "fm_container.engines",  # within a function: only a job that asks for torch loads it
}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(SRC.rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()
OURS = [name for name in MODULES if name.split(".")[0] == "fm_container"]


def imports(module: str) -> Iterator[str]:
    """Yield the full name of every module that a module imports, in functions too."""
    for node in ast.walk(ast.parse(MODULES[module].read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{module}: relative imports hide the rule"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module


def part(module: str) -> str:
    names = module.split(".")
    return names[1] if len(names) > 1 else "__init__"


@pytest.mark.parametrize("module", OURS)
def test_a_part_imports_only_what_it_may(module: str) -> None:
    own = part(module)
    assert own in ALLOWED, f"{own} is new: say here what it may import"
    others = {part(name) for name in imports(module) if name.split(".")[0] == "fm_container"}
    assert others - {own} <= ALLOWED[own]


def test_the_rule_names_no_part_that_is_gone() -> None:
    assert set(ALLOWED) == {part(module) for module in OURS}


def test_no_part_imports_itself_by_way_of_another() -> None:
    order: list[str] = []
    left = dict(ALLOWED)
    while left:
        free = [name for name, uses in left.items() if uses <= set(order)]
        assert free, f"a circle among {sorted(left)}"
        order += free
        for name in free:
            del left[name]


def closure(start: list[str]) -> set[str]:
    """Return the modules of ours that are loaded with some, their packages included."""
    seen: set[str] = set()
    waiting = list(start)
    while waiting:
        module = waiting.pop()
        if module in seen or module not in MODULES:
            continue
        seen.add(module)
        waiting += imports(module)
        if "." in module:
            waiting.append(module.rpartition(".")[0])
    return seen


def has_torch(module: str) -> bool:
    return any(name.split(".")[0] == "torch" for name in imports(module))


def test_serving_never_imports_torch() -> None:
    serving = [module for module in OURS if part(module) == "serving"]
    assert len(serving) > 3
    assert [module for module in closure(serving) if has_torch(module)] == []


def test_torch_stays_where_it_is() -> None:
    assert {module for module in OURS if has_torch(module)} == WITH_TORCH


def test_train_loads_no_torch_before_it_needs_it() -> None:
    for module in ("fm_container.train", "fm_container.engines"):
        for node in ast.parse(MODULES[module].read_bytes()).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "torch" not in ast.unparse(node)


@pytest.mark.parametrize("module", OURS)
def test_algorithm_and_data_read_no_environment(module: str) -> None:
    if part(module) in ("algorithm", "data"):
        used = {name.split(".")[0] for name in imports(module)}
        assert not used & {"os", "subprocess", "tempfile"}


@pytest.mark.parametrize("module", OURS)
def test_the_image_knows_nothing_of_aws_or_docker(module: str) -> None:
    used = {name.split(".")[0] for name in imports(module)}
    assert not used & {"boto3", "botocore", "docker", "moto", "sagemaker", "local_sagemaker"}


def test_the_local_service_uses_the_image_and_not_its_insides() -> None:
    for module in MODULES:
        if module.split(".")[0] == "local_sagemaker":
            ours = {name for name in imports(module) if name.split(".")[0] == "fm_container"}
            assert all(name.startswith("fm_container.contract") for name in ours), module


@pytest.mark.parametrize("module", MODULES)
def test_no_module_is_too_long(module: str) -> None:
    assert len(MODULES[module].read_text().splitlines()) <= 300


@pytest.mark.parametrize(
    "package",
    ["contract", "data", "algorithm", "artifact", "checkpoints", "exchange", "hosts", "serving"],
)
def test_a_package_states_its_rule(package: str) -> None:
    tree = ast.parse(MODULES[f"fm_container.{package}"].read_bytes())
    assert ast.get_docstring(tree)
