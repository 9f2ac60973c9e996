"""Build the container image and the wheels that it installs."""

import argparse
import csv
import os
import re
import shutil
import subprocess
from pathlib import Path

from local_sagemaker.build import environments
from local_sagemaker.build.run import CommandError, logged, misuse, say

DOCKER = os.environ.get("DOCKER", "docker")
_NAME, _SERVICE = "factorization-machines", "local-sagemaker"
PYTHON_VERSION = "3.11"  # of the Dockerfile's base image; wheels and the lock are made for it
LOCK, SERVICE_LOCK = Path("docker/requirements.lock"), Path("docker/service.lock")
INPUTS = ("pyproject.toml", "docker/requirements.in")
_WHEELS, SERVICE_WHEELS = Path("build/wheelhouse"), Path("build/wheelhouse-service")
_ACCOUNTS = Path("src/local_sagemaker/registry_accounts.tsv")
# Every version of glibc up to the image's, 2.36, that wheels are made for, newest first.
_GLIBC = (35, 34, 31, 28, 27, 26, 24, 17)
_VERSIONS = """
from importlib.metadata import version
from platform import python_version
parts = (f"{name} {version(name)}" for name in ("torch", "numba", "numpy", "scipy"))
print("Python", ", ".join((python_version(), *parts)))"""
_SERVICE_VERSIONS = _VERSIONS.replace('"torch", "numba", "numpy", "scipy"', '"moto", "boto3"')


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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `build` to a parser."""
    parser.add_argument("--region", default="us-east-1", help="of the names that the SDK looks up")
    parser.add_argument("--all-regions", action="store_const", dest="region", const=None)
    parser.add_argument(
        "--service", action="store_true", help="also build local-sagemaker: the local service"
    )


def build(options: argparse.Namespace) -> None:
    """Build the image and give it the names that the SDK looks up; build the service's, if asked.

    Raises: CommandError if a region is unknown, no engine answers, or a build fails.
    """
    names = registry_names(options.region)
    wheels()
    latest = f"{_NAME}:latest"
    _build(latest, "Dockerfile", BASE_IMAGE=os.environ.get("BASE_IMAGE"))
    for name in (f"{name}:{tag}" for name in names for tag in ("latest", "1")):
        docker("tag", latest, name)
        say(f"  {name}")
    _describe(latest, _VERSIONS)
    if options.service:
        wheels(SERVICE_WHEELS, SERVICE_LOCK)
        service = f"{_SERVICE}:latest"
        _build(service, "docker/service.Dockerfile")
        _describe(service, _SERVICE_VERSIONS)


def _build(tag: str, file: str, **settings: str | None) -> None:
    say(f"Building {tag}")
    version = re.findall(r'^version = "(.*)"', Path("pyproject.toml").read_text(), re.MULTILINE)
    arguments = {"VERSION": version[0], **settings}
    options = [f"--build-arg={name}={value}" for name, value in arguments.items() if value]
    command = [DOCKER, "build", "--tag", tag, "--file", file, *options, "."]
    name = tag.partition(":")[0]
    logged(f"image-{name}", command, f"cannot build the image {name}")
    say(f"  {tag}")


def _describe(tag: str, versions: str) -> None:
    digest, size = docker("image", "inspect", "--format", "{{.Id}} {{.Size}}", tag).split()
    say(f"  {digest[:19]}, {int(size) / 1e6:.0f} MB unpacked")
    say("  " + docker("run", "--rm", "--network", "none", tag, "python", "-c", versions))


def wheels(folder: Path = _WHEELS, lock: Path = LOCK) -> None:
    """Fill a folder with what an image installs, unless it holds that already."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(kind := need_engine(), kind)
    stamp = folder.with_suffix(".stamp")
    folder.mkdir(parents=True, exist_ok=True)
    if stamp.is_file() and stamp.read_text() == _wheels_state(folder, lock, machine):
        return
    say(f"Filling {folder} for Python {PYTHON_VERSION} on {machine}")
    stamp.unlink(missing_ok=True)
    shutil.rmtree(folder)  # pip's own cache keeps what was downloaded before
    own_pip = Path("build/pip")
    environments.ensure(own_pip)
    tags = [f"manylinux_2_{minor}_{machine}" for minor in _GLIBC] + [f"manylinux2014_{machine}"]
    download = [*environments.pip(own_pip), "download", f"--dest={folder}", "--no-deps"]
    download += ["--only-binary=:all:", f"--python-version={PYTHON_VERSION}", "--implementation=cp"]
    abis = (f"cp{PYTHON_VERSION.replace('.', '')}", "abi3", "none")
    download += [f"--abi={abi}" for abi in abis]
    download += [f"--platform={tag}" for tag in tags]
    failure = f"cannot download the packages of {lock} for {machine}"
    logged(folder.name, [*download, "--require-hashes", "-r", str(lock)], failure)
    if lock == LOCK:
        # The image is for CPUs, so with an empty TORCH_INDEX this needs the CPU build as well.
        failure = f"cannot download the CPU build of torch (TORCH_INDEX={environments.TORCH_INDEX})"
        logged("wheelhouse-torch", [*download, *environments.cpu_torch()], failure)
    stamp.write_text(_wheels_state(folder, lock, machine))


def _wheels_state(folder: Path, lock: Path, machine: str) -> str:
    files = sorted(path.name for path in folder.iterdir())
    return "\n".join([machine, environments.digest(INPUTS[1], str(lock)), *files])
