"""The direction of imports and the sizes that design.md sets, held over the syntax tree."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
LIBRARY, CONTAINER, LOCAL = "factorization_machines", "sagemaker_container", "local_sagemaker"

# Each room of the library and of the container, and the rooms that it may import.
ALLOWED: dict[str, set[str]] = {
    LIBRARY: set(),
    "errors": set(),
    "kernels": set(),
    "recordio": {"errors", "instances", "kernels"},
    "instances": set(),
    "config": set(),
    "parameters": set(),
    "initialization": {"config", "errors", "kernels", "parameters"},
    "metrics": {"kernels", "parameters"},
    "batching": {"errors", "parameters"},
    "module": {"parameters"},
    "optimizers": set(),
    "trainer": {"batching", "config", "engines", "errors", "metrics", "parameters"},
    "engines": {
        *("batching", "config", "errors", "kernels", "metrics", "module", "optimizers"),
        "parameters",
    },
    "files": set(),
    "artifact": {"errors", "files", "parameters"},
    "scoring": {"artifact", "errors", "instances", "parameters"},
    "top_k": {"errors", "instances", "scoring"},
    "export": {"artifact", "errors", "parameters"},
    "estimator": {
        *("artifact", "config", "engines", "errors", "initialization", "instances", "metrics"),
        *("optimizers", "parameters", "scoring", "trainer"),
        LIBRARY,  # its version
    },
    f"{CONTAINER}.contract": {LIBRARY},
    f"{CONTAINER}.training": {LIBRARY, f"{CONTAINER}.contract"},
    f"{CONTAINER}.serving": {LIBRARY, f"{CONTAINER}.contract"},
    f"{CONTAINER}.stop_signal": set(),
    f"{CONTAINER}.cli": {
        LIBRARY,
        *(f"{CONTAINER}.{room}" for room in ("contract", "serving", "stop_signal", "training")),
    },
    f"{CONTAINER}.preload": set(),
    CONTAINER: set(),
}
WITH_TORCH = {
    "factorization_machines.module",
    "factorization_machines.engines.autograd",
    "factorization_machines.export.formats",  # within functions
    "factorization_machines.engines.process_group",  # only a job of several hosts loads it
    "sagemaker_container.training.engine_choice",  # within a function
}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(SRC.rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()
PACKAGES = {name for name, path in MODULES.items() if path.name == "__init__.py"}


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


def package(module: str) -> str:
    return module.split(".")[0]


def room(module: str) -> str:
    """Return the room of a module: the second part of its name."""
    first, *rest = module.split(".")
    if not rest:
        return first
    return rest[0] if first == LIBRARY else f"{first}.{rest[0]}"


OURS = [name for name in MODULES if package(name) in (LIBRARY, CONTAINER)]


@pytest.mark.parametrize("module", OURS)
def test_a_room_imports_only_what_it_may(module: str) -> None:
    own = room(module)
    assert own in ALLOWED, f"{own} is new: say here what it may import"
    for name in imports(module):
        if package(name) not in (LIBRARY, CONTAINER) or room(name) == own:
            continue
        # The container may import every room of the library.
        target = (
            LIBRARY if package(module) == CONTAINER and package(name) == LIBRARY else room(name)
        )
        assert target in ALLOWED[own], f"{module} imports {name}"


def test_the_rule_names_no_room_that_is_gone() -> None:
    assert set(ALLOWED) == {room(module) for module in OURS}


def order(rooms: Mapping[str, set[str]]) -> list[str]:
    """Return rooms after those that they import; fails if there is a cycle."""
    ordered: list[str] = []
    left = dict(rooms)
    while left:
        free = [name for name, uses in left.items() if uses <= set(ordered)]
        assert free, f"a cycle among {sorted(left)}"
        ordered += free
        for name in free:
            del left[name]
    return ordered


def test_the_rule_has_no_cycle() -> None:
    assert len(order(ALLOWED)) == len(ALLOWED)


def test_the_service_has_no_cycle() -> None:
    uses: dict[str, set[str]] = {}
    for module in MODULES:
        if package(module) == LOCAL:
            targets = {room(name) for name in imports(module) if package(name) == LOCAL}
            uses.setdefault(room(module), set()).update(targets - {room(module)})
    assert len(order(uses)) == len(uses)


def test_the_library_knows_neither_the_container_nor_the_service() -> None:
    for module in MODULES:
        uses = {package(name) for name in imports(module)}
        if package(module) == LIBRARY:
            assert not uses & {CONTAINER, LOCAL}, module
        if package(module) == CONTAINER:
            assert LOCAL not in uses, module


def test_the_service_uses_the_contract_alone() -> None:
    for module in MODULES:
        if package(module) == LOCAL:
            ours = {name for name in imports(module) if package(name) in (LIBRARY, CONTAINER)}
            assert all(name.startswith(f"{CONTAINER}.contract") for name in ours), module


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


def has(library: str, module: str) -> bool:
    return any(package(name) == library for name in imports(module))


@pytest.mark.parametrize("library", ["torch", "numba"])
def test_serving_never_imports(library: str) -> None:
    serving = [module for module in OURS if room(module) == f"{CONTAINER}.serving"]
    assert len(serving) > 3
    assert [module for module in closure(serving) if has(library, module)] == []


def test_torch_stays_where_it_is() -> None:
    assert {module for module in OURS if has("torch", module)} == WITH_TORCH


def test_train_loads_no_torch_before_it_needs_it() -> None:
    for module in ("job", "engine_choice"):
        path = MODULES[f"{CONTAINER}.training.{module}"]
        for node in ast.parse(path.read_bytes()).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "torch" not in ast.unparse(node)


def test_kernels_are_in_the_folders_whose_sources_stamp_the_cache() -> None:
    folders = (f"{LIBRARY}.kernels", f"{LIBRARY}.recordio")
    for module in OURS:
        uses = set(imports(module))
        if module.startswith(folders):
            continue
        text = MODULES[module].read_text()
        assert "@kernel" not in text and not has("numba", module), module
        assert f"{LIBRARY}.kernels.jit" not in uses, module


@pytest.mark.parametrize("module", OURS)
def test_the_library_reads_no_environment(module: str) -> None:
    text = MODULES[module].read_text()
    if package(module) == LIBRARY:
        assert "os.environ" not in text and "getenv" not in text


@pytest.mark.parametrize("module", OURS)
def test_the_image_knows_nothing_of_aws_or_docker(module: str) -> None:
    used = {package(name) for name in imports(module)}
    assert not used & {"boto3", "botocore", "docker", "moto", "sagemaker", "local_sagemaker"}


@pytest.mark.parametrize("module", MODULES)
def test_no_module_is_too_long(module: str) -> None:
    assert len(MODULES[module].read_text().splitlines()) <= 300


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_a_package_states_its_rule(name: str) -> None:
    assert ast.get_docstring(ast.parse(MODULES[name].read_bytes()))
