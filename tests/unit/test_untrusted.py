"""What a container leaves: links, FIFOs, sockets, devices, deep folders, large and many files."""

import io
import os
import socket
import stat
import tarfile
from typing import Any

import pytest

from local_sagemaker.backends.layout import failure_reason, lay_out
from local_sagemaker.errors import LocalError
from local_sagemaker.storage import objects, untrusted
from local_sagemaker.storage.untrusted import ContainerFolder
from support.folders import nested

SECRET = "content of a file of the host"
ENDED = "AlgorithmError: exit code 1, and /opt/ml/output/failure is {}, and not a file."


class FakeS3:
    """Keeps what is uploaded."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    def upload_fileobj(self, file: Any, bucket: str, key: str) -> None:
        self.stored[key] = file.read()


@pytest.fixture
def host(tmp_path):
    """A folder of the host, beside the job's."""
    folder = tmp_path / "host"
    folder.mkdir()
    (folder / "secret").write_text(SECRET)
    return folder


@pytest.fixture
def base(tmp_path):
    lay_out(tmp_path / "job", {}, {})
    return tmp_path / "job"


def packed(base, place, left_out):
    """Return the content of a folder in both forms that are uploaded: as tar.gz and as objects."""
    s3 = FakeS3()
    objects.upload_folders(s3, [ContainerFolder(base, place, left_out)], "s3://b/tar")
    objects.upload_files(s3, ContainerFolder(base, place, left_out), "s3://b/files")
    with tarfile.open(fileobj=io.BytesIO(s3.stored.pop("tar"))) as tar:
        members = {member.name: member for member in tar}
        assert all(member.isreg() or member.isdir() for member in members.values())
        content = {name: tar.extractfile(m).read() for name, m in members.items() if m.isreg()}
    assert s3.stored == {f"files/{name}": text for name, text in content.items()}
    return content


def fifo(path, host):
    os.mkfifo(path)


def unix_socket(path, host):
    here = os.getcwd()
    os.chdir(path.parent)  # the address of a socket has at most 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def device(path, host):
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root may make devices")


KINDS = {
    "a link": lambda path, host: path.symlink_to(host / "secret"),
    "a FIFO": fifo,
    "a socket": unix_socket,
    "a device": device,
    "a folder": lambda path, host: path.mkdir(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_failure_file_that_is_no_file_is_named_and_not_read(base, host, kind):
    KINDS[kind](base / "output" / "failure", host)
    assert failure_reason([(base, "exit code 1")]) == ENDED.format(kind)


def test_a_folder_above_the_failure_file_may_be_no_link(base, host):
    (host / "failure").write_text(SECRET)
    (base / "output").rename(base / "elsewhere")
    (base / "output").symlink_to(host)
    reason = failure_reason([(base, "exit code 1")])
    assert reason == (
        "AlgorithmError: exit code 1, and /opt/ml/output is a link, and not a folder."
    )


def test_the_failure_of_another_host_is_preferred_to_none(base, tmp_path):
    other = lay_out(tmp_path / "other", {}, {})
    other.failure.write_text("as asked")
    assert failure_reason([(base, "exit code 1"), (other.base, "exit code 2")]) == "as asked"


def test_a_large_failure_file_is_not_read_whole(base, monkeypatch):
    with (base / "output" / "failure").open("w") as file:
        file.write("reason " * 200)
        file.truncate(1 << 40)
    assert failure_reason([(base, "exit code 1")]).startswith("reason reason")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "a folder"])
@pytest.mark.parametrize("place", ["model", "output/data", "checkpoints"])
def test_what_is_no_file_is_left_out_by_name(base, host, place, kind):
    folder = base / place
    (folder / "sub").mkdir(parents=True)
    (folder / "kept").write_text("kept")
    (folder / "sub" / "more").write_text("more")
    KINDS[kind](folder / "sub" / "it", host)
    left_out: set[str] = set()
    assert packed(base, place, left_out) == {"kept": b"kept", "sub/more": b"more"}
    assert left_out == {f"/opt/ml/{place}/sub/it is {kind}, and not a file"}


@pytest.mark.parametrize("place", ["model", "output/data", "checkpoints"])
def test_a_folder_that_is_a_link_is_empty(base, host, place):
    if (base / place).exists():
        (base / place).rmdir()
    (base / place).symlink_to(host)
    left_out: set[str] = set()
    assert ContainerFolder(base, place, left_out).is_empty()
    assert packed(base, place, left_out) == {}
    assert left_out == {f"/opt/ml/{place} is a link, and not a folder"}


def test_a_link_to_a_folder_is_left_out(base, host):
    (base / "model" / "all").symlink_to(host)
    left_out: set[str] = set()
    assert packed(base, "model", left_out) == {}
    assert left_out == {"/opt/ml/model/all is a link, and not a file"}


def test_a_folder_above_may_be_no_link(base, host):
    (host / "data").mkdir()
    (host / "data" / "secret").write_text(SECRET)
    (base / "output").rename(base / "elsewhere")
    (base / "output").symlink_to(host)
    left_out: set[str] = set()
    assert packed(base, "output/data", left_out) == {}
    assert left_out == {"/opt/ml/output is a link, and not a folder"}


def test_an_entry_that_becomes_a_link_is_not_followed(base, host, monkeypatch):
    target = base / "model" / "it"
    target.write_text("first a file")
    lstat = os.lstat

    def swapping(path, *, dir_fd=None):
        status = lstat(path, dir_fd=dir_fd)
        if path == "it":
            target.unlink()
            target.symlink_to(host / "secret")
        return status

    monkeypatch.setattr(untrusted.os, "lstat", swapping)
    with pytest.raises(LocalError, match="it cannot be read"):
        packed(base, "model", set())


def test_a_hard_link_is_packed_as_a_file(base):
    (base / "model" / "a").write_text("twice")
    os.link(base / "model" / "a", base / "model" / "b")
    assert packed(base, "model", set()) == {"a": b"twice", "b": b"twice"}


def test_a_folder_that_the_container_removed_is_empty(base):
    (base / "model").rmdir()
    assert packed(base, "model", set()) == {}


def test_a_name_is_shown_without_control_characters(base, host):
    (base / "model" / "\x1b[31m\n").symlink_to(host)
    left_out: set[str] = set()
    packed(base, "model", left_out)
    assert left_out == {r"/opt/ml/model/\x1b[31m\n is a link, and not a file"}


def test_too_many_entries(base, monkeypatch):
    monkeypatch.setattr(untrusted, "_MAX_ENTRIES", 5)
    for number in range(6):
        (base / "model" / str(number)).touch()
    with pytest.raises(LocalError, match="/opt/ml/model has more than 5 entries or 16 GiB"):
        packed(base, "model", set())


def test_a_sparse_file_is_as_large_as_it_says(base):
    with (base / "model" / "sparse").open("wb") as file:
        file.truncate(1 << 43)
    with pytest.raises(LocalError, match="more than 100000 entries or 16 GiB"):
        packed(base, "model", set())


def test_folders_that_are_too_deep(base):
    refused = pytest.raises(LocalError, match="/opt/ml/model has folders deeper than 64 levels")
    with nested(base / "model", 1200), refused:
        packed(base, "model", set())


def test_no_descriptor_stays_open(base, host):
    (base / "model" / "sub").mkdir()
    (base / "model" / "sub" / "file").touch()
    (base / "model" / "link").symlink_to(host)
    before = len(os.listdir("/dev/fd"))
    assert not ContainerFolder(base, "model").is_empty()
    packed(base, "model", set())
    assert len(os.listdir("/dev/fd")) == before
