"""The folder of a job's checkpoints: the newest whole one is the one that counts."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from sagemaker_container.training.checkpoints import file
from sagemaker_container.training.checkpoints.file import Checkpoint

_PREFIX, _SUFFIX = "checkpoint-", ".npz"
_KEPT = 2  # the last one, and the one before for the case that it is torn


class Folder:
    """Reads and writes the checkpoints of one job; `warn` is told what is wrong with them."""

    def __init__(self, path: Path, warn: Callable[[str], object]):
        self.path = path
        self._warn = warn
        self._whole: list[Path] = []  # that are known to be, the newest last

    def latest(self) -> tuple[Path, Checkpoint] | None:
        """Return the newest checkpoint that is whole, or None; warn of those that are not."""
        try:
            found = sorted(self.path.glob(f"{_PREFIX}*{_SUFFIX}"), reverse=True)
        except OSError as error:
            self._warn(f"the checkpoints in {self.path} cannot be read: {error.strerror or error}")
            return None
        for path in found:
            try:
                checkpoint = file.read(path)
            except file.DAMAGE as error:
                what = f"{path} is torn or damaged ({type(error).__name__}: {error})"
                self._warn(f"{what}; the checkpoint before it is taken, if there is one")
                continue
            self._whole = [path]
            return path, checkpoint
        return None

    def write(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint, and remove those that are no longer needed.

        Raises: OSError if it cannot be written; the earlier ones are there then.
        """
        path = self.path / f"{_PREFIX}{checkpoint.moments.steps:012d}{_SUFFIX}"
        file.write(path, checkpoint)
        self._whole = [*(one for one in self._whole if one != path), path][-_KEPT:]
        for old in self.path.glob(f"{_PREFIX}*{_SUFFIX}"):
            if old not in self._whole:
                with contextlib.suppress(OSError):
                    old.unlink()
        return path
