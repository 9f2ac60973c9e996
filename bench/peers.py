"""Environments of peers, made on demand under .bench, and the processes that run in them."""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.data import ROOT, WORK
from bench.timing import Missing, progress

PACKAGES: Mapping[str, Sequence[str]] = {
    "xlearn": ("xlearn==0.40a1", "numpy", "scipy"),
    "myfm": ("myfm==0.4.0",),
    "lightfm": ("lightfm==1.17",),
}
# What a peer is built with: the setup.py of LightFM runs neither in isolation nor by PEP 517.
BUILT_WITH: Mapping[str, Sequence[str]] = {
    "lightfm": ("setuptools<70", "wheel", "numpy", "scipy", "requests", "scikit-learn"),
}
SDK = ROOT / ".sdk" / "v2" / "bin" / "python"  # ./build.sh sdk 2
SCRIPTS = Path(__file__).parent / "peer"


@functools.cache
def environment(name: str) -> Path:
    """Return the Python of a peer's environment. Raises: Missing if it cannot be installed."""
    folder = ROOT / ".bench" / name
    python, stamp = folder / "bin" / "python", folder / ".stamp"
    key = " ".join((*PACKAGES[name], sys.version, str(folder)))
    if stamp.exists() and stamp.read_text() == key:
        return python
    progress(f"installing {' '.join(PACKAGES[name])} into {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    steps = [[sys.executable, "-m", "venv", str(folder)]]
    install = [str(python), "-m", "pip", "install", "-q"]
    if name in BUILT_WITH:
        steps.append([*install, *BUILT_WITH[name]])
        install += ["--no-build-isolation", "--no-use-pep517"]
    steps.append([*install, *PACKAGES[name]])
    for command in steps:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if "ERROR" in line]
            reason = errors[-1] if errors else f"{' '.join(command[:4])} failed"
            raise Missing(f"{reason}")
    stamp.write_text(key)
    return python


def sdk() -> Path:
    """Return the Python of the SDK's environment. Raises: Missing."""
    if not SDK.exists():
        raise Missing("./build.sh sdk 2 makes its environment")
    return SDK


def libfm() -> Path:
    """Return libFM's program: LIBFM names it, or a checkout, which is built. Raises: Missing."""
    given = os.environ.get("LIBFM")
    if not given:
        raise Missing("LIBFM names its program or a checkout")
    program = Path(given)
    if program.is_dir():
        checkout, program = program, program / "bin" / "libFM"
        if not program.exists():
            subprocess.run(["make", "all"], cwd=checkout, capture_output=True, check=False)
    if not program.is_file():
        raise Missing(f"no program {program}")
    return program.absolute()


def _limits(threads: int) -> tuple[list[str], dict[str, str]]:
    """Return what begins a command that may use so many threads and cores, and its environment."""
    limits = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.environ.get("HOME", str(WORK)),
        "USER": os.environ.get("USER") or "bench",  # xLearn aborts without
        **{f"{name}_NUM_THREADS": str(threads) for name in limits},
    }
    pinned = []
    if shutil.which("taskset") and hasattr(os, "sched_getaffinity"):
        chosen = sorted(os.sched_getaffinity(0))[:threads]
        pinned = ["taskset", "-c", ",".join(map(str, chosen))]
    return pinned, env


def run(command: Sequence[str], threads: int) -> str:
    """Return what a peer prints. Raises: Missing if it fails."""
    pinned, env = _limits(threads)
    done = subprocess.run(
        [*pinned, *command],
        cwd=WORK,
        env=env,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise Missing(f"{Path(command[-1 if len(command) < 2 else 1]).name} failed: {last}")
    return done.stdout


def script(python: Path, name: str, *arguments: str, threads: int = 1) -> str:
    """Return what a script of bench/peer prints."""
    return run([str(python), str(SCRIPTS / name), *arguments], threads)


class Answers:
    """A script of bench/peer that stays: it answers a line by `answer …`. A context manager."""

    def __init__(self, name: str):
        self._name = name
        self._process: subprocess.Popen[str] | None = None

    def ask(self, python: Path, line: str) -> str:
        """Return the answer. Raises: Missing if the script has ended."""
        if self._process is None:
            pinned, env = _limits(threads=1)
            self._process = subprocess.Popen(
                [*pinned, str(python), str(SCRIPTS / self._name)],
                cwd=WORK,
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        assert self._process.stdin and self._process.stdout
        try:
            print(line, file=self._process.stdin, flush=True)
            for said in self._process.stdout:
                if said.startswith("answer "):
                    return said.removeprefix("answer ")
        except BrokenPipeError:
            pass
        raise Missing(f"{self._name} ended in {python}")

    def __enter__(self) -> "Answers":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.communicate()
