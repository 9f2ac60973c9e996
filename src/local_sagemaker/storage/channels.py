"""What a channel names in S3, laid out in the folder of each host."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from local_sagemaker.api.errors import invalid
from local_sagemaker.errors import LocalError
from local_sagemaker.storage import objects


def check(channels: Sequence[Mapping[str, Any]], mode: str) -> None:
    """Raise a ValidationException for what is not offered here, or not allowed."""
    names = [channel["ChannelName"] for channel in channels]
    if len(set(names)) != len(names):
        raise invalid("Channel names must be unique within a job.")
    for channel in channels:
        name = channel["ChannelName"]
        wanted = channel.get("InputMode") or mode
        if wanted not in ("File", "FastFile", "Pipe"):
            raise invalid(f"Channel {name}: InputMode must be File, FastFile or Pipe.")
        source = channel["DataSource"].get("S3DataSource")
        if source is None:
            raise invalid(f"Channel {name}: only S3DataSource is offered here.")
        if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
            raise invalid(
                f"Channel {name}: S3DataType {source['S3DataType']} is not offered here;"
                " S3Prefix and ManifestFile are."
            )


def config(channel: Mapping[str, Any], mode: str) -> dict[str, str]:
    """Return the channel's entry of inputdataconfig.json."""
    source = channel["DataSource"]["S3DataSource"]
    found = {
        "TrainingInputMode": channel.get("InputMode") or mode,
        "ContentType": channel.get("ContentType"),
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
        "CompressionType": channel.get("CompressionType"),
    }
    return {key: value for key, value in found.items() if value}


def fetch(s3: Any, channel: Mapping[str, Any], folder: Path, host: int, hosts: int) -> int:
    """Copy what a channel holds for a host into the folder; return the number of bytes.

    Args:
        s3: a boto3 S3 client.
        channel: an entry of InputDataConfig.
        folder: the channel's; made already.
        host: the host's index, from 0.
        hosts: their number; with ShardedByS3Key each gets its share of the objects.

    Raises: LocalError if there is nothing, in the words of the service.
    """
    size = 0
    for bucket, key, place in share(s3, channel, host, hosts):
        target = folder / objects.inside(folder, str(place))
        target.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, key, str(target))
        size += target.stat().st_size
    return size


def share(
    s3: Any, channel: Mapping[str, Any], host: int, hosts: int
) -> list[tuple[str, str, PurePosixPath]]:
    """Return what a channel holds for a host: bucket, key and place of each object.

    Raises: LocalError if there is nothing, in the words of the service.
    """
    source = channel["DataSource"]["S3DataSource"]
    found = list_objects(s3, source)
    if not found:
        raise LocalError(
            f"ClientError: Data download failed: no S3 objects found under {source['S3Uri']!r},"
            f" channel {channel['ChannelName']!r}. Please ensure that the bucket and prefix exist."
        )
    if source.get("S3DataDistributionType") == "ShardedByS3Key":
        found = found[host::hosts]
    return found


def list_objects(s3: Any, source: Mapping[str, Any]) -> list[tuple[str, str, PurePosixPath]]:
    """Return bucket, key and place in the channel of each object that an S3DataSource names."""
    uri = source["S3Uri"]
    try:
        if source["S3DataType"] == "ManifestFile":
            return _of_manifest(s3, uri)
        bucket, prefix = objects.split_uri(uri)
        return [
            (bucket, key, objects.below(Path(uri), prefix, key))
            for key in objects.keys(s3, bucket, prefix)
        ]
    except s3.exceptions.ClientError as error:
        raise LocalError(f"ClientError: Data download failed: {uri}: {error}") from error


def _of_manifest(s3: Any, uri: str) -> list[tuple[str, str, PurePosixPath]]:
    bucket, key = objects.split_uri(uri)
    content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    try:
        entries = json.loads(content)
        prefix = entries[0]["prefix"]
        names = [str(name) for name in entries[1:]]
    except (ValueError, LookupError, TypeError) as error:
        raise LocalError(
            f'ClientError: {uri} is no manifest: a JSON list of {{"prefix": "s3://…"}} and names.'
        ) from error
    start, stem = objects.split_uri(prefix)
    return [(start, stem + name, PurePosixPath(name.lstrip("/"))) for name in names]
