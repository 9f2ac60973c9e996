"""The folder of a job's checkpoints."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from sagemaker_container.training.checkpoints import file
from sagemaker_container.training.checkpoints.file import Checkpoint

_PREFIX, _SUFFIX = "checkpoint-", ".npz"
_KEPT = 2  # the last one, and the one before in case the last one is damaged


class CheckpointStore:
    """Reads and writes the checkpoints of one job; `warn` gets a message for each damaged one."""

    def __init__(self, path: Path, warn: Callable[[str], object]):
        self.path = path
        self._warn = warn
        self._valid: list[Path] = []  # the newest last

    def latest(
        self, check: Callable[[Checkpoint, Path], object] = lambda checkpoint, path: None
    ) -> tuple[Path, Checkpoint] | None:
        """Return the newest checkpoint that is not damaged, or None.

        `check`: raises ValueError for a checkpoint that is to be treated as damaged.
        """
        try:
            paths = sorted(self.path.glob(f"{_PREFIX}*{_SUFFIX}"), reverse=True)
        except OSError as error:
            self._warn(f"the checkpoints in {self.path} cannot be read: {error.strerror or error}")
            return None
        for path in paths:
            try:
                checkpoint = file.read(path)
                check(checkpoint, path)
            except file.DAMAGE as error:
                what = f"{path} is torn or damaged ({type(error).__name__}: {error})"
                self._warn(f"{what}; the checkpoint before it is taken, if there is one")
                continue
            self._valid = [path]
            return path, checkpoint
        return None

    def write(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint, then remove those that are no longer needed.

        Raises: OSError if it cannot be written; the earlier ones still exist then.
        """
        path = self.path / f"{_PREFIX}{checkpoint.optimizer.steps:012d}{_SUFFIX}"
        file.write(path, checkpoint)
        self._valid = [*(other for other in self._valid if other != path), path][-_KEPT:]
        for old in self.path.glob(f"{_PREFIX}*{_SUFFIX}"):
            if old not in self._valid:
                with contextlib.suppress(OSError):
                    old.unlink()
        return path
