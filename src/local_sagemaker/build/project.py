"""The folder of the project's files: the checkout, or a folder in the user's cache."""

import hashlib
import os
import shutil
from importlib import metadata
from pathlib import Path

from local_sagemaker.build.run import CommandError

_DISTRIBUTION = "local-factorization-machines"
_PACKAGES = Path(__file__).parents[2]


def root() -> Path:
    """Return the folder with the Dockerfile, the examples and the sources.

    For an installed wheel it is below `~/.cache/local-sagemaker`, or `$XDG_CACHE_HOME`: what the
    commands make must not be in site-packages.

    Raises: CommandError if the installation does not have the files.
    """
    if in_checkout():
        return _PACKAGES.parent
    files = _PACKAGES / "local_sagemaker" / "project"
    record = metadata.distribution(_DISTRIBUTION).read_text("RECORD")
    if not files.is_dir() or record is None:
        raise CommandError(
            f"this installation has no {files}: install the wheel, or use a checkout"
        )
    folder = cache() / hashlib.sha256(record.encode()).hexdigest()[:16]
    if not folder.is_dir():
        _copy(files, folder)
    return folder


def cache() -> Path:
    """Return the folder of what can be made again."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "local-sagemaker"


def in_checkout() -> bool:
    """Return whether the package runs from a checkout, as after `pip install -e .`."""
    return (_PACKAGES.parent / "build.sh").is_file()


def command() -> str:
    """Return what a user types before the name of a command in the current folder."""
    return "./build.sh" if Path.cwd() == _PACKAGES.parent and in_checkout() else "local-sagemaker"


def _copy(files: Path, folder: Path) -> None:
    """Make the folder; another process that makes it at the same time does no harm."""
    partial = folder.with_name(f"{folder.name}-{os.getpid()}")
    shutil.copytree(files, partial)
    for package in ("factorization_machines", "local_sagemaker", "sagemaker_container"):
        without = shutil.ignore_patterns("__pycache__", "project")
        shutil.copytree(_PACKAGES / package, partial / "src" / package, ignore=without)
    try:
        partial.rename(folder)
    except OSError:
        shutil.rmtree(partial)
        if not folder.is_dir():
            raise
