"""Lists and downloads the S3 objects of a channel, for each host."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from local_sagemaker.errors import LocalError, invalid
from local_sagemaker.storage import objects

S3Object = tuple[str, str, PurePosixPath]  # bucket, key, path in the channel


@dataclass(frozen=True)
class Share:
    """A host's share of a channel with ShardedByS3Key: each `count`-th object from `index` on."""

    index: int
    count: int


def check(channels: Sequence[Mapping[str, Any]], mode: str) -> None:
    """Raise a ValidationException for channels that are not allowed or not offered here."""
    names = [channel["ChannelName"] for channel in channels]
    if len(set(names)) != len(names):
        raise invalid("Channel names must be unique within a job.")
    for channel in channels:
        name = channel["ChannelName"]
        if (channel.get("InputMode") or mode) not in ("File", "FastFile", "Pipe"):
            raise invalid(f"Channel {name}: InputMode must be File, FastFile or Pipe.")
        source = channel["DataSource"].get("S3DataSource")
        if source is None:
            raise invalid(f"Channel {name}: DataSource must be an S3DataSource here.")
        if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
            raise invalid(
                f"Channel {name}: S3DataType {source['S3DataType']} is not offered here;"
                " use S3Prefix or ManifestFile."
            )
        try:
            objects.split_uri(source["S3Uri"])
        except LocalError as error:
            raise invalid(f"Channel {name}: {error}") from error


def config(channel: Mapping[str, Any], mode: str) -> dict[str, str]:
    """Return the channel's entry of inputdataconfig.json."""
    source = channel["DataSource"]["S3DataSource"]
    entry = {
        "TrainingInputMode": channel.get("InputMode") or mode,
        "ContentType": channel.get("ContentType"),
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
        "CompressionType": channel.get("CompressionType"),
    }
    return {key: value for key, value in entry.items() if value}


def fetch(s3: Any, channel: Mapping[str, Any], folder: Path, share: Share) -> int:
    """Download a host's objects of a channel into a folder; return the number of bytes.

    Args:
        s3: a boto3 S3 client.
        channel: an entry of InputDataConfig.
        folder: the channel's, which exists.
        share: the host's share.

    Raises: LocalError if there are no objects, with the service's text, if one cannot be
        downloaded, or if the keys of two objects would be written to one file.
    """
    size = 0
    all_objects = host_objects(s3, channel, share)
    places = Counter(place for _, _, place in all_objects)
    for _, key, place in all_objects:
        if places[place] > 1 or any(parent in places for parent in place.parents):
            raise LocalError(
                f"ClientError: Data download failed: channel {channel['ChannelName']!r}: the object"
                f" {key!r} and another one would be written to one file."
            )
    for bucket, key, place in all_objects:
        size += objects.download(s3, (bucket, key), folder, place).stat().st_size
    return size


def host_objects(s3: Any, channel: Mapping[str, Any], share: Share) -> list[S3Object]:
    """Return a host's objects of a channel.

    Raises: LocalError if there are no objects, with the service's text.
    """
    source = channel["DataSource"]["S3DataSource"]
    all_objects = list_objects(s3, source)
    if not all_objects:
        raise LocalError(
            f"ClientError: Data download failed: no S3 objects found under {source['S3Uri']!r},"
            f" channel {channel['ChannelName']!r}. Please ensure that the bucket and prefix exist."
        )
    if source.get("S3DataDistributionType") == "ShardedByS3Key":
        return all_objects[share.index :: share.count]
    return all_objects


def list_objects(s3: Any, source: Mapping[str, Any]) -> list[S3Object]:
    """Return the objects that an S3DataSource names."""
    uri = source["S3Uri"]
    try:
        if source["S3DataType"] == "ManifestFile":
            return _of_manifest(s3, uri)
        bucket, prefix = objects.split_uri(uri)
        keys = objects.keys(s3, bucket, prefix)
        return [(bucket, key, objects.below(Path(uri), prefix, key)) for key in keys]
    except s3.exceptions.ClientError as error:
        raise LocalError(f"ClientError: Data download failed: {uri}: {error}") from error


def _of_manifest(s3: Any, uri: str) -> list[S3Object]:
    bucket, key = objects.split_uri(uri)
    content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    try:
        entries = json.loads(content)
        prefix, names = entries[0]["prefix"], entries[1:]
        if not all(isinstance(text, str) for text in (prefix, *names)):
            raise TypeError("not a list of texts")
        target, stem = objects.split_uri(prefix)
    except (ValueError, LookupError, TypeError, RecursionError, LocalError) as error:
        raise LocalError(
            f"ClientError: {uri} is not a manifest, which is a JSON list of"
            ' {"prefix": "s3://…"} and names.'
        ) from error
    return [(target, stem + name, PurePosixPath(name.lstrip("/"))) for name in names]
