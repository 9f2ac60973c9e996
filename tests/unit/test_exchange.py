"""Each format: read by the library that it is for, read back by us, and spoilt."""

import json
import os
import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.torch
import torch
from scipy.sparse import csr_array

from factorization_machines import artifact
from factorization_machines.artifact import Model
from factorization_machines.errors import ArtifactError, PlatformError, UserError
from factorization_machines.export import FORMATS, embeddings, load, onnx_graph, save, summary
from factorization_machines.export.embeddings import write as write_vectors
from factorization_machines.module import Batch, FactorizationMachine
from factorization_machines.parameters import Parameters
from factorization_machines.scoring import Predictor
from support import fm
from support.rows import instances

D, K = 300, 5
ENDINGS = {"npz": "npz", "safetensors": "safetensors", "torch": "pt", "onnx": "onnx"}


def model(kind: str = "binary_classifier") -> Model:
    training = {"predictor_type": kind, "feature_dim": str(D), "num_factors": str(K), "epochs": "3"}
    return Model(fm.parameters(7, D, K, scale=0.4), training, {"trained_by": "a test"})


def module() -> FactorizationMachine:
    zeros = (np.zeros(shape, np.float32) for shape in ((1,), (D,), (D, K)))
    return FactorizationMachine(Parameters(*zeros))


def assert_same(got: Model, expected: Model) -> None:
    for name in ("w0", "w", "v"):
        ours, theirs = (getattr(m.parameters, name) for m in (got, expected))
        assert (ours.dtype, ours.shape) == (np.float32, theirs.shape)
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", artifact.PREDICTOR_TYPES)
@pytest.mark.parametrize("name", FORMATS)
def test_what_is_saved_is_loaded(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / f"fm.{ENDINGS[name]}"
    save(path, model(kind), name)
    assert list(tmp_path.iterdir()) == [path]
    (tmp_path / "any").touch()
    assert path.stat().st_mode == (tmp_path / "any").stat().st_mode
    got = load(path, predictor_type=kind if name == "torch" else None)
    assert_same(got, model(kind))
    assert got.predictor_type == kind
    if name != "torch":
        assert dict(got.training_parameters) == dict(model(kind).training_parameters)
        assert dict(got.notes) == {"trained_by": "a test"}
    path.rename(tmp_path / "no-ending")
    assert_same(load(tmp_path / "no-ending", name, "regressor"), model())


def test_an_artifact_is_loaded_too(tmp_path: Path) -> None:
    artifact.write(tmp_path, model())
    assert_same(load(tmp_path), model())
    other = load(tmp_path / "model_algo-1", predictor_type="regressor")
    assert other.predictor_type == "regressor"


def test_numpy_reads_npz_without_pickle(tmp_path: Path) -> None:
    save(tmp_path / "fm.npz", model(), "npz")
    with np.load(tmp_path / "fm.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["v"], model().parameters.v)
        assert file["w"].shape == (D, 1)
        assert json.loads(str(file["training_parameters"]))["epochs"] == "3"


def assert_scores(machine: FactorizationMachine) -> None:
    x, _ = fm.rows(3, 30, D)
    with torch.no_grad():
        scores = torch.sigmoid(machine(Batch.of(x, 0, 30))).numpy()
    expected, _ = Predictor(model()).predict(instances(x))
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)


def test_torch_loads_the_state_dict_into_our_module(tmp_path: Path) -> None:
    save(tmp_path / "fm.pt", model(), "torch")
    machine = module()
    machine.load_state_dict(torch.load(tmp_path / "fm.pt", weights_only=True), strict=True)
    assert_scores(machine)


def test_a_state_dict_of_our_module_is_loaded(tmp_path: Path) -> None:
    torch.save(FactorizationMachine(model().parameters).state_dict(), tmp_path / "fm.pth")
    assert_same(load(tmp_path / "fm.pth", predictor_type="regressor"), model())


def test_a_state_dict_in_half_precision_is_loaded(tmp_path: Path) -> None:
    torch.save(FactorizationMachine(model().parameters).half().state_dict(), tmp_path / "fm.pt")
    got = load(tmp_path / "fm.pt", predictor_type="regressor").parameters.v
    np.testing.assert_allclose(got, model().parameters.v, rtol=1e-3, atol=1e-3)


def test_safetensors_loads_into_our_module(tmp_path: Path) -> None:
    save(tmp_path / "fm.safetensors", model(), "safetensors")
    machine = module()
    safetensors.torch.load_model(machine, tmp_path / "fm.safetensors", strict=True)
    assert_scores(machine)


def padded(x: csr_array, length: int, key: int = 0) -> dict[str, np.ndarray]:
    """Return rows as the graph takes them, filled up with the value 0."""
    keys = np.full((x.shape[0], length), key, np.int64)
    values = np.zeros((x.shape[0], length), np.float32)
    for row in range(x.shape[0]):
        part = slice(x.indptr[row], x.indptr[row + 1])
        size = part.stop - part.start
        keys[row, :size], values[row, :size] = x.indices[part], x.data[part]
    return {"keys": keys, "values": values}


@pytest.mark.parametrize("kind", artifact.PREDICTOR_TYPES)
@pytest.mark.parametrize("beside", [False, True])
def test_onnxruntime_gives_our_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, beside: bool
) -> None:
    if beside:
        monkeypatch.setattr(onnx_graph, "LARGEST_INSIDE", 100)
    path = tmp_path / "fm.onnx"
    for _ in range(2):  # the second time over the first
        save(path, model(kind), "onnx")
    names = {"fm.onnx", "fm.onnx.data"} if beside else {"fm.onnx"}
    assert {file.name for file in tmp_path.iterdir()} == names
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [(i.name, i.type, i.shape) for i in session.get_inputs()] == [
        ("keys", "tensor(int64)", ["batch", "length"]),
        ("values", "tensor(float)", ["batch", "length"]),
    ]
    x, _ = fm.rows(4, 50, D)
    scores, labels = Predictor(model(kind)).predict(instances(x))
    most = int(np.diff(x.indptr).max())
    for length, key in ((most, 0), (most + 7, D - 1)):
        got = session.run(None, padded(x, length, key))
        assert got[0].dtype == np.float32
        np.testing.assert_allclose(got[0], scores, rtol=1e-5, atol=5e-5)
        assert len(got) == 1 + (kind == "binary_classifier")
        if labels is not None:
            np.testing.assert_array_equal(got[1], labels)
    (one,) = session.run(["score"], padded(x[1:2], 0))  # an empty row
    np.testing.assert_allclose(one, scores[1:2], rtol=1e-5)
    assert_same(load(path), model(kind))


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "link"])
def test_a_graph_may_not_read_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    monkeypatch.setattr(onnx_graph, "LARGEST_INSIDE", 100)
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "fm.onnx"
    save(path, model(), "onnx")
    (folder / "fm.onnx.data").rename(tmp_path / "secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    graph = onnx.load(path, load_external_data=False)
    for tensor in graph.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(graph.SerializeToString())
    with pytest.raises(ArtifactError, match="cannot be read as onnx: "):
        load(path)


@pytest.mark.parametrize(("library", "name"), [("onnx", "onnx"), ("safetensors", "safetensors")])
def test_a_library_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, name: str
) -> None:
    path = tmp_path / f"fm.{name}"
    save(path, model(), name)
    for loaded in [module for module in sys.modules if module.split(".")[0] == library]:
        monkeypatch.setitem(sys.modules, loaded, None)
    attempts: list[Callable[[], Any]] = [lambda: load(path), lambda: save(path, model(), name)]
    for attempt in attempts:
        with pytest.raises(PlatformError) as caught:
            attempt()
        assert str(caught.value).startswith(f"{library} is not installed (")
        assert str(caught.value).endswith("pip install 'local-factorization-machines[export]'")


class Harm:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "harm"
    torch.save({"v": Harm(mark)}, tmp_path / "fm.pt")
    (tmp_path / "fm.pth").write_bytes(pickle.dumps(Harm(mark)))
    np.savez(tmp_path / "fm.npz", v=np.array([Harm(mark)], dtype=object))
    for name in ("fm.pt", "fm.pth", "fm.npz"):
        with pytest.raises(ArtifactError, match=f"{name} cannot be read as "):
            load(tmp_path / name, predictor_type="regressor")
    assert not mark.exists()


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_cut_anywhere(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"fm.{ENDINGS[name]}"
    save(path, model(), name)
    content = path.read_bytes()
    for size in range(0, len(content) - 1, len(content) // 23):
        path.write_bytes(content[:size])
        with pytest.raises(ArtifactError) as caught:
            load(path, predictor_type="regressor")
        assert str(caught.value).startswith(f"{path}")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "texts", "message"),
    [
        ({"v": np.ones((3, 2))}, {}, "no array 'w1_weight' or 'Linear_Plus_Bias_weight' among v"),
        ({"v": np.ones((3, 2)), "w": np.ones(4), "w0": np.ones(1)}, {}, "shapes that do not fit"),
        (
            {"v": np.ones((3, 2)), "w": np.full(3, np.nan), "w0": np.ones(1)},
            {},
            "a parameter is NaN",
        ),
        ({}, {"training_parameters": "[1]"}, "training_parameters must be an object; got"),
        ({}, {"notes": "{"}, "notes is not JSON"),
    ],
)
def test_a_file_with_something_else_in_it(
    tmp_path: Path, arrays: dict[str, Any], texts: dict[str, str], message: str
) -> None:
    path = tmp_path / "fm.npz"
    np.savez(path, **arrays, **{name: np.array(text) for name, text in texts.items()})
    with pytest.raises(ArtifactError, match=f"^{re.escape(str(path))}: .*{re.escape(message)}"):
        load(path, predictor_type="regressor")


def test_a_torch_file_with_something_else_in_it(tmp_path: Path) -> None:
    for content in ([torch.ones(2)], {"v": 1}):
        torch.save(content, tmp_path / "fm.pt")
        with pytest.raises(ArtifactError, match="no state_dict: "):
            load(tmp_path / "fm.pt")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"there is no file .*/fm\.npz"):
        load(tmp_path / "fm.npz")


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / "none" / f"fm.{ENDINGS[name]}"
    with pytest.raises(PlatformError, match=f"^{re.escape(str(path))} cannot be written: "):
        save(path, model(), name)


def test_embeddings_rank_as_the_scores_do() -> None:
    parameters = fm.parameters(2, 10, 3)
    users, items = range(0, 4), range(4, 10)
    vectors = embeddings(parameters, users, items)
    assert (vectors.users.shape, vectors.items.shape) == ((4, 4), (6, 4))
    assert vectors.users.dtype == vectors.items.dtype == np.float32
    assert (vectors.user_keys.tolist(), vectors.item_keys.tolist()) == ([*users], [*items])
    x = np.zeros((24, 10), np.float32)
    for row, (user, item) in enumerate((user, item) for user in users for item in items):
        x[row, [user, item]] = 1
    scores, _ = Predictor(Model(parameters, {"predictor_type": "regressor"})).predict(instances(x))
    of_users = parameters.w0 + parameters.w[:4]
    products = vectors.users @ vectors.items.T + of_users[:, None]
    np.testing.assert_allclose(products, scores.reshape(4, 6), rtol=1e-4, atol=1e-5)


def test_embeddings_in_files(tmp_path: Path) -> None:
    vectors = embeddings(fm.parameters(2, 10, 3), range(2, 4), range(7, 10))
    assert write_vectors(tmp_path / "e.npz", vectors) == [tmp_path / "e.npz"]
    with np.load(tmp_path / "e.npz") as file:
        assert sorted(file.files) == ["item_keys", "items", "user_keys", "users"]
        np.testing.assert_array_equal(file["items"], vectors.items)
        assert file["user_keys"].tolist() == [2, 3]
    files = write_vectors(tmp_path / "e.npy", vectors)
    assert [path.name for path in files] == ["e-users.npy", "e-items.npy"]
    np.testing.assert_array_equal(np.load(files[0]), vectors.users)
    files = write_vectors(tmp_path / "e.csv", vectors)
    assert [path.name for path in files] == ["e-users.csv", "e-items.csv"]
    back = np.loadtxt(files[1], delimiter=",")
    assert back[:, 0].tolist() == [7, 8, 9]
    np.testing.assert_array_equal(back[:, 1:].astype(np.float32), vectors.items)


@pytest.mark.parametrize(
    ("users", "items", "reason"),
    [
        (range(0, 0), range(0, 5), "users must be a block of features from 0 to 10; got 0:0"),
        (range(0, 4), range(4, 11), "items must be a block of features from 0 to 10; got 4:11"),
        (range(0, 10), range(10, 10), "items must be a block of features from 0 to 10; got 10:10"),
        (range(3, 2), range(4, 5), "users must be a block of features from 0 to 10; got 3:2"),
    ],
)
def test_blocks_that_are_none(users: range, items: range, reason: str) -> None:
    with pytest.raises(UserError) as caught:
        embeddings(fm.parameters(2, 10, 3), users, items)
    assert str(caught.value) == reason


def test_vectors_that_cannot_be_written(tmp_path: Path) -> None:
    vectors = embeddings(fm.parameters(2, 10, 3), range(2), range(2, 10))
    with pytest.raises(UserError, match=r"must end in \.npz, \.npy or \.csv; got 'e\.txt'"):
        write_vectors(tmp_path / "e.txt", vectors)
    for ending in ("npz", "npy", "csv"):
        with pytest.raises(PlatformError, match="cannot be written: No such file"):
            write_vectors(tmp_path / "none" / f"e.{ending}", vectors)


def test_a_summary() -> None:
    parameters = Parameters(
        np.array([0.5], np.float32),
        np.array([0, -3, 4], np.float32),
        np.array([[0, 0], [0, -2], [1, 2]], np.float32),
    )
    content = summary(Model(parameters, {"predictor_type": "regressor", "epochs": "2"}, {"a": "b"}))
    norms = json.loads(json.dumps(content.pop("factor_norms")))
    assert [count for count in norms["counts"] if count] == [1, 1, 1]  # 0, 2 and sqrt(5)
    assert norms["counts"][0] == norms["counts"][-1] == 1
    assert norms["edges"][0] == 0 and norms["edges"][-1] == pytest.approx(5**0.5)
    assert content == {
        "predictor_type": "regressor",
        "feature_dim": 3,
        "num_factors": 2,
        "bias": 0.5,
        "linear": {"norm": 5.0, "largest": 4.0, "zeros": 1},
        "factors": {"norm": 3.0, "largest": 2.0, "zeros": 1},
        "training_parameters": {"predictor_type": "regressor", "epochs": "2"},
        "notes": {"a": "b"},
    }
    assert json.loads(json.dumps(content)) == content
