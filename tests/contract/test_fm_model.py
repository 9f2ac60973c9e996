"""`fm-model` as a real process: each command, what it prints, and how it ends."""

import gzip
import json
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest

from factorization_machines import artifact
from factorization_machines.artifact import Model
from support import fm
from support.job import PATIENCE, UNPRIVILEGED, Job, Result, command

DIM, FACTORS = 12, 3
PARAMETERS = fm.parameters(4, DIM, FACTORS, scale=0.5)
TRAINING = {"predictor_type": "binary_classifier", "epochs": "7"}


def run(folder: Path, *arguments: str, before: list[str] | None = None) -> Result:
    done = subprocess.run(
        [*(before or []), *command("fm-model"), *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def good(folder: Path, *arguments: str) -> str:
    done = run(folder, *arguments)
    assert (done.code, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a model in `model`."""
    (tmp_path / "model").mkdir()
    artifact.write(tmp_path / "model", Model(PARAMETERS, TRAINING, {"trained_by": "a test"}))
    return tmp_path


def test_info(folder: Path) -> None:
    lines = good(folder, "info", "model").splitlines()
    assert lines[:3] == [
        "predictor_type  binary_classifier",
        f"feature_dim     {DIM}",
        f"num_factors     {FACTORS}",
    ]
    assert lines[4].startswith("linear          norm ")
    assert f"  {'epochs':<32}7" in lines[lines.index("training parameters") :]
    assert f"  {'trained_by':<32}a test" in lines[lines.index("notes") :]
    content = json.loads(good(folder, "info", "--json", "model/model_algo-1"))
    assert content["training_parameters"]["epochs"] == "7"
    assert content["factors"]["norm"] == pytest.approx(float(np.linalg.norm(PARAMETERS.v)))


def test_out_and_back_by_each_format(folder: Path) -> None:
    made = []
    for form, ending in (
        ("npz", "npz"), ("safetensors", "safetensors"), ("onnx", "onnx"), ("torch", "pt"),
    ):  # fmt: skip
        name = f"fm.{ending}"
        assert good(folder, "export", "model", "--to", form, "-o", name) == f"{name}\n"
        given = ["--predictor-type", "binary_classifier"] if form == "torch" else []
        back = f"back-{ending}"
        assert good(folder, "import", name, "-o", back, *given) == f"{back}/model_algo-1\n"
        parameters = artifact.read(folder / back).parameters
        np.testing.assert_array_equal(parameters.v, PARAMETERS.v)
        made += [name, back]
    assert sorted(path.name for path in folder.iterdir()) == sorted(["model", *made])
    before, after = (folder / one / "model_algo-1" for one in ("model", "back-onnx"))
    assert before.read_bytes() == after.read_bytes()
    good(folder, "export", "fm.npz", "--to", "safetensors", "-o", "fm.safetensors")


def test_import_to_what_a_service_wants(folder: Path, job: Job) -> None:
    assert good(folder, "import", "model", "-o", "model.tar.gz") == "model.tar.gz\n"
    with tarfile.open(folder / "model.tar.gz") as archive:
        assert archive.getnames() == ["model_algo-1"]
    (folder / "model.tar.gz").rename(job.model / "model.tar.gz")
    with job.served() as endpoint:
        assert endpoint.ping().status_code == 200


def test_embeddings(folder: Path) -> None:
    said = good(folder, "embeddings", "model", "--users", "5", "-o", "e.npy")
    assert said == "e-users.npy\ne-items.npy\n"
    users, items = (np.load(folder / f"e-{name}.npy") for name in ("users", "items"))
    v, w = PARAMETERS.v, PARAMETERS.w[:, None]
    np.testing.assert_array_equal(users, np.concatenate((v[:5], np.ones((5, 1))), axis=1))
    np.testing.assert_array_equal(items, np.concatenate((v[5:], w[5:]), axis=1))
    good(folder, "embeddings", "model", "--users", "2:4", "--items", "6:9", "-o", "e.npz")
    with np.load(folder / "e.npz") as file:
        assert (file["user_keys"].tolist(), file["item_keys"].tolist()) == ([2, 3], [6, 7, 8])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "fm-model: error: the following arguments are required: COMMAND"),
        (("info",), 2, "the following arguments are required: model"),
        (("info", "none"), 3, "ArtifactError: there is no model_algo-1 in none; it holds nothing"),
        (("export", "model", "--to", "csv", "-o", "x"), 2, "argument --to: invalid choice: 'csv'"),
        (("embeddings", "model", "--users", "x", "-o", "e.npz"), 2, "must be N or START:STOP"),
        (
            ("embeddings", "model", "--users", "12", "-o", "e.npz"),
            2,
            "UserError: items must be a block of features from 0 to 12; got 12:12",
        ),
        (("export", "model", "--to", "npz", "-o", "no/fm.npz"), 3, "PlatformError: no/fm.npz can"),
        (("import", "model", "-o", "no/m.tar.gz"), 3, "PlatformError: no/m.tar.gz cannot be"),
    ],
)
def test_what_cannot_be_done(
    folder: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = run(folder, *arguments)
    assert (done.code, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in folder.iterdir()] == ["model"]


def test_a_hostile_archive_ends_it_at_once(folder: Path) -> None:
    info = tarfile.TarInfo("\x1b[2J")
    info.size = 8 * 10**12
    (folder / "m.tar.gz").write_bytes(gzip.compress(info.tobuf()))
    done = run(folder, "info", "m.tar.gz")
    assert (done.code, done.stdout) == (3, "")
    assert r"\x1b[2J: 8000000000000 bytes, more than the archive may hold" in done.stderr


def test_a_terminal_gets_no_control_characters_of_a_model(folder: Path) -> None:
    odd = {**TRAINING, "epochs\x1b[2J": "7\n\x9b"}
    artifact.write(folder / "model", Model(PARAMETERS, odd, {"\x1b]0;t\x07": "\r"}))
    text = good(folder, "info", "model")
    assert all(line.isprintable() for line in text.splitlines())
    assert r"epochs\x1b[2J" in text and r"7\n\x9b" in text and r"\x1b]0;t\x07" in text
    assert good(folder, "info", "--json", "model").isascii()


def test_a_folder_that_may_not_be_written(folder: Path) -> None:
    folder.chmod(0o555)
    for arguments in (
        ("import", "model", "-o", "back"),
        ("import", "model", "-o", "back.tar.gz"),
        ("export", "model", "--to", "npz", "-o", "fm.npz"),
    ):
        done = run(folder, *arguments, before=UNPRIVILEGED)
        assert done.code == 3
        assert "cannot be written" in done.stderr and "Permission denied" in done.stderr
    folder.chmod(0o755)


def test_a_reader_that_leaves(folder: Path) -> None:
    with subprocess.Popen(
        [*command("fm-model"), "info", "model"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
