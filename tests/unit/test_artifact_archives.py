"""model.tar.gz, folders, and archives that mean harm; files that are mapped, not copied."""

import collections
import gzip
import io
import shutil
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from factorization_machines import artifact
from factorization_machines.artifact import Model, archives
from factorization_machines.errors import ArtifactError
from factorization_machines.parameters import Parameters
from support import fm
from support.mxfiles import TRAINING, archive, dense

V = [[1, 2], [3, 4], [5, 6]]


def refusal(path: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        artifact.read(path)
    return str(caught.value)


def tarred(members: Mapping[str, bytes], mode: str = "w:gz", **changes: Any) -> bytes:
    """Return a tar archive; a change is to the last member's header."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode=mode) as out:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if name == list(members)[-1]:
                for field, value in changes.items():
                    setattr(info, field, value)
            out.addfile(info, io.BytesIO(content))
    return raw.getvalue()


def unzipped() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive())) as content:
        return {name: content.read(name) for name in content.namelist()}


def renamed() -> dict[str, bytes]:
    new = {"symbol.json": "model-symbol.json", "params": "model-0000.params"}
    return {new.get(name, name): content for name, content in unzipped().items()}


PACKED = {
    "model_algo-1": {"model_algo-1": archive()},
    "with a dot": {"./model_algo-1": archive()},
    "among others": {"._model_algo-1": b"x", "code/inference.py": b"x", "model_algo-1": archive()},
    "unzipped": unzipped(),
    "renamed": renamed(),
}


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("mode", ["w:gz", "w"])
@pytest.mark.parametrize("in_folder", [True, False])
def test_a_tar_archive(tmp_path: Path, packed: str, mode: str, in_folder: bool) -> None:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(tarred(PACKED[packed], mode))
    assert artifact.read(tmp_path if in_folder else path).parameters.v.tolist() == V
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.tar.gz"]


@pytest.mark.parametrize("parts", [unzipped(), renamed()])
def test_an_unpacked_folder(tmp_path: Path, parts: Mapping[str, bytes]) -> None:
    for name, content in parts.items():
        (tmp_path / name).write_bytes(content)
    model = artifact.read(tmp_path)
    assert (model.parameters.v.tolist(), model.training_parameters) == (V, TRAINING)
    cut = next(name for name in parts if "params" in name)
    (tmp_path / cut).write_bytes(parts[cut][:100])
    assert refusal(tmp_path).startswith(f"{tmp_path}: params, byte 100: 12 bytes are due and 0 are")


def test_model_algo_1_goes_before_what_it_was_unpacked_to(tmp_path: Path) -> None:
    (tmp_path / "model.tar.gz").write_bytes(b"x")
    (tmp_path / "params").write_bytes(b"x")
    (tmp_path / "any name").write_bytes(archive())
    assert artifact.read(tmp_path / "any name").parameters.v.tolist() == V
    (tmp_path / "any name").rename(tmp_path / "model_algo-1")
    assert artifact.read(tmp_path).parameters.v.tolist() == V


SYMLINK, LINK = {"type": tarfile.SYMTYPE}, {"type": tarfile.LNKTYPE}


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("../x", {}, "'../x' leads out of the archive's folder"),
        ("a/../../x", {}, "'a/../../x' leads out of the archive's folder"),
        ("/etc/passwd", {}, "'/etc/passwd' leads out of the archive's folder"),
        ("model_algo-1", {**SYMLINK, "linkname": "/etc/passwd"}, "'model_algo-1' is a link"),
        ("model_algo-1", {**LINK, "linkname": "meta.json"}, "'model_algo-1' is a link"),
        ("model_algo-1", {"type": tarfile.CHRTYPE}, "'model_algo-1' is not a regular file"),
        ("model_algo-1", {"type": tarfile.BLKTYPE}, "'model_algo-1' is not a regular file"),
        ("model_algo-1", {"type": tarfile.FIFOTYPE}, "'model_algo-1' is not a regular file"),
    ],
)
def test_what_an_archive_may_not_hold(
    tmp_path: Path, name: str, changes: dict[str, Any], reason: str
) -> None:
    path = tmp_path / "model.tar.gz"
    members = {"meta.json": b"{}", name: b""}
    path.write_bytes(tarred(members, **changes))
    assert refusal(tmp_path) == f"{path}: {reason}"


def test_a_sparse_file(tmp_path: Path) -> None:
    pax = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,1"}
    pax |= {"GNU.sparse.size": str(2**50), "GNU.sparse.numblocks": "1"}
    (tmp_path / "model.tar.gz").write_bytes(tarred({"params": b"x"}, pax_headers=pax))
    assert refusal(tmp_path).endswith(": 'params' is not a regular file")


def test_too_many_members(tmp_path: Path) -> None:
    members = {f"{number}": b"" for number in range(1001)}
    (tmp_path / "model.tar.gz").write_bytes(tarred(members))
    assert refusal(tmp_path).endswith(": more than 1000 members")


def test_a_size_that_no_gzip_can_hold(tmp_path: Path) -> None:
    info = tarfile.TarInfo("model_algo-1")
    info.size = 2**40
    path = tmp_path / "model.tar.gz"
    path.write_bytes(gzip.compress(info.tobuf()))
    assert (
        refusal(tmp_path) == f"{path}: model_algo-1: {2**40} bytes, more than the archive may hold"
    )


def test_a_size_that_the_disk_cannot_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.tar.gz").write_bytes(tarred({"model_algo-1": archive()}))
    usage = collections.namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(100))
    size = len(archive())
    assert f"model_algo-1 has {size} bytes, and " in refusal(tmp_path)
    assert refusal(tmp_path).endswith(" has room for 100")


def test_much_after_the_end(tmp_path: Path) -> None:
    path = tmp_path / "model.tar.gz"
    content = tarred({"model_algo-1": archive()}, "w")
    path.write_bytes(gzip.compress(content + bytes(1 << 19)))
    assert artifact.read(tmp_path).parameters.v.tolist() == V
    path.write_bytes(gzip.compress(content + bytes(3 << 20)))
    assert refusal(tmp_path).endswith(": more than 1048576 bytes after the archive's end")


def test_a_tar_archive_cut_anywhere(tmp_path: Path) -> None:
    for mode in ("w:gz", "w"):
        content = tarred({"model_algo-1": archive()}, mode)
        path = tmp_path / "model.tar.gz"
        for size in range(0, len(content) - (9000 if mode == "w" else 0), 41):
            path.write_bytes(content[:size])
            assert refusal(path).startswith(str(path))


def test_any_changed_byte_of_a_tar_archive(tmp_path: Path) -> None:
    content = tarred({"model_algo-1": archive()})
    path = tmp_path / "model.tar.gz"
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 0xFF
        path.write_bytes(changed)
        try:
            parameters = artifact.read(path).parameters
        except ArtifactError:
            continue
        assert parameters.v.tolist() == V  # a date or a name in gzip's header


def test_a_tar_archive_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "model.tar.gz").write_bytes(tarred({"xgboost-model": b"x"}))
    assert refusal(tmp_path).endswith(
        ": there is no model_algo-1 inside; it holds xgboost-model and seems to be an XGBoost model"
    )


def test_a_cut_zip_says_where_it_ends(tmp_path: Path) -> None:
    content = archive()[:-10]
    (tmp_path / "model_algo-1").write_bytes(content)
    assert f"cut short at byte {len(content)}? there is no whole" in refusal(tmp_path)


@pytest.mark.parametrize("member", ["params", "meta.json", "symbol.json"])
def test_a_zip_that_grows_too_much(tmp_path: Path, member: str) -> None:
    content = bytearray(archive(compression=zipfile.ZIP_DEFLATED))
    entry = content.index(b"PK\x01\x02")
    while not content[entry + 46 :].startswith(member.encode()):
        entry = content.index(b"PK\x01\x02", entry + 4)
    stored = struct.unpack_from("<I", content, entry + 20)[0]
    struct.pack_into("<I", content, entry + 24, 2**31)
    (tmp_path / "model_algo-1").write_bytes(content)
    message = refusal(tmp_path)
    if member != "symbol.json":  # which nobody needs to look at here
        assert message.endswith(f": {member}: {2**31} bytes out of {stored}")


def test_a_deflated_member_of_another_size_than_it_says(tmp_path: Path) -> None:
    good = archive(compression=zipfile.ZIP_DEFLATED)
    entry = good.rindex(b"PK\x01\x02")
    size = struct.unpack_from("<I", good, entry + 24)[0]
    for wrong in (size - 1, size + 1):
        content = bytearray(good)
        struct.pack_into("<I", content, entry + 24, wrong)
        (tmp_path / "model_algo-1").write_bytes(content)
        assert "model_algo-1" in refusal(tmp_path)


def big(tmp_path: Path) -> Parameters:
    parameters = fm.parameters(1, 50_000, 64)
    artifact.write(tmp_path, Model(parameters, {"predictor_type": "regressor"}))
    return parameters


def test_writing_copies_nothing(tmp_path: Path) -> None:
    parameters = fm.parameters(1, 50_000, 64)
    tracemalloc.start()
    artifact.write(tmp_path, Model(parameters, {"predictor_type": "regressor"}))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.1 * parameters.v.nbytes


@pytest.mark.parametrize("form", ["as written", "deflated", "in an archive", "across"])
def test_reading_takes_no_more_than_one_copy(tmp_path: Path, form: str) -> None:
    parameters = big(tmp_path)
    path = tmp_path / "model_algo-1"
    copies = 0
    if form == "deflated":
        copies = 1
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "z", "w", 8, True, 1) as new:
            for name in old.namelist():
                new.writestr(name, old.read(name))
        (tmp_path / "z").replace(path)
    if form == "in an archive":
        path = tmp_path / "model.tar.gz"
        with tarfile.open(path, "w:gz", compresslevel=1) as out:
            out.add(tmp_path / "model_algo-1", "model_algo-1")
    if form == "across":
        copies = 1
        arrays = {"v": dense(parameters.v.T), "w0_weight": dense(parameters.w0)}
        arrays["w1_weight"] = dense(parameters.w)
        path.write_bytes(archive(arrays, {"training_parameters": {"predictor_type": "regressor"}}))
        del arrays
    tracemalloc.start()
    got = artifact.read(path).parameters
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(got.v, parameters.v)
    np.testing.assert_array_equal(got.w, parameters.w)
    assert peak < copies * parameters.v.nbytes + (5 << 20)  # what is on its way


def test_what_is_mapped_lies_well_and_is_nobody_elses(tmp_path: Path) -> None:
    big(tmp_path)
    before = (tmp_path / "model_algo-1").read_bytes()
    parameters = artifact.read(tmp_path).parameters
    assert parameters.v.ctypes.data % 64 == 0
    for array in (parameters.v, parameters.w, parameters.w0):
        assert array.flags.aligned and array.flags.writeable and array.flags.c_contiguous
        array[:] = 0
    artifact.write(tmp_path, Model(parameters, {"predictor_type": "regressor"}))
    assert not artifact.read(tmp_path).parameters.v.any()
    (tmp_path / "model_algo-1").write_bytes(before)
    assert artifact.read(tmp_path).parameters.v.any()


def test_zipfile_finds_all_that_it_asks_of_bytes_in_memory() -> None:
    stream = archives._Bytes(memoryview(b"abcdef"))
    assert (stream.readable(), stream.seekable()) == (True, True)
    assert (stream.seek(-2, io.SEEK_END), stream.read(), stream.tell()) == (4, b"ef", 6)
    assert (stream.seek(1), stream.seek(1, io.SEEK_CUR), stream.read(2)) == (1, 2, b"cd")
    assert (stream.seek(9), stream.read(1)) == (9, b"")
    with pytest.raises(ValueError, match="before its first byte"):
        stream.seek(-1)


OTHER_TYPES = {
    "file": tarfile.REGTYPE,
    "unknown": b"Z",
    "long name": tarfile.GNUTYPE_LONGNAME,
    "long link": tarfile.GNUTYPE_LONGLINK,
    "pax": tarfile.XHDTYPE,
    "global pax": tarfile.XGLTYPE,
}


@pytest.mark.parametrize("kind", OTHER_TYPES)
@pytest.mark.parametrize("size", [8 * 10**12, 2**62])
def test_another_member_that_says_a_size_which_is_not_there(
    tmp_path: Path, kind: str, size: int
) -> None:
    info = tarfile.TarInfo("other")
    info.size, info.type = size, OTHER_TYPES[kind]
    path = tmp_path / "model.tar.gz"
    path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT)))
    assert path.stat().st_size < 120
    assert f"{size} bytes" in refusal(tmp_path)
    with pytest.raises(ArtifactError, match=f"{size} bytes"):
        archives.extract(path, tmp_path / "to")


def test_sizes_are_added_up(tmp_path: Path) -> None:
    large = tarred({"a": bytes(2 << 20), "b": bytes(2 << 20)}, "w")
    path = tmp_path / "model.tar"
    path.write_bytes(large[: 3 << 20])
    with pytest.raises(ArtifactError, match="b: 2097152 bytes, more than the archive may hold"):
        archives.extract(path, tmp_path / "to")


def test_a_small_archive_does_not_become_gigabytes(tmp_path: Path) -> None:
    info = tarfile.TarInfo("params")
    info.size = 3 << 30
    path = tmp_path / "model.tar.gz"
    path.write_bytes(gzip.compress(info.tobuf() + bytes(1 << 20)))
    with pytest.raises(
        ArtifactError, match=f"params: {3 << 30} bytes, more than the archive may hold"
    ):
        archives.extract(path, tmp_path / "to")
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_what_is_extracted_and_what_is_left_out(tmp_path: Path, mode: str) -> None:
    members = {"a/b": b"content", "a/link": b""}
    path = tmp_path / "model.tar.gz"
    path.write_bytes(tarred(members, mode, **SYMLINK, linkname="/etc/passwd"))
    assert archives.extract(path, tmp_path / "to") == ["'a/link' is a link"]
    assert [p.name for p in (tmp_path / "to" / "a").iterdir()] == ["b"]
    assert (tmp_path / "to" / "a" / "b").read_bytes() == b"content"


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x"])
def test_nothing_is_extracted_outside_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.tar.gz").write_bytes(tarred({name: b"x"}))
    with pytest.raises(ArtifactError, match="leads out of"):
        archives.extract(tmp_path / "model.tar.gz", tmp_path / "to")


def test_names_are_shown_without_control_characters(tmp_path: Path) -> None:
    name = "\x1b]0;title\x07\n#quality_metric: forged"
    shown = r"\x1b]0;title\x07\n#quality_metric: forged"
    (tmp_path / "model.tar.gz").write_bytes(tarred({name: b""}))
    assert refusal(tmp_path).endswith(f"it holds {shown}")
    (tmp_path / "model.tar.gz").rename(tmp_path / name)
    assert refusal(tmp_path).endswith(f"it holds {shown}")
