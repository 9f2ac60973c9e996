"""What the docker backend needs on this machine, and what it leaves behind."""

import shutil
import subprocess
from pathlib import Path

IMAGE = "382416733822.dkr.ecr.us-east-1.amazonaws.com/factorization-machines:1"
NETWORK = "sagemaker-local"  # the SDK's local mode makes it and leaves it
_PROJECT = "com.docker.compose.project.working_dir"


def problem() -> str | None:
    """Return why the docker backend cannot be used here and what to do, or None if it can."""
    if shutil.which("docker") is None:
        return "there is no docker command; install Docker"
    if docker("info") is None:
        return "the Docker engine does not answer; start it"
    # The SDK looks for the same two, in the same way.
    if "v2" not in (docker("compose", "version") or "") and not shutil.which("docker-compose"):
        return "SageMaker's local mode needs Docker Compose v2 or docker-compose; install one"
    if docker("image", "inspect", "--format", "{{.Id}}", IMAGE) is None:
        return f"the engine has no image {IMAGE}; run ./build.sh image"
    return None


def has_network() -> bool:
    """Return whether local mode's network is there already."""
    return docker("network", "inspect", NETWORK) is not None


def clean_up(root: Path, keep_network: bool) -> None:
    """Remove what local mode left of the jobs whose folders lie below root, running or not.

    Root's files are emptied by a container where they are not ours to remove: the image's
    processes run as root, and so own what they wrote.
    """
    listing = docker("ps", "-a", "--format", f'{{{{.ID}}}} {{{{.Label "{_PROJECT}"}}}}') or ""
    for line in listing.splitlines():
        container, _, folder = line.partition(" ")
        if folder and root in Path(folder).parents:
            docker("rm", "-f", "-v", container)
    if not keep_network:
        docker("network", "rm", NETWORK)
    remove_folder(root, IMAGE)


def remove_folder(folder: Path, image: str) -> None:
    """Remove a folder; what in it is not ours to remove, a container of the image removes."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        mount = f"{folder}:/root-owned"
        empty = ("find", "/root-owned", "-mindepth", "1", "-delete")
        docker(
            "run", "--rm", "--network", "none", "--user", "0", "-v", mount,
            "--entrypoint", empty[0], image, *empty[1:],
        )  # fmt: skip
        shutil.rmtree(folder, ignore_errors=True)


def has_image(name: str) -> bool:
    """Return whether the engine has an image of this name."""
    return docker("image", "inspect", "--format", "{{.Id}}", name) is not None


def docker(*arguments: str) -> str | None:
    """Return what the docker command printed, or None if it failed."""
    try:
        result = subprocess.run(
            ["docker", *arguments], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout if result.returncode == 0 else None
