"""Pipe mode: a channel's objects through a named pipe for each pass over them."""

import contextlib
import errno
import gzip
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

from local_sagemaker.errors import LocalError
from local_sagemaker.storage.channels import share
from sagemaker_container.contract import recordio

_CHUNK = 1 << 20


class Feeder:
    """A thread that fills `<channel>_0`, `<channel>_1` and so on, each when it is opened."""

    def __init__(self, s3: Any, channel: Mapping[str, Any], folder: Path, host: int, hosts: int):
        """Make the first pipe.

        Args:
            s3: a boto3 S3 client.
            channel: an entry of InputDataConfig.
            folder: /opt/ml/input/data.
            host: the host's index, from 0.
            hosts: their number.

        Raises: LocalError if there is nothing in S3.
        """
        self._s3, self._channel = s3, channel
        self._objects = share(s3, channel, host, hosts)
        self._stem: Path = folder / str(channel["ChannelName"])
        self._ended = threading.Event()
        self._make(0)
        threading.Thread(target=self._feed, daemon=True).start()

    def stop(self) -> None:
        """Fill no more pipes."""
        self._ended.set()

    def _feed(self) -> None:
        epoch = 0
        while (stream := self._opened(epoch)) is not None:
            with contextlib.suppress(BrokenPipeError), stream:
                for piece in self._content():
                    stream.write(piece)
                # Before this one ends: who has read it looks for the next at once.
                self._make(epoch + 1)
            self._make(epoch + 1)
            epoch += 1

    def _opened(self, epoch: int) -> IO[bytes] | None:
        """Return the pipe once somebody reads it, or None at the end."""
        while not self._ended.is_set():
            try:
                number = os.open(self._path(epoch), os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno == errno.ENOENT:
                    return None  # the job's folder is gone
                if error.errno != errno.ENXIO:
                    raise
                time.sleep(0.01)
                continue
            os.set_blocking(number, True)
            return os.fdopen(number, "wb", buffering=_CHUNK)
        return None

    def _content(self) -> Iterator[bytes]:
        for bucket, key, _ in self._objects:
            body = self._s3.get_object(Bucket=bucket, Key=key)["Body"]
            if self._channel.get("CompressionType") == "Gzip":
                stream = cast("IO[bytes]", gzip.GzipFile(fileobj=body))
                pieces = iter(lambda stream=stream: stream.read(_CHUNK), b"")  # type: ignore[misc]
            else:
                pieces = body.iter_chunks(_CHUNK)
            if self._channel.get("RecordWrapperType") == "RecordIO":
                yield _framed(b"".join(pieces), key)
            else:
                yield from pieces

    def _make(self, epoch: int) -> None:
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            os.mkfifo(self._path(epoch))
            self._path(epoch).chmod(0o666)  # the container may run as anybody

    def _path(self, epoch: int) -> Path:
        return self._stem.with_name(f"{self._stem.name}_{epoch}")


def _framed(content: bytes, key: str) -> bytes:
    try:
        return recordio.frame(content)
    except OverflowError:
        raise LocalError(f"{key} is too large for one RecordIO record.") from None
