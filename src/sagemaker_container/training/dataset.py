"""The rows of a channel: in memory if they fit, otherwise read again for each pass."""

import contextlib
import functools
import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from factorization_machines.batching import BatchedChunk, batched
from factorization_machines.config import TrainingConfig
from factorization_machines.errors import DataError, PlatformError
from factorization_machines.recordio.decoder import BUFFER, Decoder, Rows
from sagemaker_container.contract import streams
from sagemaker_container.contract.channels import Channel
from sagemaker_container.training.checkpoints.fingerprint import digest
from sagemaker_container.training.prefetch import prefetch

_MIN_BATCH_BYTES = 1 << 26  # for the rows of a mini-batch, even if the budget is used up


class ChannelDataset:
    """The rows of one channel, in passes.

    Every pass must have the same number of records; otherwise it raises PlatformError. A producer
    that stops early at the end of a record is detected by this check alone.
    """

    def __init__(
        self,
        channel: Channel,
        config: TrainingConfig,
        max_bytes: int,
        log: Callable[[str], None],
        stopped: Callable[[], bool],
    ):
        """Create a dataset without reading.

        Args:
            channel: to read.
            config: of the job.
            max_bytes: memory for decoded rows.
            log: gets a message if reading waits for long.
            stopped: called while reading waits; ends the pass.
        """
        self.channel, self._feature_dim = channel, config.feature_dim
        self._classifier, self._batch_size = config.classifier, config.mini_batch_size
        self._max_bytes, self._log, self._stopped = max_bytes, log, stopped
        self.bytes_of_first_batch = self.bytes_of_pass = 0
        """Bytes read for the channel's first batch, and in the last pass."""
        self.seconds_to_load = 0.0
        self._files: dict[Path, os.stat_result] = {}
        with _read_errors(channel.folder):
            self._files = {path: path.stat() for path in channel.files}
        self._loaded: list[Rows] | None = None  # all rows, if they are in memory
        self._buffered: list[Rows] | None = None  # rows of this pass, if they are to be kept
        self._records: int | None = None
        self._passes = 0

    def __str__(self) -> str:
        return "streamed" if self._records is None else str(self._records)

    @property
    def rows(self) -> Rows | None:
        """Return all rows, if they are in memory in one piece."""
        return self._loaded[0] if self._loaded and len(self._loaded) == 1 else None

    @functools.cached_property
    def digest(self) -> str:
        """Return a digest of the rows, or of the files' names and sizes if they are streamed."""
        rows = self.rows
        if rows is not None:
            return digest(rows.x.indptr, rows.x.indices, rows.x.data, rows.y)
        if self.channel.pipe:
            return "Pipe"
        names = [path.relative_to(self.channel.folder).as_posix() for path in self._files]
        sizes = [stat.st_size for stat in self._files.values()]
        listed = json.dumps([names, sizes, self.channel.gzip])
        return f"streamed {hashlib.sha256(listed.encode()).hexdigest()}"

    @property
    def nbytes(self) -> int:
        """Return the bytes of the rows in memory."""
        return sum(rows.nbytes for rows in self._loaded or ())

    def load(self) -> None:
        """Decode files into memory if the rows fit; does nothing for a FIFO."""
        size = sum(stat.st_size for stat in self._files.values())
        # Decoded rows are at least a quarter of the file, except dense rows with many zeros.
        if self.channel.pipe or size // 4 > self._max_bytes:
            return
        began = time.perf_counter()
        decoder = Decoder(self._feature_dim, size=size, first=self._batch_size)
        for _ in self._decode(decoder, lambda: False):
            if decoder.nbytes > self._max_bytes:
                self._passes = 0
                return
        rows = decoder.rows()
        self._check_labels(rows, 0)
        self._end_pass(len(rows), decoder)
        self._loaded = [rows]
        self.seconds_to_load = time.perf_counter() - began

    def batches(self, size: int, *, bounded: bool = True) -> Iterator[BatchedChunk]:
        """Yield the mini-batches of one pass; rows that are not in memory are prefetched.

        `bounded`: whether the rows of one batch must fit the memory for data.

        Raises: as `batching.batched`; DataError, PlatformError, ChannelError of the data.
        """
        if self._loaded is not None:
            return batched(self._loaded, size)
        max_bytes = max(self._max_bytes, _MIN_BATCH_BYTES) if bounded else np.inf
        return prefetch(
            lambda closed: batched(self._chunks(closed), size, max_bytes=max_bytes),
            self._stopped,
        )

    def keep_next_pass(self) -> None:
        """Keep the rows of a FIFO's next pass in memory if they fit: it may be the only pass."""
        if self._loaded is None and self.channel.pipe:
            self._buffered = []

    def _chunks(self, closed: Callable[[], bool]) -> Iterator[Rows]:
        """Decode one pass, a buffer at a time."""
        decoder = Decoder(self._feature_dim, size=BUFFER, first=self._batch_size)
        records = nbytes = 0
        for _ in self._decode(decoder, closed):
            rows = decoder.take()
            self.bytes_of_first_batch = decoder.bytes_of_first
            self._check_labels(rows, records)
            records += len(rows)
            if self._buffered is not None:
                nbytes += rows.nbytes
                self._buffered = [*self._buffered, rows] if nbytes <= self._max_bytes else None
            yield rows
        if closed():
            return
        self._end_pass(records, decoder)
        if self._buffered is not None:
            self._loaded = self._buffered

    def _end_pass(self, records: int, decoder: Decoder) -> None:
        self.bytes_of_first_batch = decoder.bytes_of_first
        self.bytes_of_pass = decoder.bytes_read
        where = f"channel {self.channel.name!r}, pass {self._passes - 1}"
        if not records and not self.channel.sharded:  # the shards of other hosts may have records
            raise DataError(f"{where}: there is no record")
        if self._records not in (None, records):
            raise PlatformError(
                f"{where}: {records} records, and {self._records} in the passes before: "
                "what delivers them ended early, or they changed"
            )
        self._records = records

    def _decode(self, decoder: Decoder, closed: Callable[[], bool]) -> Iterator[None]:
        """Feed one pass to a decoder; yield after each buffer."""
        channel, root = self.channel, self.channel.folder.parent
        number, self._passes = self._passes, self._passes + 1
        if channel.pipe:
            path = channel.folder.with_name(f"{channel.folder.name}_{number}")
            with _read_errors(path), streams.PipeStream(path, closed, self._log) as pipe:
                yield from decoder.read(self._unpacked(pipe, path.name), path.name)
            return
        for path, stat in self._files.items():
            name = path.relative_to(root).as_posix()
            with _read_errors(path), streams.FileStream(path, name, stat) as file:
                try:
                    yield from decoder.read(self._unpacked(file, name), name)
                except DataError:
                    file.check()  # a file that was written to meanwhile is the actual problem
                    raise

    def _unpacked(self, raw: io.RawIOBase, name: str) -> io.RawIOBase | io.BufferedIOBase:
        return streams.unpacked(raw, name) if self.channel.gzip else raw

    def _check_labels(self, rows: Rows, before: int) -> None:
        """Raise DataError for a label that the predictor does not accept.

        `before`: records of the channel before these rows.
        """
        if not self._classifier:
            return
        wrong = np.flatnonzero((rows.y != 0) & (rows.y != 1))
        if wrong.size:
            raise DataError(
                f"channel {self.channel.name!r}: the label of a binary_classifier must be 0 or 1; "
                f"got {rows.y[wrong[0]]:g} in record {before + wrong[0] + 1} of the channel"
            )


@contextlib.contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    """Turn an error of the file system into a PlatformError that names the path."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise PlatformError(f"{where} cannot be read: {error.strerror}") from error
