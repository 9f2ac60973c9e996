"""What MXNet's versions and SageMaker's networks write, and what is no factorization machine."""

import json
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from factorization_machines import artifact
from factorization_machines.artifact import ndarrays
from factorization_machines.artifact.symbol import symbol
from factorization_machines.errors import ArtifactError
from support.mxfiles import GOOD, TRAINING, archive, dense, dense_v0, dense_v1, params, row_sparse
from support.mxfiles import shape as mx_shape

V = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
W = np.array([[7.0], [8.0], [9.0]])
W0 = np.array([0.5])


def all_rows(values: Any) -> bytes:
    array = np.asarray(values)
    return row_sparse(list(range(len(array))), array, array.shape)


FORMS: dict[str, Callable[[Any], bytes]] = {
    "dense": dense,
    "row-sparse": all_rows,
    "MXNet 0.11": dense_v1,
    "older": dense_v0,
    "np_shape": lambda values: dense(values, magic=0xF993FACA),
    "float64": lambda values: dense(values, dtype="<f8", element=1),
    "float16": lambda values: dense(values, dtype="<f2", element=2),
}
NETWORKS = {
    "sparse": ("w1_weight", "w0_weight"),
    "dense": ("Linear_Plus_Bias_weight", "Linear_Plus_Bias_bias"),
}


def put(folder: Path, content: bytes) -> Path:
    (folder / "model_algo-1").write_bytes(content)
    return folder


def refusal(path: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        artifact.read(path)
    return str(caught.value)


@pytest.mark.parametrize("prefix", ["arg:", ""])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_model(
    tmp_path: Path, form: str, across: bool, network: str, prefix: str
) -> None:
    linear, bias = (prefix + name for name in NETWORKS[network])
    write = FORMS[form]
    turned = np.transpose if across else np.asarray
    arrays = {prefix + "v": write(turned(V)), linear: write(turned(W)), bias: write(W0)}
    got = artifact.read(put(tmp_path, archive(arrays))).parameters
    for array, expected in ((got.v, V), (got.w, W[:, 0]), (got.w0, W0)):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous and array.flags.aligned and array.flags.writeable
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_square_v_is_as_its_network_has_it(tmp_path: Path, network: str) -> None:
    linear, bias = NETWORKS[network]
    square = [[1.0, 2.0], [3.0, 4.0]]
    arrays = {"v": dense(square), linear: dense([[7.0, 8.0]]), bias: dense(W0)}
    meta = {"training_parameters": {"predictor_type": "regressor"}}
    model = artifact.read(put(tmp_path, archive(arrays, meta)))
    expected = np.array(square) if network == "sparse" else np.transpose(square)
    assert model.parameters.v.tolist() == expected.tolist()


def test_a_float64_beyond_float32_is_told(tmp_path: Path) -> None:
    for form in (dense([1e300], dtype="<f8", element=1), row_sparse([0], [np.inf], (1,))):
        put(tmp_path, archive({**GOOD, "arg:w0_weight": form}))
        assert refusal(tmp_path).endswith(": a parameter is NaN or infinite")


def test_a_term_that_was_switched_off_may_be_absent(tmp_path: Path) -> None:
    arrays = {"arg:v": dense(V.T)}
    message = refusal(put(tmp_path, archive(arrays)))
    assert "no array 'w1_weight' or 'Linear_Plus_Bias_weight' among arg:v" in message
    meta = {"training_parameters": {**TRAINING, "use_linear": "false", "use_bias": "False"}}
    got = artifact.read(put(tmp_path, archive(arrays, meta))).parameters
    assert (got.v.tolist(), got.w.tolist(), got.w0.tolist()) == (V.tolist(), [0, 0, 0], [0])


def test_what_meta_leaves_out_is_told_by_the_arrays_and_the_symbol(tmp_path: Path) -> None:
    for output, expected in (
        ("LogisticRegressionOutput", "binary_classifier"),
        ("LinearRegressionOutput", "regressor"),
        ("MAERegressionOutput", "regressor"),
    ):
        graph = {"nodes": [{"op": "null", "name": "data"}, {"op": output, "name": "out"}]}
        for meta in (None, b"{}", b'{"training_parameters": {"epochs": 3}}'):
            content = archive(meta_json=meta, symbol_json=json.dumps(graph).encode())
            training = artifact.read(put(tmp_path, content)).training_parameters
            assert training["predictor_type"] == expected
            assert (training["feature_dim"], training["num_factors"]) == ("3", "2")


@pytest.mark.parametrize(
    "graph",
    [
        None,
        b"{}",
        b'{"nodes": 0}',
        b'{"nodes": [1, {"op": "SoftmaxOutput"}]}',
        b'{"nodes": [{"op": "LinearRegressionOutput"}, {"op": "LogisticRegressionOutput"}]}',
    ],
)
def test_a_predictor_type_that_nothing_tells(tmp_path: Path, graph: bytes | None) -> None:
    message = refusal(put(tmp_path, archive(meta={}, symbol_json=graph)))
    assert "nothing says the predictor type" in message


def test_what_else_meta_says_is_kept(tmp_path: Path) -> None:
    meta = {"training_parameters": {**TRAINING, "epochs": 5}, "by": "x", "of": {"a": 1}}
    model = artifact.read(put(tmp_path, archive(meta=meta)))
    assert model.training_parameters == {**TRAINING, "epochs": "5"}
    assert model.notes == {"by": "x", "of": '{"a": 1}'}


def test_what_is_written_says_its_dimensions(tmp_path: Path) -> None:
    model = artifact.read(put(tmp_path, archive()))
    artifact.write(tmp_path, artifact.Model(model.parameters, {"predictor_type": "regressor"}))
    with zipfile.ZipFile(tmp_path / "model_algo-1") as written:
        training = json.loads(written.read("meta.json"))["training_parameters"]
        assert json.loads(written.read("symbol.json")) == symbol(3, 2, False)
    assert training == TRAINING


def unnamed(*arrays: bytes) -> bytes:
    return struct.pack("<QQQ", 0x112, 0, len(arrays)) + b"".join(arrays) + struct.pack("<Q", 0)


OTHERS = {
    "a PCA model": params({"s": dense([1.0, 2.0]), "v": dense(V), "mean": dense([[0.0] * 3])}),
    "a k-means model": unnamed(dense(V)),
    "an LDA model": unnamed(dense([1.0, 2.0]), dense(V)),
    "a neural topic model": params({"arg:projection_weight": dense(V), "arg:b": dense([1.0])}),
}


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.parametrize("zipped", [True, False])
def test_what_is_another_algorithms(tmp_path: Path, what: str, zipped: bool) -> None:
    content = archive(params=OTHERS[what]) if zipped else OTHERS[what]
    message = refusal(put(tmp_path, content))
    assert ": no factorization machine: " in message
    assert f"; it seems to be {what}: " in message


def test_a_list_of_arrays_alone_lacks_a_predictor_type(tmp_path: Path) -> None:
    assert "nothing says the predictor type" in refusal(put(tmp_path, params(GOOD)))


def test_other_files_in_the_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model_algo-1", "w") as out:
        for name in ("additional-params.json", "manifest.json", "mx-mod-symbol.json"):
            out.writestr(name, "{}")
    assert refusal(tmp_path).endswith(
        ": no params inside; it holds additional-params.json, manifest.json, mx-mod-symbol.json "
        "and seems to be a linear learner"
    )


def test_other_files_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "xgboost-model").write_bytes(b"x")
    assert refusal(tmp_path) == (
        f"there is no model_algo-1 in {tmp_path}; it holds xgboost-model and seems to be an "
        "XGBoost model"
    )


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_never_loaded(tmp_path: Path, protocol: int) -> None:
    put(tmp_path, b"\x80" + bytes([protocol]) + b"cos\nsystem\n")
    assert refusal(tmp_path).endswith(
        "is not a zip archive, or it is damaged: it seems to be a pickle, and those are never"
        " loaded"
    )


def sparse_of(logical: tuple[int, ...], rows: int = 1) -> bytes:
    width = logical[1:]
    return row_sparse(list(range(rows)), np.ones((rows, *width)), logical)


def test_a_row_sparse_array_that_was_saved_before_it_was_ready(tmp_path: Path) -> None:
    """As mxnet 1.9.1 does now and then: no rows in the shape, and all of them after it."""
    arrays = {**GOOD, "arg:v": row_sparse([0, 2], [[1, 2], [5, 6]], (3, 2), rows=0)}
    parameters = artifact.read(put(tmp_path, archive(arrays))).parameters
    assert parameters.v.tolist() == [[1, 2], [0, 0], [5, 6]]
    arrays["arg:v"] = row_sparse([0, 2], [[1, 2], [5, 6]], (3, 2), rows=1)
    assert "with stored rows (1, 2), 2 indices" in refusal(put(tmp_path, archive(arrays)))


@pytest.mark.parametrize("d", [2**24 + 1, 2**40, 2**62])
def test_absent_rows_are_bounded_by_the_file(tmp_path: Path, d: int) -> None:
    arrays = {**GOOD, "arg:w1_weight": sparse_of((d, 1))}
    message = refusal(put(tmp_path, archive(arrays)))
    assert f"an array of shape ({d}, 1), most of it absent, in so small a file" in message


def test_absent_rows_are_bounded_in_sum() -> None:
    half = sparse_of((9 << 20, 1))
    assert len(ndarrays.read(memoryview(params({"a": half})))["a"]) == 9 << 20
    with pytest.raises(ArtifactError, match="most of it absent"):
        ndarrays.read(memoryview(params({"a": half, "b": half})))


def test_an_empty_array_of_mxnet() -> None:
    none = struct.pack("<IiI", 0xF993FAC9, 0, 0)
    scalar = struct.pack("<IiI", 0xF993FACA, 0, 0) + struct.pack("<iiif", 1, 0, 0, 2.5)
    arrays = ndarrays.read(memoryview(params({"a": none, "b": struct.pack("<I", 0), "c": scalar})))
    assert arrays["a"].size == arrays["b"].size == 0
    assert arrays["c"].shape == () and arrays["c"] == 2.5


def test_too_many_dimensions() -> None:
    content = struct.pack("<Ii", 0xF993FAC9, 0) + mx_shape(1, 1, 1, 1, 1)
    with pytest.raises(ArtifactError, match="byte 36: an array with 5 dimensions"):
        ndarrays.read(memoryview(params({"a": content})))


def test_two_arrays_of_one_name() -> None:
    content = bytearray(params({"a": dense([1.0]), "b": dense([1.0])}))
    content[content.rindex(b"b")] = ord("a")
    with pytest.raises(ArtifactError, match=r"two arrays of the same name \(a, a\)"):
        ndarrays.read(memoryview(bytes(content)))


def test_a_scalar_where_a_matrix_is_due(tmp_path: Path) -> None:
    scalar = struct.pack("<IiI", 0xF993FACA, 0, 0) + struct.pack("<iiif", 1, 0, 0, 2.5)
    arrays: Mapping[str, bytes] = {"v": scalar}
    meta = {"training_parameters": {**TRAINING, "use_linear": "false", "use_bias": "false"}}
    assert "shapes that do not fit: v ()" in refusal(put(tmp_path, archive(arrays, meta)))
