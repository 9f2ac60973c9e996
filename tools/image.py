"""Build the container image, the wheels that it installs, and the lock of their versions."""

import argparse
import csv
import os
import re
import shutil
import subprocess
from pathlib import Path

from tools import environments
from tools.run import CommandError, logged, misuse, say

DOCKER = os.environ.get("DOCKER", "docker")
_NAME = "factorization-machines"
_PYTHON = "3.11"  # of the Dockerfile's base image; wheels and the lock are made for it
_LOCK = Path("docker/requirements.lock")
_INPUTS = ("pyproject.toml", "docker/requirements.in")
_WHEELS = Path("build/wheelhouse")
_ACCOUNTS = Path("src/local_sagemaker/registry_accounts.tsv")
# Every version of glibc up to the image's, 2.36, that wheels are made for, newest first.
_GLIBC = (35, 34, 31, 28, 27, 26, 24, 17)
_VERSIONS = """
from importlib.metadata import version
from platform import python_version
parts = (f"{name} {version(name)}" for name in ("torch", "numba", "numpy", "scipy"))
print("Python", ", ".join((python_version(), *parts)))"""


def docker(*arguments: str) -> str:
    """Return what a docker command printed; raise CommandError if it failed."""
    try:
        done = subprocess.run([DOCKER, *arguments], capture_output=True, text=True)
    except OSError as error:
        raise CommandError(f"{DOCKER} cannot be run: {error.strerror}") from None
    if done.returncode:
        raise CommandError(f"{DOCKER} {arguments[0]} failed: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()


def engine() -> str | None:
    """Return the machine type of the Docker engine, None if no engine answers."""
    try:
        return docker("version", "--format", "{{.Server.Arch}}")
    except CommandError:
        return None


def need_engine(advice: str = "") -> str:
    """Return the machine type of the Docker engine; raise CommandError if no engine answers."""
    if machine := engine():
        return machine
    raise CommandError(
        f"no Docker engine answers '{DOCKER} version': install or start Docker{advice}"
    )


def registry_names(region: str | None) -> list[str]:
    """Return the names, without a tag, that the SDK looks up in a region, or in all for None."""
    with open(_ACCOUNTS, newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    names = {row["region"]: "{account}.dkr.ecr.{region}.{domain}/".format(**row) for row in rows}
    if region and region not in names:
        misuse(f"unknown region '{region}'; known: {' '.join(names)}")
    return [names[name] + _NAME for name in ([region] if region else names)]


def image(arguments: list[str]) -> None:
    """Build the image and give it the names that the SDK looks up."""
    parser = argparse.ArgumentParser("./build.sh image", allow_abbrev=False)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--all-regions", action="store_const", dest="region", const=None)
    names = registry_names(parser.parse_args(arguments).region)
    wheels()
    latest = f"{_NAME}:latest"
    say(f"Building {latest}")
    version = re.findall(r'^version = "(.*)"', Path("pyproject.toml").read_text(), re.MULTILINE)
    settings = {"VERSION": version[0], "BASE_IMAGE": os.environ.get("BASE_IMAGE")}
    options = [f"--build-arg={name}={value}" for name, value in settings.items() if value]
    logged("image", [DOCKER, "build", "--tag", latest, *options, "."], "cannot build the image")
    say(f"  {latest}")
    for name in (f"{name}:{tag}" for name in names for tag in ("latest", "1")):
        docker("tag", latest, name)
        say(f"  {name}")
    digest, size = docker("image", "inspect", "--format", "{{.Id}} {{.Size}}", latest).split()
    say(f"  {digest[:19]}, {int(size) / 1e6:.0f} MB unpacked")
    say("  " + docker("run", "--rm", "--network", "none", latest, "python", "-c", _VERSIONS))


def wheels() -> None:
    """Fill build/wheelhouse with what the image installs, unless it holds that already."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(kind := need_engine(), kind)
    stamp = _WHEELS.with_suffix(".stamp")
    _WHEELS.mkdir(parents=True, exist_ok=True)
    if stamp.is_file() and stamp.read_text() == _wheels_state(machine):
        return
    say(f"Filling {_WHEELS} for Python {_PYTHON} on {machine} (about 300 MB)")
    stamp.unlink(missing_ok=True)
    shutil.rmtree(_WHEELS)  # pip's own cache keeps what was downloaded before
    own_pip = Path("build/pip")
    environments.ensure(own_pip)
    tags = [f"manylinux_2_{minor}_{machine}" for minor in _GLIBC] + [f"manylinux2014_{machine}"]
    download = [*environments.pip(own_pip), "download", f"--dest={_WHEELS}", "--no-deps"]
    download += ["--only-binary=:all:", f"--python-version={_PYTHON}", "--implementation=cp"]
    download += [f"--abi={abi}" for abi in (f"cp{_PYTHON.replace('.', '')}", "abi3", "none")]
    download += [f"--platform={tag}" for tag in tags]
    failure = f"cannot download the packages of {_LOCK} for {machine}"
    logged("wheels", [*download, "--require-hashes", "-r", str(_LOCK)], failure)
    # The image is for CPUs, so with an empty TORCH_INDEX this needs the CPU build as well.
    failure = f"cannot download the CPU build of torch (TORCH_INDEX={environments.TORCH_INDEX})"
    logged("wheels-torch", [*download, *environments.cpu_torch()], failure)
    stamp.write_text(_wheels_state(machine))


def _wheels_state(machine: str) -> str:
    files = sorted(path.name for path in _WHEELS.iterdir())
    return "\n".join([machine, environments.digest(_INPUTS[1], str(_LOCK)), *files])


def lock(arguments: list[str]) -> None:
    """Resolve docker/requirements.lock again; without --upgrade, versions stay where they can."""
    parser = argparse.ArgumentParser("./build.sh lock", allow_abbrev=False)
    parser.add_argument("--upgrade", action="store_const", const=["--upgrade"], default=[])
    upgrade = parser.parse_args(arguments).upgrade
    say(f"Resolving {_LOCK} for Python {_PYTHON}")
    folder = Path("build/lock")
    environments.ensure(folder, "uv")
    output, override = folder / "requirements.txt", folder / "without-torch.txt"
    if _LOCK.is_file():
        shutil.copy(_LOCK, output)  # uv keeps the versions that it finds in its output file
    override.write_text("torch ; python_version < '3'\n")
    command = [f"{folder}/bin/uv", "pip", "compile", *_INPUTS, *upgrade, f"--output-file={output}"]
    command += [f"--override={override}", f"--cache-dir={folder}/cache", "--generate-hashes"]
    command += ["--no-build", "--no-config", "--no-header", "--no-annotate"]
    command += [f"--python-version={_PYTHON}", "--python-platform=x86_64-manylinux_2_28"]
    logged("lock", command, f"cannot resolve {_LOCK}")
    resolved = output.read_text()
    _LOCK.write_text(
        f"# Made by ./build.sh lock from pyproject.toml and requirements.in, for Python {_PYTHON}."
        "\n# torch is not here, because its CPU wheels have other hashes on each platform;"
        f" requirements.in pins it.\n{resolved}"
    )
    say(f"  {resolved.count('==')} packages")
