"""A real SageMaker SDK, in an environment of its own, on nothing but this machine."""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.backends.docker_engine import clean_up, has_network
from local_sagemaker.lab.lab import NO_TELEMETRY
from support import docker
from support.job import command, free_port

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "tests" / "sdk"
GUARD = Path(__file__).with_name("sdk_guard.py")
REGISTRY = "382416733822.dkr.ecr.us-east-1.amazonaws.com"
IMAGES = tuple(f"{REGISTRY}/factorization-machines:{tag}" for tag in ("latest", "1"))
FOLDERS = ("home", "here", "tmp", "root")
PATIENCE = 300.0  # seconds, far more than a run takes


def python(version: int) -> Path:
    """Return the Python that has the SDK of a major version."""
    return ROOT / ".sdk" / f"v{version}" / "bin" / "python"


def missing(version: int, containers: bool = True) -> str | None:
    """Return what is not there to run an SDK with, or None."""
    if not os.access(python(version), os.X_OK):
        return f"no .sdk/v{version} (./build.sh sdk {version} makes it)"
    if not containers:
        return None
    reason = next(filter(None, map(docker.missing, IMAGES)), None)
    if reason is None and not shutil.which("docker-compose") and not _has_compose_plugin():
        return "neither docker compose nor docker-compose"
    return reason


def _has_compose_plugin() -> bool:
    return docker.docker("compose", "version", check=False).code == 0


@dataclass(frozen=True)
class Run:
    """What a script did, and what was there after it."""

    code: int
    output: str  # both streams, with the containers' logs as the SDK shows them
    result: Any  # what the script wrote as JSON, None if nothing
    other_hosts: str  # that it wanted to reach
    litter: list[str]  # in the home and in the working folder
    left: list[str]  # what is still there after local mode's rests were removed
    running: list[str]  # containers, before that

    @property
    def story(self) -> str:
        """Return how it ended, for a test's failure."""
        return f"exit code {self.code}, output:\n{self.output[-4000:]}"


def run(base: Path, s3: str, version: int, script: str, *arguments: object) -> Run:
    """Run a script of tests/sdk with an SDK, in empty folders below `base`.

    The script's arguments are the file for its result, then those given. A home, a working folder
    and a root for local mode are its own.
    """
    for name in FOLDERS:
        (base / name).mkdir()
    (base / "sagemaker.yaml").write_text(NO_TELEMETRY)
    hosts, result = base / "hosts", base / "result.json"
    parts = [python(version), GUARD, hosts, SCRIPTS / script, result, *arguments]
    keep_network = has_network()
    try:
        done = subprocess.run(
            [str(part) for part in parts],
            cwd=base / "here",
            env=_environment(base, s3),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        running = _containers(base)
    finally:
        for name in ("root", "tmp"):
            clean_up(base / name, keep_network)
    return Run(
        code=done.returncode,
        output=done.stdout,
        result=json.loads(result.read_text()) if result.exists() else None,
        other_hosts=hosts.read_text() if hosts.exists() else "",
        litter=[str(path) for name in ("home", "here") for path in (base / name).rglob("*")],
        left=[name for name in ("root", "tmp") if (base / name).exists()] + _containers(base, "-a"),
        running=running,
    )


def _containers(base: Path, *options: str) -> list[str]:
    """Return the compose projects below `base` that have a container, here for an SDK's job."""
    if shutil.which(docker.DOCKER) is None:
        return []
    label = "com.docker.compose.project.working_dir"
    form = f'{{{{.Label "{label}"}}}}'
    listing = docker.docker("ps", *options, "--format", form, check=False).stdout
    return [line for line in listing.splitlines() if line.startswith(str(base))]


def _environment(base: Path, s3: str) -> dict[str, str]:
    settings = str(base / "sagemaker.yaml")
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "SAGEMAKER_")) and not name.lower().endswith("_proxy")
    }
    return {
        # The client's own settings lie in the home that is hidden here.
        "DOCKER_CONFIG": str(Path.home() / ".docker"),
        **inherited,
        "HOME": str(base / "home"),
        "TMPDIR": str(base / "tmp"),
        "LOCAL_SAGEMAKER_ROOT": str(base / "root"),
        "LOCAL_SAGEMAKER_TRAIN": shlex.join(command("train")),
        "LOCAL_SAGEMAKER_SERVE": shlex.join(command("serve")),
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3,
        "AWS_EC2_METADATA_DISABLED": "true",
        "COLUMNS": "5000",  # the SDK's tracebacks wrap their message at this width
        "PYTHONUNBUFFERED": "1",
        "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": settings,
        "SAGEMAKER_USER_CONFIG_OVERRIDE": settings,
    }


def once_each(
    s3: str, script: str, folder: Path, base: Callable[[int], Path]
) -> Callable[[int], Run]:
    """Return what runs a script of a version once, and skips where something is missing.

    `script` has a place for the version, as in "lab2_v{}.py"; `base` makes an empty folder for it.
    """
    done: dict[int, Run] = {}

    def one(version: int) -> Run:
        if reason := missing(version):
            pytest.skip(reason)
        if version not in done:
            here = base(version)
            # v2's session comes from local_sagemaker.sdk, which finds both by itself.
            local = () if version == 2 else (free_port(), here / "root")
            done[version] = run(here, s3, version, script.format(version), folder, *local)
        return done[version]

    return one
