"""Real SageMaker SDKs: each in its own environment, limited to this machine."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support import docker
from support.job import PATIENCE, free_port

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "tests" / "sdk"
GUARD = Path(__file__).with_name("sdk_guard.py")
REGISTRY = "382416733822.dkr.ecr.us-east-1.amazonaws.com"
IMAGES = tuple(f"{REGISTRY}/factorization-machines:{tag}" for tag in ("latest", "1"))
FOLDERS = ("home", "here", "tmp", "root")
NETWORK = "sagemaker-local"  # local mode creates it and does not remove it
PROJECT = "com.docker.compose.project.working_dir"
NO_TELEMETRY = """\
SchemaVersion: '1.0'
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
"""


def python(version: int) -> Path:
    """Return the Python that has the SDK of a major version."""
    return ROOT / ".sdk" / f"v{version}" / "bin" / "python"


def missing(version: int, containers: bool = True) -> str | None:
    """Return what an SDK, or its local mode, lacks on this machine, or None."""
    if not os.access(python(version), os.X_OK):
        return f"no .sdk/v{version} (./build.sh sdk {version} makes it)"
    if not containers:
        return None
    reason = next(filter(None, map(docker.missing, IMAGES)), None)
    if reason is None and not shutil.which("docker-compose") and not has_compose_plugin():
        return "neither docker compose nor docker-compose"
    return reason


def local_mode(base: Path) -> tuple[int, Path]:
    """Return a script's arguments for local mode: the port to serve on, the root of its folders."""
    return free_port(), base / "root"


def has_compose_plugin() -> bool:
    """Return whether `docker compose` works."""
    return docker.docker("compose", "version", check=False).code == 0


@dataclass(frozen=True)
class Run:
    """What a script did, and what it left."""

    code: int
    output: str  # both streams, with the containers' logs as the SDK prints them
    result: Any  # what the script wrote as JSON, or None
    other_hosts: str  # hosts outside this machine that it tried to reach
    litter: list[str]  # files in the home and in the working folder
    left: list[str]  # what remains after the clean-up of local mode's containers and folders
    running: list[str]  # containers before that clean-up

    @property
    def story(self) -> str:
        """Return how it ended, for a test's failure."""
        return f"exit code {self.code}, output:\n{self.output[-4000:]}"


def run(base: Path, s3: str, version: int, script: str, *arguments: object) -> Run:
    """Run a script of tests/sdk with an SDK, in new folders below `base`.

    The script's arguments are the file for its result, then `arguments`. The script has its own
    home, working folder and root for local mode.
    """
    for name in FOLDERS:
        (base / name).mkdir()
    (base / "sagemaker.yaml").write_text(NO_TELEMETRY)
    hosts, result = base / "hosts", base / "result.json"
    parts = [python(version), GUARD, hosts, SCRIPTS / script, result, *arguments]
    engine = shutil.which(docker.DOCKER) is not None
    keep_network = engine and docker.docker("network", "inspect", NETWORK, check=False).code == 0
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
        running = [folder for _, folder in _containers(base)]
    finally:
        _clean_up(base, keep_network)
    remaining = [folder for _, folder in _containers(base, "-a")]
    return Run(
        code=done.returncode,
        output=done.stdout,
        result=json.loads(result.read_text()) if result.exists() else None,
        other_hosts=hosts.read_text() if hosts.exists() else "",
        litter=[str(path) for name in ("home", "here") for path in (base / name).rglob("*")],
        left=[name for name in ("root", "tmp") if (base / name).exists()] + remaining,
        running=running,
    )


def _containers(base: Path, *options: str) -> list[tuple[str, str]]:
    """Return id and project folder of the compose containers whose project is below `base`."""
    if shutil.which(docker.DOCKER) is None:
        return []
    form = f'{{{{.ID}}}} {{{{.Label "{PROJECT}"}}}}'
    listing = docker.docker("ps", *options, "--format", form, check=False).stdout
    pairs = [line.partition(" ")[::2] for line in listing.splitlines()]
    return [(name, folder) for name, folder in pairs if base in Path(folder).parents]


def _clean_up(base: Path, keep_network: bool) -> None:
    """Remove the containers, the network and the folders that local mode left."""
    for name, _ in _containers(base, "-a"):
        docker.docker("rm", "-f", "-v", name, check=False)
    if shutil.which(docker.DOCKER) is not None and not keep_network:
        docker.docker("network", "rm", NETWORK, check=False)
    for folder in (base / "root", base / "tmp"):
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():  # the containers run as root, which owns what they wrote
            docker.run(
                *("--network", "none", "--user", "0", "-v", f"{folder}:/root-owned"),
                *("--entrypoint", "find"),
                command=("/root-owned", "-mindepth", "1", "-delete"),
            )
            shutil.rmtree(folder, ignore_errors=True)


def _environment(base: Path, s3: str) -> dict[str, str]:
    settings = str(base / "sagemaker.yaml")
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "SAGEMAKER_")) and not name.lower().endswith("_proxy")
    }
    return {
        # The docker client's settings are in the real home, which HOME hides.
        "DOCKER_CONFIG": str(Path.home() / ".docker"),
        **inherited,
        "HOME": str(base / "home"),
        "TMPDIR": str(base / "tmp"),
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3,
        "AWS_EC2_METADATA_DISABLED": "true",
        "COLUMNS": "5000",  # the SDK wraps the messages of its tracebacks at this width
        "PYTHONUNBUFFERED": "1",
        "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": settings,
        "SAGEMAKER_USER_CONFIG_OVERRIDE": settings,
    }


def once_each(
    s3: str, script: str, folder: Path, base: Callable[[int], Path]
) -> Callable[[int], Run]:
    """Return a function that runs the script of an SDK version once, or skips the test.

    Args:
        s3: the address of S3.
        script: the script's name with a placeholder for the version, as in "lab2_v{}.py".
        folder: the script's first argument after the file for its result.
        base: makes an empty folder for a version's run.
    """
    done: dict[int, Run] = {}

    def run_once(version: int) -> Run:
        if reason := missing(version):
            pytest.skip(reason)
        if version not in done:
            here = base(version)
            arguments = (folder, *local_mode(here))
            done[version] = run(here, s3, version, script.format(version), *arguments)
        return done[version]

    return run_once
