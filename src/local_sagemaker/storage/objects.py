"""Transfers between S3 and folders, in the layouts that SageMaker uses.

`s3` is a boto3 S3 client in all of these.
"""

import os
import re
import stat
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

from local_sagemaker.errors import LocalError, invalid
from local_sagemaker.storage.untrusted import ContainerFolder
from sagemaker_container.contract.untrusted import DAMAGE, ArtifactError, extract, printable

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of an s3:// URI.

    Raises: LocalError if it is not one.
    """
    # Not urlsplit: in a key, "?" and "#" are characters like any other.
    scheme, _, path = uri.partition("://")
    bucket, _, key = path.partition("/")
    if scheme != "s3" or not _BUCKET.fullmatch(bucket):
        raise LocalError(f"An S3 URI must look like s3://bucket/prefix; got {uri!r}.")
    return bucket, key


def check_bucket(s3: Any, uri: str, member: str) -> None:
    """Raise a ValidationException if the bucket of a request's S3 URI cannot be used."""
    try:
        bucket, _ = split_uri(uri)
        s3.head_bucket(Bucket=bucket)
    except LocalError as error:
        raise invalid(f"{member}: {error}") from error
    except (ConnectionError, HTTPClientError) as error:  # of another S3 than the service's
        raise invalid(f'{member}: the S3 bucket "{bucket}" cannot be reached: {error}') from error
    except (BotoCoreError, ClientError) as error:
        if getattr(error, "response", {}).get("Error", {}).get("Code") == "403":
            raise invalid(f'{member}: the S3 bucket "{bucket}" is not yours: {error}') from error
        raise invalid(
            f'{member}: the S3 bucket "{bucket}" does not exist. Please ensure that the bucket'
            " exists in the selected region."
        ) from error


def check_input(s3: Any, uri: str) -> None:
    """Raise a ValidationException if no object's URI begins with a request's S3 URI."""
    check_bucket(s3, uri, "S3Uri")
    bucket, prefix = split_uri(uri)
    if not s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)["KeyCount"]:
        raise invalid(
            f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure'
            " that the bucket exists in the selected region, and that objects exist under that S3"
            " prefix."
        )


def download_prefix(s3: Any, uri: str, folder: Path) -> list[Path]:
    """Download all objects whose keys begin with the prefix into a folder; return the files.

    Paths are relative to the last complete folder of the prefix; subfolders are kept.

    Raises: LocalError if no object has the prefix, or if a key points outside the folder.
    """
    bucket, prefix = split_uri(uri)
    files = []
    for key in keys(s3, bucket, prefix):
        files.append(download(s3, (bucket, key), folder, below(folder, prefix, key)))
    if not files:
        raise LocalError(f"No object in S3 begins with {uri}.")
    return files


def download(s3: Any, source: tuple[str, str], folder: Path, place: PurePosixPath) -> Path:
    """Download an object, of a bucket and a key, to a place in a folder; return the file.

    Raises: LocalError if it cannot be read, or cannot be a file.
    """
    bucket, key = source
    target = folder / inside(folder, str(place))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, key, str(target))
    except (ClientError, OSError, ValueError) as error:  # a key may be no name of a file
        reason = getattr(error, "strerror", None) or str(error)
        raise LocalError(
            f"ClientError: Data download failed: s3://{bucket}/{printable(key)}: {reason}"
        ) from error
    return target


def upload_folders(s3: Any, folders: Sequence[ContainerFolder], uri: str) -> str:
    """Upload the content of several folders as one tar.gz, and return its URI.

    Raises: LocalError if the content cannot be read.
    """
    bucket, key = split_uri(uri)
    with tempfile.TemporaryFile() as packed:
        with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=6) as tar:
            for folder in folders:
                for path, file in folder.entries():
                    entry = tarfile.TarInfo(path)
                    if file is None:
                        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                    else:
                        status = os.fstat(file.fileno())
                        entry.size, entry.mtime = status.st_size, int(status.st_mtime)
                        entry.mode = stat.S_IMODE(status.st_mode)
                    tar.addfile(entry, file)
        packed.seek(0)
        s3.upload_fileobj(packed, bucket, key)
    return uri


def upload_files(s3: Any, folder: ContainerFolder, uri: str) -> None:
    """Upload each file of a folder below the URI.

    Raises: LocalError if a file cannot be read or stored.
    """
    bucket, prefix = split_uri(uri)
    stem = prefix.rstrip("/") + "/" if prefix else ""
    for path, file in folder.entries():
        if file is not None:
            try:
                s3.upload_fileobj(file, bucket, stem + path)
            except (UnicodeError, BotoCoreError, S3UploadFailedError, ClientError) as error:
                raise LocalError(f"{printable(path)} cannot be an object of S3: {error}") from error


def unpack(s3: Any, uri: str, folder: Path) -> list[str]:
    """Unpack a tar.gz from S3 into a folder; return a text for each member left out.

    Only regular files are unpacked, neither links nor devices.

    Raises: LocalError if it is not a tar.gz, or unsafe, or too large.
    """
    bucket, key = split_uri(uri)
    with tempfile.NamedTemporaryFile() as packed:
        s3.download_fileobj(bucket, key, packed)
        packed.flush()
        try:
            return extract(Path(packed.name), folder)
        except (ArtifactError, EOFError, OSError, *DAMAGE) as error:
            raise LocalError(
                f'Failed to extract model data archive for container "container_1" from URL:'
                f' "{uri}". Please ensure that the object located at the URL is a valid tar.gz'
                f" archive: {printable(str(error))}"
            ) from error


def keys(s3: Any, bucket: str, prefix: str) -> list[str]:
    """Return the keys that begin with the prefix, in order, without those of folders."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    all_keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
    # AWS's console creates an empty object for a folder.
    return [key for key in all_keys if not key.endswith("/")]


def below(folder: Path, prefix: str, key: str) -> PurePosixPath:
    """Return the path of a key in a folder, relative to the prefix's last complete folder."""
    stem = prefix if prefix.endswith("/") or not prefix else prefix + "/"
    if not key.startswith(stem):
        stem = prefix[: prefix.rfind("/") + 1]
    return inside(folder, key[len(stem) :].lstrip("/"))


def inside(folder: Path, name: str) -> PurePosixPath:
    """Return the relative path for a name.

    Raises: LocalError if it would be outside the folder.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise LocalError(f"The key {name!r} would be written outside its folder.")
    return path
