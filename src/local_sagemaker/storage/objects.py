"""S3 to folder and back, in the shapes that SageMaker uses.

`s3` is a boto3 S3 client in all of these.
"""

import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

from local_sagemaker.errors import LocalError


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of an s3:// address."""
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.netloc:
        raise LocalError(f"An S3 address looks like s3://bucket/prefix; got {uri!r}.")
    return parts.netloc, parts.path.lstrip("/")


def download_prefix(s3: Any, uri: str, folder: Path) -> list[Path]:
    """Copy every object whose key begins with the prefix into the folder; return the files.

    An object that the prefix names in full keeps its last name. Below it, sub-folders stay.

    Raises: LocalError if no object has the prefix, or a key would lead out of the folder.
    """
    bucket, prefix = split_uri(uri)
    files = []
    for key in keys(s3, bucket, prefix):
        target = folder / below(folder, prefix, key)
        target.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, key, str(target))
        files.append(target)
    if not files:
        raise LocalError(f"No object in S3 begins with {uri}.")
    return files


def upload_folder(s3: Any, folder: Path, uri: str) -> str:
    """Pack the folder's content as a tar.gz, store it at the address, and return the address."""
    return upload_folders(s3, [folder], uri)


def upload_folders(s3: Any, folders: Sequence[Path], uri: str) -> str:
    """Do the same with the content of several folders, which becomes that of one."""
    bucket, key = split_uri(uri)
    with tempfile.TemporaryFile() as packed:
        with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=6) as tar:
            for folder in folders:
                for entry in sorted(folder.iterdir()):
                    tar.add(entry, arcname=entry.name)
        packed.seek(0)
        s3.upload_fileobj(packed, bucket, key)
    return uri


def upload_files(s3: Any, folder: Path, uri: str) -> None:
    """Store each file of a folder below the address, as it is."""
    bucket, prefix = split_uri(uri)
    stem = prefix.rstrip("/") + "/" if prefix else ""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            s3.upload_file(str(file), bucket, stem + file.relative_to(folder).as_posix())


def unpack(s3: Any, uri: str, folder: Path) -> None:
    """Unpack a tar.gz from S3 into the folder: its files, and no link or device."""
    bucket, key = split_uri(uri)
    with tempfile.TemporaryFile() as packed:
        s3.download_fileobj(bucket, key, packed)
        packed.seek(0)
        _unpack(packed, folder)


def _unpack(packed: IO[bytes], folder: Path) -> None:
    with tarfile.open(fileobj=packed, mode="r:*") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content is None:
                continue
            target = folder / inside(folder, member.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            with content, target.open("wb") as file:
                shutil.copyfileobj(content, file)


def keys(s3: Any, bucket: str, prefix: str) -> list[str]:
    """Return every key that begins with the prefix, in order, without those of mere folders."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    found = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
    return [key for key in found if not key.endswith("/")]  # some console made it visible


def below(folder: Path, prefix: str, key: str) -> PurePosixPath:
    """Return where a key lies in the folder: relative to the prefix's last complete folder."""
    stem = prefix if prefix.endswith("/") or not prefix else prefix + "/"
    if not key.startswith(stem):
        stem = prefix[: prefix.rfind("/") + 1]
    return inside(folder, key[len(stem) :])


def inside(folder: Path, name: str) -> PurePosixPath:
    """Return a path for a name; one that would lead out of the folder is refused."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise LocalError(f"{name!r} would be written outside {folder}.")
    return path
