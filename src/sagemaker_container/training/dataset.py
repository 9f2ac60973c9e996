"""Where a channel's rows come from: memory, where they fit, or its bytes anew in each pass."""

import contextlib
import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from factorization_machines.batching import Block, blocks
from factorization_machines.config import Settings
from factorization_machines.errors import DataError, PlatformError
from factorization_machines.recordio.decoder import BUFFER, Decoder, Rows
from sagemaker_container.contract import streams
from sagemaker_container.contract.channels import Channel
from sagemaker_container.training.prefetch import ahead

_LEAST = 1 << 26  # bytes for the rows of a mini-batch, whatever else the budget went to


class Source:
    """One channel's rows, in passes.

    Args:
        channel: what is read.
        settings: of the job: its keys, its labels, and its batches, of which the first one's bytes
            are counted.
        room: bytes of memory that the rows may take.
        say: told of what takes long.
        stopped: asked while rows are waited for; then a pass just ends.

    Every pass has the same number of records, or raises PlatformError: a producer that ended
    early at the end of a record can be told by nothing else.
    """

    def __init__(
        self,
        channel: Channel,
        settings: Settings,
        room: int,
        say: Callable[[str], None],
        stopped: Callable[[], bool],
    ):
        self._channel, self._feature_dim = channel, settings.feature_dim
        self._classifier, self._batch_size = settings.classifier, settings.mini_batch_size
        self._room, self._say, self._stopped = room, say, stopped
        self.bytes_of_first_batch = self.bytes_of_pass = 0
        """What was read of the channel for its first batch, and in the last pass over it."""
        self.seconds_to_load = 0.0
        self._known: dict[Path, os.stat_result] = {}
        with _told(channel.folder):
            self._known = {path: path.stat() for path in channel.files}
        self._kept: list[Rows] | None = None  # all rows, once it is known that they fit
        self._keeping: list[Rows] | None = None  # those of this pass, as long as they may
        self._records: int | None = None
        self._passes = 0

    def __str__(self) -> str:
        return "streamed" if self._records is None else str(self._records)

    @property
    def rows(self) -> Rows | None:
        """Return all rows where they are in memory as one."""
        return self._kept[0] if self._kept and len(self._kept) == 1 else None

    @property
    def content(self) -> str:
        """Return what is known of rows that are not in memory before they are read."""
        if self._channel.pipe:
            return "Pipe"
        names = [path.relative_to(self._channel.folder).as_posix() for path in self._known]
        sizes = [stat.st_size for stat in self._known.values()]
        listed = json.dumps([names, sizes, self._channel.gzip])
        return f"streamed {hashlib.sha256(listed.encode()).hexdigest()}"

    @property
    def nbytes(self) -> int:
        """Return the bytes of the rows that are in memory."""
        return sum(rows.nbytes for rows in self._kept or ())

    def load(self) -> None:
        """Decode files into memory, if they fit; see `rows`. What comes by FIFO stays there."""
        size = sum(stat.st_size for stat in self._known.values())
        # Rows take a quarter of their bytes or more, but for dense ones of mostly zeros.
        if self._channel.pipe or size // 4 > self._room:
            return
        began = time.perf_counter()
        decoder = Decoder(self._feature_dim, size=size, first=self._batch_size)
        for _ in self._decode(decoder, lambda: False):
            if decoder.nbytes > self._room:
                self._passes = 0
                return
        rows = decoder.rows()
        self._check(rows, 0)
        self._end_of_pass(len(rows), decoder)
        self._kept = [rows]
        self.seconds_to_load = time.perf_counter() - began

    def blocks(self, size: int, *, bounded: bool = True) -> Iterator[Block]:
        """Yield the mini-batches of one pass, decoded ahead in a thread where not in memory.

        `bounded`: whether the rows of one batch must fit the memory for data.

        Raises: as `algorithm.blocks.blocks`; DataError, PlatformError, ChannelError of the data.
        """
        if self._kept is not None:
            return blocks(self._kept, size)
        most = max(self._room, _LEAST) if bounded else np.inf
        return ahead(
            lambda ended: blocks(self._pieces(ended), size, most=most),
            self._stopped,
        )

    def keep(self) -> None:
        """Keep the rows of a FIFO's next pass, as long as they fit: there may be no other."""
        if self._kept is None and self._channel.pipe:
            self._keeping = []

    def _pieces(self, ended: Callable[[], bool]) -> Iterator[Rows]:
        """Decode one pass, a buffer at a time."""
        decoder = Decoder(self._feature_dim, size=BUFFER, first=self._batch_size)
        records = taken = 0
        for _ in self._decode(decoder, ended):
            rows = decoder.take()
            self.bytes_of_first_batch = decoder.bytes_of_first
            self._check(rows, records)
            records += len(rows)
            if self._keeping is not None:
                taken += rows.nbytes
                self._keeping = [*self._keeping, rows] if taken <= self._room else None
            yield rows
        if ended():
            return
        self._end_of_pass(records, decoder)
        if self._keeping is not None:
            self._kept = self._keeping

    def _end_of_pass(self, records: int, decoder: Decoder) -> None:
        self.bytes_of_first_batch = decoder.bytes_of_first
        self.bytes_of_pass = decoder.bytes_read
        what = f"channel {self._channel.name!r}, pass {self._passes - 1}"
        if not records and not self._channel.sharded:  # other hosts may have all of them
            raise DataError(f"{what}: there is no record")
        if self._records not in (None, records):
            raise PlatformError(
                f"{what}: {records} records, and {self._records} in the passes before: "
                "what delivers them ended early, or they changed"
            )
        self._records = records

    def _decode(self, decoder: Decoder, ended: Callable[[], bool]) -> Iterator[None]:
        """Feed one pass to a decoder; yield after each buffer."""
        channel, root = self._channel, self._channel.folder.parent
        number, self._passes = self._passes, self._passes + 1
        if channel.pipe:
            path = channel.folder.with_name(f"{channel.folder.name}_{number}")
            with _told(path), streams.PipeStream(path, ended, self._say) as pipe:
                yield from decoder.read(self._content(pipe, path.name), path.name)
            return
        for path, known in self._known.items():
            name = path.relative_to(root).as_posix()
            with _told(path), streams.FileStream(path, name, known) as file:
                try:
                    yield from decoder.read(self._content(file, name), name)
                except DataError:
                    file.check()  # what was written to meanwhile is no record any more
                    raise

    def _content(self, raw: io.RawIOBase, name: str) -> io.RawIOBase | io.BufferedIOBase:
        return streams.unpacked(raw, name) if self._channel.gzip else raw

    def _check(self, rows: Rows, before: int) -> None:
        """Raise DataError for a label that the predictor cannot take."""
        if not self._classifier:
            return
        wrong = np.flatnonzero((rows.y != 0) & (rows.y != 1))
        if wrong.size:
            raise DataError(
                f"channel {self._channel.name!r}: the label of a binary_classifier must be 0 or 1; "
                f"got {rows.y[wrong[0]]:g} in record {before + wrong[0] + 1} of the channel"
            )


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say of an error of the file system what could not be read."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise PlatformError(f"{where} cannot be read: {error.strerror}") from error
