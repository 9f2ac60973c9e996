"""model_algo-1: written and read back, read as its format says, and damaged in every way."""

import contextlib
import json
import os
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from numpy.typing import NDArray

from factorization_machines import artifact
from factorization_machines.artifact import Model, ndarrays, writing
from factorization_machines.errors import ArtifactError, PlatformError
from factorization_machines.files import replacing
from factorization_machines.parameters import Parameters
from support.mxfiles import GOOD, TRAINING, archive, dense, params, row_sparse, shape

D, K = 3, 2

Float32 = NDArray[np.float32]


@pytest.fixture
def model() -> Model:
    random = np.random.default_rng(0)
    w0, w, v = (random.standard_normal(shape, np.float32) for shape in ((1,), (D,), (D, K)))
    return Model(Parameters(w0, w, v), TRAINING, {"trained_by": "a test"})


def assert_same(got: Model, expected: Model) -> None:
    for name in ("w0", "w", "v"):
        ours, theirs = (getattr(m.parameters, name) for m in (got, expected))
        assert ours.dtype == np.float32
        np.testing.assert_array_equal(ours, theirs)
    assert dict(got.training_parameters) == dict(expected.training_parameters)
    assert got.classifier == expected.classifier


def damage(folder: Path, content: bytes) -> str:
    (folder / "model_algo-1").write_bytes(content)
    with pytest.raises(ArtifactError) as caught:
        artifact.read(folder)
    assert str(caught.value).startswith(str(folder / "model_algo-1"))
    return str(caught.value).removeprefix(str(folder / "model_algo-1"))


def test_what_is_written_is_read(tmp_path: Path, model: Model) -> None:
    assert artifact.write(tmp_path, model) == tmp_path / "model_algo-1"
    assert_same(artifact.read(tmp_path), model)
    assert [path.name for path in tmp_path.iterdir()] == ["model_algo-1"]


def test_a_classifier_is_one(tmp_path: Path, model: Model) -> None:
    assert not model.classifier
    training = {**TRAINING, "predictor_type": "binary_classifier"}
    artifact.write(tmp_path, replace(model, training_parameters=training))
    assert artifact.read(tmp_path).classifier


def test_the_same_model_is_the_same_bytes(tmp_path: Path, model: Model) -> None:
    first = artifact.write(tmp_path, model).read_bytes()
    assert artifact.write(tmp_path, model).read_bytes() == first
    with zipfile.ZipFile(tmp_path / "model_algo-1") as written:
        # Not the clock's, or the bytes would differ two seconds later.
        assert {info.date_time for info in written.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_it_is_written_as_the_built_in_writes_it(tmp_path: Path, model: Model) -> None:
    with zipfile.ZipFile(artifact.write(tmp_path, model)) as written:
        assert written.namelist() == ["meta.json", "symbol.json", "params"]
        meta = json.loads(written.read("meta.json"))
        assert meta["training_parameters"] == TRAINING
        assert meta["trained_by"] == "a test"
        parameters = model.parameters
        assert written.read("params") == params(
            {
                "arg:v": dense(parameters.v),
                "arg:w1_weight": dense(parameters.w[:, None]),
                "arg:w0_weight": dense(parameters.w0),
            }
        )


def test_what_others_write_is_read(tmp_path: Path) -> None:
    (tmp_path / "model_algo-1").write_bytes(archive())
    parameters = artifact.read(tmp_path).parameters
    assert parameters.w0.tolist() == [1]
    assert parameters.w.tolist() == [1, 2, 3]
    assert parameters.v.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_a_compressed_zip_in_another_order_with_more_in_it_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model_algo-1", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("params", params({"aux:more": dense([[0.0]]), **GOOD}))
        out.writestr("readme", b"x")
        out.writestr("meta.json", json.dumps({"training_parameters": TRAINING}))
    assert artifact.read(tmp_path).parameters.w.tolist() == [1, 2, 3]


def test_absent_rows_of_a_row_sparse_array_are_zero(tmp_path: Path) -> None:
    arrays = {
        **GOOD,
        "arg:w1_weight": row_sparse([1], [[7.0]], (3, 1)),
        "arg:v": row_sparse([0, 2], [[1.0, 2.0], [5.0, 6.0]], (3, 2)),
    }
    (tmp_path / "model_algo-1").write_bytes(archive(arrays))
    parameters = artifact.read(tmp_path).parameters
    assert parameters.w.tolist() == [0, 7, 0]
    assert parameters.v.tolist() == [[1, 2], [0, 0], [5, 6]]


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    message = f"there is no model_algo-1 in {tmp_path}; it holds "
    for name in ("", "b", "a"):
        if name:
            (tmp_path / name).write_bytes(b"")
        with pytest.raises(ArtifactError) as caught:
            artifact.read(tmp_path)
        holds = {"": "nothing", "b": "b", "a": "a, b"}[name]
        assert str(caught.value) == message + holds
    with pytest.raises(ArtifactError, match="it holds nothing"):
        artifact.read(tmp_path / "none")


@pytest.mark.parametrize("content", [b"", b"x", b"{}", b"PK\x05\x06", b"\x1f\x8b" + b"\0" * 99])
def test_what_is_no_zip(tmp_path: Path, content: bytes) -> None:
    assert damage(tmp_path, content).startswith(" is not a zip archive, or it is damaged: ")


def test_params_that_are_missing(tmp_path: Path) -> None:
    message = ": no params inside; it holds meta.json, symbol.json"
    assert damage(tmp_path, archive(params=None)) == message


def test_a_file_cut_anywhere(tmp_path: Path) -> None:
    content = archive()
    for size in (*range(0, len(content), 5), *range(len(content) - 30, len(content))):
        damage(tmp_path, content[:size])


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_any_changed_byte_is_an_error_or_makes_no_difference(
    tmp_path: Path, compression: int
) -> None:
    path = tmp_path / "model_algo-1"
    content = archive(compression=compression)
    path.write_bytes(content)
    model = artifact.read(tmp_path)
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 0xFF
        path.write_bytes(changed)
        try:
            got = artifact.read(tmp_path)
        except ArtifactError:
            continue
        assert_same(got, model)  # a date, a flag, a byte of the symbol


def test_more_than_the_list(tmp_path: Path) -> None:
    content = params(GOOD)
    message = f": params, byte {len(content)}: 4 bytes more than the list has"
    assert damage(tmp_path, archive(params=content + b"more")) == message


def test_a_changed_value_is_seen(tmp_path: Path) -> None:
    content = bytearray(archive())
    content[content.index(struct.pack("<f", 6.0))] ^= 1
    assert "CRC" in damage(tmp_path, bytes(content))


@pytest.mark.parametrize("member", ["meta.json", "params"])
@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_DEFLATED, 99])
def test_a_compression_that_is_not_read_or_not_that_of_the_data(
    tmp_path: Path, member: str, method: int
) -> None:
    content = bytearray(archive())
    entry = content.index(b"PK\x01\x02")
    while not content[entry + 46 :].startswith(member.encode()):
        entry = content.index(b"PK\x01\x02", entry + 4)
    content[entry + 10 : entry + 12] = struct.pack("<H", method)
    damage(tmp_path, bytes(content))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "no factorization machine: no array 'v' among none"),
        (
            {"arg:w0_weight": dense([1.0]), "arg:w": dense([[1.0]])},
            "no factorization machine: no array 'v' among arg:w0_weight, arg:w",
        ),
        (
            {"v": GOOD["arg:v"], "w": GOOD["arg:w1_weight"]},
            "no factorization machine: no array 'w1_weight' or 'Linear_Plus_Bias_weight' among "
            "v, w",
        ),
        ({**GOOD, "v": GOOD["arg:v"]}, "two arrays for one: arg:v and v"),
        (
            {**GOOD, "Linear_Plus_Bias_bias": dense([1.0])},
            "two arrays for one: arg:w0_weight and Linear_Plus_Bias_bias",
        ),
        (
            {**GOOD, "arg:v": dense([[1.0, 2.0]])},
            "shapes that do not fit: v (1, 2), w1_weight (3, 1), w0_weight (1,)",
        ),
        (
            {**GOOD, "arg:v": dense([1.0, 2.0, 3.0])},
            "shapes that do not fit: v (3,), w1_weight (3, 1), w0_weight (1,)",
        ),
        (
            {**GOOD, "arg:w1_weight": dense([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])},
            "shapes that do not fit: v (3, 2), w1_weight (2, 3), w0_weight (1,)",
        ),
        (
            {**GOOD, "arg:w0_weight": dense([1.0, 2.0])},
            "shapes that do not fit: v (3, 2), w1_weight (3, 1), w0_weight (2,)",
        ),
        (
            {**GOOD, "arg:v": dense(np.zeros((3, 0)))},
            "shapes that do not fit: v (3, 0), w1_weight (3, 1), w0_weight (1,)",
        ),
        ({**GOOD, "arg:w0_weight": dense([np.nan])}, "a parameter is NaN or infinite"),
        (
            {**GOOD, "arg:v": dense([[1.0, 2.0], [3.0, np.inf], [5.0, 6.0]])},
            "a parameter is NaN or infinite",
        ),
    ],
)
def test_arrays_that_are_no_model(
    tmp_path: Path, arrays: Mapping[str, bytes], message: str
) -> None:
    assert damage(tmp_path, archive(arrays)) == f": {message}"


HUGE = struct.pack("<Ii", 0xF993FAC9, 0) + shape(2**40, 2**20) + struct.pack("<iii", 1, 0, 0)
WRAPPED = struct.pack("<Ii", 0xF993FAC9, 0) + shape(2**32, 2**32) + struct.pack("<iii", 1, 0, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "byte 0: 24 bytes are due and 0 are left"),
        (struct.pack("<QQQ", 7, 0, 1), "byte 24: expected the magic number 0x112; got 0x7"),
        (params({}, 65), "byte 24: 65 arrays; a factorization machine has three"),
        (params({}, 2**64 - 1), f"byte 24: {2**64 - 1} arrays; a factorization machine has three"),
        (
            params({"a": dense([1.0], magic=0xF993FAC7)}),
            "byte 28: expected an array of MXNet; got the magic number 0xf993fac7",
        ),
        (
            params({"a": dense([1.0], kind=2)}),
            "byte 32: expected a dense or row-sparse array; got CSR",
        ),
        (
            params({"a": dense([1.0], kind=3)}),
            "byte 32: expected a dense or row-sparse array; got storage type 3",
        ),
        (
            params({"a": dense([1.0], element=6)}),
            "byte 56: expected float32, float64 or float16 (0, 1, 2); got type 6",
        ),
        (params({"a": dense([[[[[1.0]]]]])}), "byte 36: an array with 5 dimensions"),
        (
            params({"a": struct.pack("<Ii", 0xF993FAC9, 0) + shape(-1)}),
            "byte 44: an array of shape (-1,)",
        ),
        (params({"a": HUGE}), f"byte 64: {2**62} bytes are due and 17 are left"),
        (params({"a": WRAPPED}), f"byte 64: {2**66} bytes are due and 17 are left"),
        (
            struct.pack("<QQQQ", 0x112, 0, 0, 3),
            "byte 32: 3 names for 0 arrays",
        ),
        (
            params({"a" * 257: dense([1.0])}),
            "byte 76: a name of 257 bytes",
        ),
        (
            params({"a": row_sparse([3], [[1.0]], (3, 1))}),
            "byte 112: row 3 in an array of shape (3, 1)",
        ),
        (
            params({"a": row_sparse([-1], [[1.0]], (3, 1))}),
            "byte 112: row -1 in an array of shape (3, 1)",
        ),
        (
            params({"a": row_sparse([0, 1], [[1.0]], (3, 1))}),
            "byte 100: a row-sparse array of shape (3, 1) with stored rows (1, 1), 2 indices "
            "of type 6",
        ),
        (
            params({"a": row_sparse([0], [[1.0, 2.0]], (3, 1))}),
            "byte 100: a row-sparse array of shape (3, 1) with stored rows (1, 2), 1 indices "
            "of type 6",
        ),
    ],
)
def test_params_that_are_malformed(tmp_path: Path, content: bytes, message: str) -> None:
    assert damage(tmp_path, archive(params=content)) == f": params, {message}"


@pytest.mark.parametrize("size", range(len(params(GOOD))))
def test_params_cut_anywhere(size: int) -> None:
    content = params(GOOD)[:size]
    with pytest.raises(ArtifactError, match=r"params, byte \d+: "):
        ndarrays.read(memoryview(content))


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ([], ": meta.json must be an object; got []"),
        (
            {"training_parameters": 5},
            ": meta.json: training_parameters must be an object; got 5",
        ),
        (
            {"training_parameters": {}},
            ": nothing says the predictor type (training_parameters in meta.json, the output of "
            "symbol.json): give `fm-model import` a --predictor-type, 'binary_classifier' or "
            "'regressor'",
        ),
        (
            {"training_parameters": {"predictor_type": ["regressor"]}},
            ": predictor_type must be 'binary_classifier' or 'regressor'; got '[\"regressor\"]'",
        ),
        (
            {"training_parameters": {**TRAINING, "feature_dim": "4"}},
            ": feature_dim must be 3, as the arrays have it; got '4'",
        ),
        (
            {"training_parameters": {**TRAINING, "num_factors": 1}},
            ": num_factors must be 2, as the arrays have it; got '1'",
        ),
    ],
)
def test_meta_that_is_malformed(tmp_path: Path, meta: object, message: str) -> None:
    assert damage(tmp_path, archive(meta=meta)).startswith(message)


SHAPES = [
    *(5, "x", None, True, [], {}, [5], [None], [[]], [{}], {"a": 1}, 1e308),
    *([{"op": 5}], [{"op": ["a"]}], [{"op": {"a": "b"}}], [{"op": None}]),
]


@pytest.mark.parametrize("nodes", SHAPES, ids=str)
def test_a_symbol_of_another_shape(tmp_path: Path, nodes: object) -> None:
    content = archive(
        meta={"training_parameters": {}}, symbol_json=json.dumps({"nodes": nodes}).encode()
    )
    assert damage(tmp_path, content).startswith(": nothing says the predictor type")


@pytest.mark.parametrize("symbol", [5, "x", None, True, [], [{"nodes": []}]], ids=str)
def test_a_symbol_that_is_no_object(tmp_path: Path, symbol: object) -> None:
    content = archive(meta={"training_parameters": {}}, symbol_json=json.dumps(symbol).encode())
    assert damage(tmp_path, content).startswith(": symbol.json must be an object; got ")


@pytest.mark.parametrize("value", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["feature_dim", "num_factors", "predictor_type", "use_bias"])
def test_training_parameters_of_another_shape_are_a_reason_or_ignored(
    tmp_path: Path, name: str, value: object
) -> None:
    content = archive(meta={"training_parameters": {**TRAINING, name: value}, "x": value})
    (tmp_path / "model_algo-1").write_bytes(content)
    with contextlib.suppress(ArtifactError):
        artifact.read(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000, b""])
def test_meta_that_is_no_json(tmp_path: Path, content: bytes) -> None:
    assert ": meta.json is not JSON: " in damage(tmp_path, archive(meta_json=content))


def test_meta_that_is_too_long(tmp_path: Path) -> None:
    content = b" " * (2**20 + 1)
    assert damage(tmp_path, archive(meta_json=content)) == (
        f": meta.json has {2**20 + 1} bytes; at most {2**20}"
    )


def test_a_folder_that_can_be_written(tmp_path: Path) -> None:
    artifact.check_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path, model: Model) -> None:
    (tmp_path / "file").write_bytes(b"")
    folder = tmp_path / "file" / "model"
    for attempt in (lambda: artifact.check_writable(folder), lambda: artifact.write(folder, model)):
        with pytest.raises(PlatformError) as caught:
            attempt()
        assert str(caught.value) == f"the model cannot be written to {folder}: Not a directory"


def test_an_old_model_stays_whole_until_the_new_one_is(
    tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact.write(tmp_path, model)
    before = (tmp_path / "model_algo-1").read_bytes()

    def fail(stream: BinaryIO, _: Model) -> None:
        stream.write(b"PK")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "_write_zip", fail)
    with pytest.raises(PlatformError, match="No space left on device"):
        artifact.write(tmp_path, model)
    assert [path.name for path in tmp_path.iterdir()] == ["model_algo-1"]
    assert (tmp_path / "model_algo-1").read_bytes() == before


def test_two_writers_of_a_path_write_a_whole_file_each(tmp_path: Path) -> None:
    path = tmp_path / "model_algo-1"
    with replacing(path) as first:
        first.write(b"first")
        with replacing(path) as second:
            second.write(b"second, longer")
        assert path.read_bytes() == b"second, longer"
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_temporary_file_of_a_killed_process_is_removed_after_an_hour(tmp_path: Path) -> None:
    path = tmp_path / "model_algo-1"
    old, new = (tmp_path / f".model_algo-1.{name}.fm-part" for name in ("old", "new"))
    for each in (old, new):
        each.write_bytes(b"PK")
    os.utime(old, (0, 0))
    with replacing(path):
        pass
    assert sorted(tmp_path.iterdir()) == [new, path]


def test_a_folder_in_the_place_of_the_model_or_a_full_disk_is_told_before(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="the disk has less space"):
        artifact.check_writable(tmp_path, 1 << 60)
    (tmp_path / "model_algo-1").mkdir()
    with pytest.raises(PlatformError, match="model_algo-1 is a folder"):
        artifact.check_writable(tmp_path)
