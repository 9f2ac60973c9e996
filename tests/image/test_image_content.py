"""What the image says of itself, what it holds, and what it does not."""

import json
import re
from pathlib import Path

import pytest

import factorization_machines
from support.docker import IMAGE, OFFLINE, docker, run

pytestmark = pytest.mark.docker

LARGEST = 1_200_000_000  # bytes, unpacked
LOCK = Path(__file__).parents[2] / "docker" / "requirements.lock"
COMPILERS = "gcc cc g++ c++ clang cpp ld as ar make cmake gfortran rustc go"
TOOLS = "pip setuptools wheel pytest hypothesis mypy ruff boto3 botocore moto sagemaker matplotlib"


@pytest.fixture(scope="module")
def about():
    return json.loads(docker("image", "inspect", IMAGE).stdout)[0]


def test_without_a_command_it_trains(about):
    assert about["Config"]["Cmd"] == ["train"]
    assert not about["Config"].get("Entrypoint")


def test_port_and_labels(about):
    config = about["Config"]
    assert list(config["ExposedPorts"]) == ["8080/tcp"]
    labels = config["Labels"]
    assert labels["com.amazonaws.sagemaker.capabilities.accept-bind-to-port"] == "true"
    name = "org.opencontainers.image"
    assert labels[f"{name}.title"] == "factorization-machines"
    assert labels[f"{name}.licenses"] == "Apache-2.0"
    assert labels[f"{name}.version"] == factorization_machines.__version__
    assert labels[f"{name}.description"]


def test_size(about):
    assert about["Size"] <= LARGEST


def test_commands_are_on_the_path():
    found = run(
        *OFFLINE,
        command=("sh", "-c", "command -v train; command -v serve; command -v fm-model"),
        check=True,
    )
    assert found.stdout.split() == [
        "/opt/program/train", "/opt/program/serve", "/opt/fm/bin/fm-model",
    ]  # fmt: skip


def test_no_compiler():
    script = f"for name in {COMPILERS}; do command -v $name; done; true"
    assert run(*OFFLINE, command=("sh", "-c", script), check=True).stdout == ""


def test_it_holds_the_lock_and_no_tool():
    script = (
        "import importlib.metadata as m, json, re; "
        "print(json.dumps({re.sub('[-_.]+', '-', d.name).lower(): d.version"
        " for d in m.distributions()}))"
    )
    held = json.loads(run(*OFFLINE, command=("python", "-c", script), check=True).stdout)
    assert held.keys().isdisjoint(TOOLS.split())
    locked = dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", LOCK.read_text(), re.M))
    assert len(locked) > 10
    assert held.keys() - locked.keys() == {"torch", "local-factorization-machines"}
    assert {name: held[name] for name in locked if name in held} == {
        name: pinned for name, pinned in locked.items() if name not in TOOLS.split()
    }
    assert held["torch"].endswith("+cpu")
