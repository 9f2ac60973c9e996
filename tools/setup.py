"""Make .venv, the environment of this checkout."""

import platform
from pathlib import Path

from local_sagemaker.build import environments
from local_sagemaker.build.environments import TORCH_INDEX, install, is_current
from local_sagemaker.build.run import say

PYTHON = ".venv/bin/python"


def setup() -> None:
    """Make .venv, or bring it up to date: CPU torch, this package and its tools."""
    folder, version = Path(".venv"), environments.torch_version()
    inputs = environments.digest("pyproject.toml", "docker/requirements.in")
    stamp = environments.stamp_of(f"{inputs} {'cpu' if TORCH_INDEX else ''}")
    if is_current(folder, stamp):
        return
    old = environments.read(folder / ".stamp")
    if old.startswith(environments.stamp_of("")) and is_current(folder, old):
        say("Bringing .venv up to date")
        (folder / ".stamp").unlink()
    else:
        environments.make(folder, note="about 1.5 GB; the first time takes some minutes")
    # macOS has one build for all; elsewhere the default build brings several GB of CUDA.
    plain = platform.system() == "Darwin" or not TORCH_INDEX
    torch = [f"torch=={version}"] if plain else environments.cpu_torch()
    python = environments.version_of(PYTHON)
    failure = f"no torch {version} for Python {python} (TORCH_INDEX={TORCH_INDEX})"
    install(folder, "torch", "--no-deps", *torch, failure=failure)
    failure = "cannot install the dependencies of pyproject.toml"
    install(folder, "setup", "-e", ".[service,dev]", failure=failure)
    (folder / ".stamp").write_text(stamp)
