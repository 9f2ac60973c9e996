"""The wheel, installed in an environment of its own and used outside the checkout."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path

import pytest
import requests

from factorization_machines import artifact
from support import sdk
from support.fm import parameters
from support.job import Job
from support.ratings import write_ratings
from support.service import PATIENCE, ROOT

SITE = Path(sysconfig.get_path("purelib"))
# What serve needs besides the wheel, with what these need themselves.
SERVING = "flask werkzeug jinja2 markupsafe click itsdangerous blinker gunicorn packaging numpy"
SERVING += " numpy.libs orjson"
COMMANDS = ("train", "serve", "fm-model", "local-sagemaker")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel that is made from the source distribution, as a package index gets both."""
    folder = tmp_path_factory.mktemp("wheel")
    build = "import sys; from setuptools import build_meta as b; b.build_sdist(sys.argv[1])"
    run(sys.executable, "-c", build, folder, cwd=ROOT)
    (source,) = folder.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(folder / "source", filter="data")
    (unpacked,) = (folder / "source").iterdir()
    build = "import sys; from setuptools import build_meta as b; b.build_wheel(sys.argv[1])"
    run(sys.executable, "-c", build, folder, cwd=unpacked)
    (built,) = folder.glob("*.whl")
    return built


def run(*command: object, cwd: Path, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command without this checkout on the path."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**kept, "XDG_CACHE_HOME": str(cwd / "cache"), **env},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def environment(folder: Path, wheel: Path) -> tuple[Path, Path]:
    """Return the scripts and the packages of a new environment that has the wheel alone."""
    venv.create(folder, symlinks=True)
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install")
    run(*pip, "-q", "--no-deps", "--no-index", wheel, cwd=folder)
    (packages,) = (folder / "lib").glob("python*/site-packages")
    return folder / "bin", packages


@pytest.fixture(scope="module")
def whole(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the scripts of an environment with the wheel and all that its extras bring."""
    scripts, packages = environment(tmp_path_factory.mktemp("whole"), wheel)
    (packages / "dependencies.pth").write_text(f"{SITE}\n")
    for cache in (ROOT / "src").rglob("__pycache__/kernels-*"):  # to compile them takes a minute
        shutil.copytree(cache, packages / cache.relative_to(ROOT / "src"))
    return scripts


@pytest.fixture(scope="module")
def light(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the scripts of an environment with the wheel and what serve needs."""
    scripts, packages = environment(tmp_path_factory.mktemp("light"), wheel)
    for name in SERVING.split():
        if (SITE / name).exists():  # not every wheel of numpy has numpy.libs
            (packages / name).symlink_to(SITE / name)
    return scripts


def test_every_command_is_there_and_the_package_is_the_wheels(whole: Path, tmp_path: Path) -> None:
    assert all((whole / name).is_file() for name in COMMANDS)
    show = "import local_sagemaker, factorization_machines as f; print(local_sagemaker.__file__)"
    assert str(whole.parent) in run(whole / "python", "-c", show, cwd=tmp_path).stdout


def test_the_folder_of_a_wheel_builds_the_same_image(whole: Path, tmp_path: Path) -> None:
    """The build reads what .dockerignore lets in: the same files as in the checkout."""
    show = "from local_sagemaker.build import project; print(project.root())"
    root = Path(run(whole / "python", "-c", show, cwd=tmp_path).stdout.strip())
    assert root.is_relative_to(tmp_path / "cache")
    names = ("Dockerfile", ".dockerignore", "pyproject.toml", "README.md", "LICENSE")
    names += ("container", "docker", "examples", "requirements", "src")
    files = [path for name in names for path in ((ROOT / name), *(ROOT / name).rglob("*"))]
    for path in files:
        relative = path.relative_to(ROOT)
        if (
            path.is_file()
            and not {"__pycache__"} & set(relative.parts)
            and path.parent.suffix == ""
        ):
            assert (root / relative).read_bytes() == path.read_bytes(), relative
    assert os.access(root / "container" / "serve", os.X_OK)
    again = run(whole / "python", "-c", show, cwd=tmp_path).stdout.strip()
    assert Path(again) == root


@pytest.mark.sdk
def test_the_lab_runs_outside_the_checkout(whole: Path, tmp_path: Path) -> None:
    if reason := sdk.missing(2, containers=False):
        pytest.skip(reason)
    write_ratings(tmp_path)
    options = ("--backend", "process", "--data", ".", "--sdk-python", sdk.python(2))
    scores = ("--scores-json", "scores.json")
    done = run(whole / "local-sagemaker", "lab", *options, *scores, cwd=tmp_path)
    assert "learning curve: " in done.stdout
    assert json.loads((tmp_path / "scores.json").read_text())["backend"] == "process"
    assert (tmp_path / "out" / "learning-curve-process.png").is_file()


def test_the_service_starts_outside_the_checkout(whole: Path, tmp_path: Path) -> None:
    script = whole / "local-sagemaker"
    done = run(script, "up", "--env", "--backend", "process", "--port", "0", cwd=tmp_path)
    try:
        assert "local-sagemaker down ends it" in done.stderr
        assert str(tmp_path / ".service" / "ca") in done.stdout
    finally:
        ended = run(script, "down", cwd=tmp_path)
    assert ended.stdout == "down: ended\n"


def test_serve_needs_neither_torch_nor_scipy(light: Path, tmp_path: Path) -> None:
    job = Job(tmp_path)
    artifact.write(
        job.model, artifact.Model(parameters(1, 3, 2), {"predictor_type": "binary_classifier"})
    )
    for name in ("torch", "numba", "scipy", "moto"):
        run(light / "python", "-c", f"import {name}", cwd=tmp_path, code=1)
    with job.served(program=[str(light / "serve")]) as endpoint:
        body = {"instances": [{"features": [1, 0, 1]}]}
        answer = requests.post(f"{endpoint.url}/invocations", json=body, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text
    assert list(answer.json()["predictions"][0]) == ["score", "predicted_label"]
    assert "feature_dim     3" in run(light / "fm-model", "info", job.model, cwd=tmp_path).stdout


def test_what_an_extra_brings_is_named(light: Path, tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.hyperparameters(feature_dim=3, num_factors=2, predictor_type="regressor")
    job.channel("train", b"")
    done = run(light / "train", cwd=tmp_path, code=3, SAGEMAKER_BASE_DIR=str(tmp_path))
    remedy = "is not installed; pip install local-factorization-machines installs what train needs"
    assert remedy in done.stderr and remedy in (job.failure or "")
    done = run(light / "local-sagemaker", "up", cwd=tmp_path, code=1)
    assert done.stderr.endswith("pip install 'local-factorization-machines[service]'\n")
    assert done.stderr.count("\n") == 1
