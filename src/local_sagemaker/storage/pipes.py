"""Pipe mode: writes a channel's objects to a named pipe for each pass over the data."""

import contextlib
import errno
import gzip
import os
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

from local_sagemaker.errors import LocalError
from local_sagemaker.storage.channels import Share, host_objects
from sagemaker_container.contract import recordio
from sagemaker_container.contract.channels import is_visible

_CHUNK = 1 << 20


class PipeFeeder:
    """A thread that writes `<channel>_0`, `<channel>_1` and so on, each when it is opened."""

    def __init__(self, s3: Any, channel: Mapping[str, Any], folder: Path, share: Share):
        """Create the first pipe and start the thread.

        Args:
            s3: a boto3 S3 client.
            channel: an entry of InputDataConfig.
            folder: /opt/ml/input/data.
            share: the host's share.

        Raises: LocalError if there are no objects in S3.
        """
        self._s3, self._channel = s3, channel
        # A container cannot tell the objects of a pipe apart, and would read markers as data.
        self._objects = [
            entry
            for entry in host_objects(s3, channel, share)
            if all(map(is_visible, entry[2].parts))
        ]
        self._name = str(channel["ChannelName"])
        # Of the folder as it is before the container starts, which may replace it by a link.
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._stopped = threading.Event()
        self._create(0)
        threading.Thread(target=self._feed, daemon=True).start()

    def stop(self) -> None:
        """Write no more pipes."""
        self._stopped.set()

    def _feed(self) -> None:
        epoch = 0
        try:
            while (stream := self._open(epoch)) is not None:
                with contextlib.suppress(BrokenPipeError), stream:
                    for chunk in self._content():
                        stream.write(chunk)
                    # Before this pipe ends: its reader opens the next at once.
                    self._create(epoch + 1)
                self._create(epoch + 1)
                epoch += 1
        finally:
            os.close(self._folder)

    def _open(self, epoch: int) -> IO[bytes] | None:
        """Return the pipe when it has a reader, or None if the feeder was stopped."""
        while not self._stopped.is_set():
            try:
                number = self._open_pipe(epoch, os.O_WRONLY)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    return None  # the container or the service removed or replaced the pipe
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
                chunks = iter(lambda stream=stream: stream.read(_CHUNK), b"")  # type: ignore[misc]
            else:
                chunks = body.iter_chunks(_CHUNK)
            if self._channel.get("RecordWrapperType") == "RecordIO":
                yield _framed(b"".join(chunks), key)
            else:
                yield from chunks

    def _create(self, epoch: int) -> None:
        with contextlib.suppress(OSError):  # the container made another entry of this name
            os.mkfifo(f"{self._name}_{epoch}", dir_fd=self._folder)
            number = self._open_pipe(epoch, os.O_RDONLY)
            os.fchmod(number, 0o666)  # the container may run as any user
            os.close(number)

    def _open_pipe(self, epoch: int, flags: int) -> int:
        """Return a descriptor of a pipe. Raises: OSError, also if the entry is no longer a pipe."""
        flags |= os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        number = os.open(f"{self._name}_{epoch}", flags, dir_fd=self._folder)
        if not stat.S_ISFIFO(os.fstat(number).st_mode):
            os.close(number)
            raise OSError(errno.EINVAL, "not a pipe")
        return number


def _framed(content: bytes, key: str) -> bytes:
    try:
        return recordio.frame(content)
    except OverflowError:
        raise LocalError(f"{key} is too large for one RecordIO record.") from None
