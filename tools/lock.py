"""Resolve the versions that the images install."""

import argparse
import re
import shutil
from pathlib import Path

from local_sagemaker.build import environments
from local_sagemaker.build.image import INPUTS, LOCK, PYTHON_VERSION, SERVICE_LOCK
from local_sagemaker.build.run import logged, say

_FOLDER = Path("build/lock")


def lock(arguments: list[str]) -> None:
    """Resolve both lock files again; without --upgrade, versions stay where they can."""
    parser = argparse.ArgumentParser("./build.sh lock", allow_abbrev=False)
    parser.add_argument("--upgrade", action="store_const", const=["--upgrade"], default=[])
    upgrade = parser.parse_args(arguments).upgrade
    environments.ensure(_FOLDER, "uv")
    _resolve(LOCK, [*INPUTS, *upgrade])
    # The image of the service adds packages to the first image, whose versions stay.
    image = re.findall("^([a-z0-9-]+)==", LOCK.read_text(), re.MULTILINE)
    without = [f"--no-emit-package={name}" for name in image]
    _resolve(
        SERVICE_LOCK,
        [
            INPUTS[0],
            "--extra=service",
            "--extra=processing",
            f"--constraint={LOCK}",
            *without,
            *upgrade,
        ],
    )


def _resolve(file: Path, arguments: list[str]) -> None:
    say(f"Resolving {file} for Python {PYTHON_VERSION}")
    output, override = _FOLDER / file.with_suffix(".txt").name, _FOLDER / "without-torch.txt"
    if file.is_file():
        shutil.copy(file, output)  # uv keeps the versions that it finds in its output file
    override.write_text("torch ; python_version < '3'\n")
    command = [f"{_FOLDER}/bin/uv", "pip", "compile", *arguments, f"--output-file={output}"]
    command += [f"--override={override}", f"--cache-dir={_FOLDER}/cache", "--generate-hashes"]
    command += ["--no-build", "--no-config", "--no-header", "--no-annotate"]
    command += [f"--python-version={PYTHON_VERSION}", "--python-platform=x86_64-manylinux_2_28"]
    logged("lock", command, f"cannot resolve {file}")
    resolved = output.read_text()
    file.write_text(
        f"# Made by ./build.sh lock from pyproject.toml and requirements.in, for Python"
        f" {PYTHON_VERSION}."
        "\n# torch is not here, because its CPU wheels have other hashes on each platform;"
        f" requirements.in pins it.\n{resolved}"
    )
    say(f"  {resolved.count('==')} packages")
