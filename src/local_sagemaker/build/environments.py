"""Make virtual environments: those of the SDKs below .sdk, and small ones for tools.

A complete environment has a stamp: its place, and what it was made from. While the stamp is valid
nothing is done.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from local_sagemaker.build.run import CommandError, logged, misuse, say

TORCH_INDEX = os.environ.get("TORCH_INDEX", "https://download.pytorch.org/whl/cpu")
# Of each environment below .sdk, the file in requirements/ and the newest Python it can have.
# The SDK v1 needs numpy 1, and mxnet numpy 1.23.5, which have no wheels for newer ones.
SDKS = {"1": ("sdk-v1", 12), "2": ("sdk-v2", 99), "3": ("sdk-v3", 99)}
SDKS |= {"mxnet": ("mxnet", 11), "notebook": ("notebook", 99)}
_NAMES = ("python3", "python3.13", "python3.12", "python3.11", "python3.10")


def find_python(newest: int = 99) -> str:
    """Return a Python from 3.10 to 3.`newest`: PYTHON where it is set, else the first on PATH."""
    needed = "3.10 or newer" if newest == 99 else f"3.10 to 3.{newest}"
    chosen = os.environ.get("PYTHON")
    for python in [chosen] if chosen else _NAMES:
        version = version_of(python)
        if version and (3, 10) <= tuple(map(int, version.split(".")[:2])) <= (3, newest):
            return python
        if chosen:
            problem = f"is Python {version}; needed: {needed}" if version else "cannot be run"
            raise CommandError(f"PYTHON={chosen} {problem}")
    raise CommandError(f"no Python {needed} on PATH; set PYTHON to the path of one")


def version_of(python: str) -> str | None:
    """Return the version of a Python, None if it cannot be run."""
    code = "import platform; print(platform.python_version())"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def is_current(folder: Path, stamp: str) -> bool:
    """Return whether an environment has this stamp, works, and is of PYTHON's version if set."""
    if read(folder / ".stamp") != stamp:
        return False
    version, chosen = version_of(f"{folder}/bin/python"), os.environ.get("PYTHON")
    return version is not None and (not chosen or version == version_of(chosen))


def ensure(
    folder: Path, *packages: str, key: str = "", newest: int = 99, note: str | None = None
) -> None:
    """Make an environment with some packages, unless the folder holds the same one already."""
    stamp = stamp_of(key or " ".join(packages))
    if is_current(folder, stamp):
        return
    make(folder, newest, note)
    if packages:
        install(folder, folder.name, *packages, failure=f"cannot install {packages[-1]}")
    (folder / ".stamp").write_text(stamp)


def sdk(name: str) -> None:
    """Make the environment of a SageMaker SDK, of mxnet, or of the notebook."""
    if name not in SDKS:
        misuse(f"sdk '{name}': 1, 2, 3, mxnet or notebook")
    stem, newest = SDKS[name]
    file = f"requirements/{stem}.txt"
    pinned = [line for line in read(Path(file)).splitlines() if "==" in line]
    folder = Path(".sdk", stem.removeprefix("sdk-"))
    ensure(folder, "-r", file, key=digest(file), newest=newest, note=pinned[0])


def install(folder: Path, log: str, *arguments: str, failure: str) -> None:
    """Install packages into an environment with pip."""
    # Python compiles what it imports, which is a small part of what is installed.
    logged(log, [*pip(folder), "install", "--no-compile", *arguments], failure)


def pip(folder: Path) -> list[str]:
    """Return the start of a pip command of an environment; its output is for a log."""
    options = ["--disable-pip-version-check", "--no-input"]
    return [f"{folder}/bin/python", "-m", "pip", *options]


def torch_version() -> str:
    """Return the version of torch that docker/requirements.in pins."""
    lines = read(Path("docker/requirements.in")).splitlines()
    return next(line.removeprefix("torch==") for line in lines if line.startswith("torch=="))


def cpu_torch() -> list[str]:
    """Return pip's arguments for the CPU build of torch."""
    index = ["--extra-index-url", TORCH_INDEX] if TORCH_INDEX else []
    return [*index, "--timeout", "20", "--retries", "1", f"torch=={torch_version()}+cpu"]


def digest(*files: str) -> str:
    """Return a hash of the content of files."""
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()


def make(folder: Path, newest: int = 99, note: str | None = None) -> None:
    """Make an environment without packages, in place of what the folder holds."""
    python = find_python(newest)
    if note:
        say(f"Making {folder} with Python {version_of(python)} ({note})")
    shutil.rmtree(folder, ignore_errors=True)
    advice = "on Debian and Ubuntu it needs the package python3-venv"
    logged(
        f"venv-{folder.name}",
        [python, "-m", "venv", str(folder)],
        f"{python} -m venv failed ({advice})",
    )


def read(file: Path) -> str:
    """Return the text of a file, or nothing if there is no such file."""
    return file.read_text() if file.is_file() else ""


def stamp_of(key: str) -> str:
    """Return the stamp of an environment that is made from a key in this folder."""
    return f"{Path.cwd()} {key}"
