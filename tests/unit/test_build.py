"""What the commands of build.sh decide: nothing is installed or built here."""

import sys
from pathlib import Path

import pytest
from tools import __main__ as commands
from tools import checks, setup

from local_sagemaker import cli
from local_sagemaker.build import environments, image, run
from local_sagemaker.build.run import CommandError
from local_sagemaker.lab import lab

VERSION = ".".join(map(str, sys.version_info[:3]))
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have each test in a folder of its own, with no setting of the person who runs it."""
    monkeypatch.chdir(tmp_path)
    Path("build.sh").touch()
    for name in ("PYTHON", "CI"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the commands that would have been run; an environment that is made gets a Python."""
    commands: list[list[str]] = []

    def record(_name: str, command: list[str], _failure: str) -> None:
        commands.append(command)
        if command[1:3] == ["-m", "venv"]:
            python = Path(command[3], "bin", "python")
            python.parent.mkdir(parents=True)
            python.symlink_to(sys.executable)

    monkeypatch.setattr(environments, "logged", record)
    monkeypatch.setattr(image, "logged", record)
    return commands


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the Pythons that can be run, by name, for a test to fill."""
    known: dict[str, str] = {}
    monkeypatch.setattr(environments, "version_of", known.get)
    return known


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "unknown command 'nonsense'; ./build.sh alone lists the commands"),
        (["setup", "now"], "setup takes no 'now'"),
        (["sdk"], "sdk '': 1, 2, 3, mxnet or notebook"),
        (["sdk", "4"], "sdk '4': 1, 2, 3, mxnet or notebook"),
        (["fuzz", "-1"], "fuzz: SECONDS is a number; got '-1'"),
    ],
)
def test_a_wrong_command_line_exits_with_2(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(commands, "make_venv", lambda: None)
    assert commands.main(arguments) == 2
    assert capsys.readouterr().err == f"build.sh: {message}\n"


def test_help_names_every_command(capsys):
    assert commands.main([]) == 0
    usage = capsys.readouterr().out
    for name in (*commands._COMMANDS, *commands._WITHOUT_ARGUMENTS):
        assert f"\n  {name} " in usage


def test_the_first_python_in_range_is_found(versions):
    versions |= {"python3": "3.9.2", "python3.13": "3.13.0", "python3.11": "3.11.7"}
    assert environments.find_python() == "python3.13"
    assert environments.find_python(newest=12) == "python3.11"
    with pytest.raises(CommandError, match=r"^no Python 3\.10 to 3\.10 on PATH; set PYTHON to"):
        environments.find_python(newest=10)


def test_the_chosen_python_must_be_in_range(versions, monkeypatch):
    versions |= {"python3": "3.11.7", "mine": "3.13.0"}
    monkeypatch.setenv("PYTHON", "mine")
    assert environments.find_python() == "mine"
    with pytest.raises(CommandError, match=r"^PYTHON=mine is Python 3\.13\.0; needed: 3\.10 to"):
        environments.find_python(newest=12)
    monkeypatch.setenv("PYTHON", "none")
    with pytest.raises(CommandError, match="^PYTHON=none cannot be run"):
        environments.find_python()


def test_versions_of_real_programs(folder):
    assert environments.version_of(sys.executable) == VERSION
    assert environments.version_of(str(folder / "none")) is None
    assert environments.version_of("false") is None


def test_an_environment_is_made_once(folder, ran):
    environments.ensure(Path("build/x"), "uv", newest=99)
    assert [command[1:] for command in ran] == [
        ["-m", "venv", "build/x"],
        [*"-m pip --disable-pip-version-check --no-input install --no-compile".split(), "uv"],
    ]
    environments.ensure(Path("build/x"), "uv")
    assert len(ran) == 2
    environments.ensure(Path("build/x"), "uv", "ruff")  # other packages
    assert len(ran) == 4
    stamp = Path("build/x/.stamp").read_text()
    assert environments.is_current(Path("build/x"), stamp)
    (folder / "build").rename(folder / "moved")
    assert stamp.startswith(f"{folder} ") and not environments.is_current(Path("build/x"), stamp)


def test_another_chosen_python_makes_it_again(versions, monkeypatch):
    versions |= {"x/bin/python": "3.11.7", "same": "3.11.7", "other": "3.12.0"}
    Path("x").mkdir()
    Path("x/.stamp").write_text("stamp")
    assert environments.is_current(Path("x"), "stamp")
    for name, current in (("same", True), ("other", False)):
        monkeypatch.setenv("PYTHON", name)
        assert environments.is_current(Path("x"), "stamp") is current
    versions.clear()  # nor if it cannot be run any more
    assert not environments.is_current(Path("x"), "stamp")


def test_setup_keeps_an_environment_whose_inputs_changed(ran, capsys):
    Path("docker").mkdir()
    Path("docker/requirements.in").write_text("# comment\ntorch==9.8.7\nfilelock\n")
    Path("pyproject.toml").write_text("one")
    setup.setup()
    assert [command[2] for command in ran] == ["venv", "pip", "pip"]
    assert ran[1][-1].startswith("torch==9.8.7")
    setup.setup()
    assert len(ran) == 3
    Path("pyproject.toml").write_text("two")
    setup.setup()
    assert [command[2] for command in ran[3:]] == ["pip", "pip"]
    assert capsys.readouterr().out.endswith("Bringing .venv up to date\n")
    Path(".venv/.stamp").write_text("/elsewhere key")
    setup.setup()
    assert [command[2] for command in ran[5:]] == ["venv", "pip", "pip"]


def test_every_sdk_has_its_requirements(ran, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(environments, "is_current", lambda *_: False)
    monkeypatch.setattr(environments, "make", lambda *values: ran.append(list(values)))
    monkeypatch.setattr(environments.Path, "write_text", lambda *_: None)
    for name in environments.SDKS:
        environments.sdk(name)
    assert [str(command[0]) for command in ran[::2]] == [
        *(".sdk/v1", ".sdk/v2", ".sdk/v3", ".sdk/mxnet", ".sdk/notebook")
    ]
    assert [command[1] for command in ran[::2]] == [12, 99, 99, 11, 99]


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("", "no output"),
        ("one\ntwo\n\n", "two"),
        ("Step 3 : RUN x\n/bin/sh: 1: no such thing\nERROR: executor failed running x\n", "/bin"),
        ("gcc: it broke here\n------\nThe command x returned a non-zero code: 1\n", "gcc"),
        ("ERROR: no matching version\nsome error\nERROR: last\n", "ERROR: no matching version"),
        ("an Error: one\nPermission denied\nbye\n", "Permission denied"),
    ],
)
def test_the_reason_of_a_failure(folder, log, line):
    (folder / "x.log").write_text(log)
    text = run.reason(Path("x.log"))
    assert text.startswith(line) and text.endswith(" (full output: x.log)")


def test_a_logged_program(capfd):
    run.logged("good", [sys.executable, "-c", "print('x')"], "cannot print")
    assert Path("build/log/good.log").read_text() == "x\n"
    with pytest.raises(CommandError, match=r"^cannot count: ERROR: 3 \(full output: build/log/b"):
        run.logged("bad", [sys.executable, "-c", "exit('ERROR: 3')"], "cannot count")
    assert capfd.readouterr() == ("", "")


def test_a_shown_program_passes_its_exit_code_on():
    run.shown(sys.executable, "-c", "")
    with pytest.raises(CommandError) as caught:
        run.shown(sys.executable, "-c", "raise SystemExit(7)")
    assert (caught.value.code, str(caught.value)) == (7, "")


def test_names_of_the_image(monkeypatch):
    monkeypatch.chdir(ROOT)
    (name,) = image.registry_names("us-east-1")
    assert name == "382416733822.dkr.ecr.us-east-1.amazonaws.com/factorization-machines"
    names = image.registry_names(None)
    assert name in names and len(set(names)) == len(names) > 20
    with pytest.raises(CommandError, match="^unknown region 'mars'; known: af-south-1 ") as caught:
        image.registry_names("mars")
    assert caught.value.code == 2


def test_without_an_engine(monkeypatch):
    monkeypatch.setattr(image, "DOCKER", "no-such-docker")
    assert image.engine() is None
    with pytest.raises(CommandError, match="^no Docker engine answers 'no-such-docker version': "):
        image.wheels()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(CommandError, match="^CI is set and no Docker engine answers"):
        checks.test([])
    with pytest.raises(CommandError, match="start Docker; --backend process needs none$"):
        commands.lab(["--backend", "docker"])


def test_the_wheelhouse_is_filled_once(ran, monkeypatch):
    monkeypatch.setattr(image, "need_engine", lambda: "arm64")
    monkeypatch.setattr(environments, "TORCH_INDEX", "https://index.example")
    Path("docker").mkdir()
    Path("docker/requirements.in").write_text("torch==9.8.7\n")
    Path("docker/requirements.lock").write_text("numpy==2\n")
    wheels = Path("build/wheelhouse")
    (wheels / "old").mkdir(parents=True)
    # What pip would have downloaded is put there by the last command.
    monkeypatch.setattr(environments, "ensure", lambda _: wheels.mkdir() or (wheels / "w").touch())
    image.wheels()
    assert [path.name for path in wheels.iterdir()] == ["w"]
    packages, torch = ran
    assert packages[-3:] == ["--require-hashes", "-r", "docker/requirements.lock"]
    assert "--platform=manylinux_2_28_aarch64" in packages and "--abi=cp311" in packages
    assert torch[-1] == "torch==9.8.7+cpu" and "https://index.example" in torch
    image.wheels()
    assert len(ran) == 2
    (wheels / "w").unlink()
    (wheels / "incomplete").touch()
    monkeypatch.setattr(environments, "ensure", lambda _: wheels.mkdir())
    image.wheels()
    assert len(ran) == 4


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ([], "lab --backend auto"),
        (["--backend=process", "--out", "d"], "lab --backend process --out d"),
        (["--backend", "docker"], "lab --backend docker"),
        (["--notebook", "--x"], "notebook --backend auto --x"),
    ],
)
def test_the_command_of_the_lab(arguments, command, monkeypatch):
    replaced: list[tuple[str, ...]] = []
    monkeypatch.setattr(commands, "make_venv", lambda: None)
    monkeypatch.setattr(commands, "need_engine", lambda _: "amd64")
    monkeypatch.setattr(commands, "replaced_by", lambda *words: replaced.append(words))
    commands.lab(arguments)
    assert replaced[0] == (".venv/bin/python", "-m", "local_sagemaker", *command.split())


@pytest.mark.parametrize(
    ("arguments", "engine", "made"),
    [
        ([], "amd64", ["2", "image", "lab"]),
        ([], None, ["2", "lab"]),
        (["--backend", "process"], "amd64", ["2", "lab"]),
        (["--backend", "docker"], "amd64", ["2", "image", "lab"]),
        (["--sdk-python", "python"], None, ["lab"]),
    ],
)
def test_what_the_lab_needs(arguments, engine, made, folder, monkeypatch):
    seen: list[str] = []
    monkeypatch.setattr(cli.project, "root", lambda: folder)
    monkeypatch.setattr(environments, "sdk", seen.append)
    monkeypatch.setattr(image, "engine", lambda: engine)
    monkeypatch.setattr(image, "build", lambda _: seen.append("image"))
    monkeypatch.setattr(lab, "run", lambda _: seen.append("lab"))
    options = cli._parser().parse_args(["lab", *arguments])
    options.run(options)
    assert seen == made


def test_only_lines_to_eval_are_on_standard_output(monkeypatch, capsys):
    monkeypatch.setattr(commands, "make_venv", lambda: run.say("Making .venv"))
    monkeypatch.setattr(commands, "replaced_by", lambda *_: run.say("export X=1"))
    commands.up(["--env"])
    assert capsys.readouterr() == ("export X=1\n", "Making .venv\n")
