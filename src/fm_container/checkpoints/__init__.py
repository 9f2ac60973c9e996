"""What a job leaves in /opt/ml/checkpoints, so that the next run goes on where it was cut off.

No pickle: `.npz` files, whose arrays have checksums. Nothing here ends a job that could train on,
but a checkpoint of another job, which is refused.
"""

from fm_container.checkpoints.file import Checkpoint
from fm_container.checkpoints.folder import Folder
from fm_container.checkpoints.identity import Identity, digest
from fm_container.checkpoints.keeper import CheckpointKeeper, Interval

__all__ = ["Checkpoint", "CheckpointKeeper", "Folder", "Identity", "Interval", "digest"]
