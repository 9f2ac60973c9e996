"""Run linters, tests, the coverage run and the fuzzers."""

import argparse
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from local_sagemaker.build import environments
from local_sagemaker.build.image import DOCKER, build, engine
from local_sagemaker.build.run import CommandError, misuse, replaced_by, say, shown
from tools.setup import PYTHON, setup

_CORES = min(os.cpu_count() or 1, 8)
# More than there are cores, because tests mostly wait for the processes that they start. Each
# process of the tests takes half a GB.
_WORKERS = min(2 * _CORES, 8)
# A file's tests share what is slow to make, such as a service. tests/conftest.py orders the files.
_PARALLEL = ("--dist", "loadfile", "--no-loadscope-reorder", "-n")
_COMPILE = "from factorization_machines.kernels.jit import compile_all; compile_all()"
_COVERED = ("tests/unit", "tests/numerics", "tests/contract", "tests/service")
_CORPUS = Path("build/fuzz")
_LIBFUZZER = ["-max_len=512", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]
_LIBFUZZER += [f"-artifact_prefix={_CORPUS}/", "-verbosity=0"]


def check() -> None:
    """Run what takes less than a minute: the linters and the unit tests."""
    setup()
    _lint()
    options = ("-q", "--hypothesis-profile=quick")
    replaced_by(PYTHON, "-m", "pytest", *options, *_PARALLEL, str(_CORES), "tests/unit")


def test(arguments: list[str]) -> None:
    """Run the linters, make what the tests need where that is possible, and run all tests."""
    in_ci, containers = bool(os.environ.get("CI")), engine() is not None
    if in_ci and not containers:
        raise CommandError(f"CI is set and no Docker engine answers '{DOCKER} version'")
    names = ("notebook", "2", "1") if containers else ("notebook", "2")
    with ThreadPoolExecutor(_CORES) as pool:  # each part uses one core; the longest are first
        made = [pool.submit(_setup_and_lint)]
        if containers:
            made.append(pool.submit(environments.sdk, "3"))
            made.append(pool.submit(build, argparse.Namespace(region="us-east-1", service=True)))
        made += [pool.submit(environments.sdk, name) for name in names]
        mxnet = pool.submit(environments.sdk, "mxnet")
    for part in made:
        part.result()
    try:
        mxnet.result()
    except CommandError as error:
        if in_ci:
            raise
        say(f"Tests that need mxnet are skipped: {error}")
    if not containers:
        say("No Docker engine answers: tests that need the image or a container are skipped")
    say("pytest")
    replaced_by(PYTHON, "-m", "pytest", *_PARALLEL, str(_WORKERS), *arguments)


def coverage(arguments: list[str]) -> None:
    """Run the tests that need no container; fail if they cover less of src than is asked."""
    setup()
    if not arguments:
        environments.sdk("2")  # of the service's tests
    command = (PYTHON, "-m", "coverage")
    shown(*command, "erase")
    options = ("-q", *_PARALLEL, str(_WORKERS))
    shown(*command, "run", "-m", "pytest", *options, *(arguments or _COVERED))
    shown(*command, "combine", "--quiet")
    replaced_by(*command, "report")


def fuzz(arguments: list[str]) -> None:
    """Fuzz the decoder as Python, whose branches the fuzzer sees, then compiled; then the rest."""
    seconds = " ".join(arguments) or "300"
    if not re.fullmatch("[0-9]+", seconds):
        misuse(f"fuzz: SECONDS is a number; got '{seconds}'")
    setup()
    # Not a dependency: it has no wheels for some of the versions of Python that are supported.
    if subprocess.run([PYTHON, "-c", "import atheris"], stderr=subprocess.DEVNULL).returncode:
        arguments = ["--only-binary=:all:", "atheris"]
        environments.install(Path(".venv"), "atheris", *arguments, failure="cannot install atheris")
    _CORPUS.mkdir(parents=True, exist_ok=True)
    say("The decoder as Python")
    _fuzz_target("decoder", int(seconds) // 3, NUMBA_DISABLE_JIT="1")
    say("The decoder, compiled")
    _fuzz_target("decoder", int(seconds) // 3)
    for name in ("model", "requests", "address", "state"):
        _fuzz_target(name, int(seconds) // 12)


def _fuzz_target(name: str, seconds: int, **environment: str) -> None:
    command = [PYTHON, "-m", "fuzz", name, f"{_CORPUS}/{name}", f"-max_total_time={seconds}"]
    environment = {**os.environ, "PYTHONPATH": "tests", **environment}
    done = subprocess.run(
        [*command, *_LIBFUZZER], stderr=subprocess.PIPE, env=environment, errors="replace"
    )
    if done.returncode:
        sys.stderr.write("\n".join(done.stderr.splitlines()[-30:]) + "\n")
        raise CommandError(f"fuzz: {name} failed; the input that caused it is in {_CORPUS}")
    executed = re.findall(r"number_of_executed_units:\s*(\d+)", done.stderr)
    say(f"{name}: {' '.join(executed)} executions, no failure")


def _setup_and_lint() -> None:
    setup()
    say("Compiling the kernels")
    shown(PYTHON, "-c", _COMPILE)
    _lint()


def _lint() -> None:
    for line in ("ruff check .", "ruff format --check .", "mypy"):
        say(line)
        program, *arguments = line.split()
        shown(f".venv/bin/{program}", *arguments)
