"""What a job leaves in /opt/ml/checkpoints, so that the next run goes on where it was cut off.

No pickle: `.npz` files, whose arrays have checksums. Nothing here ends a job that could train on,
but a checkpoint of another job, which is refused.
"""

from sagemaker_container.training.checkpoints.file import Checkpoint
from sagemaker_container.training.checkpoints.fingerprint import Identity, digest
from sagemaker_container.training.checkpoints.manager import CheckpointKeeper, Interval
from sagemaker_container.training.checkpoints.store import Folder

__all__ = ["Checkpoint", "CheckpointKeeper", "Folder", "Identity", "Interval", "digest"]
