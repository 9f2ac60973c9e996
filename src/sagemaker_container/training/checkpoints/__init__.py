"""Checkpoints under /opt/ml/checkpoints, from which an interrupted job resumes.

They are `.npz` files, whose arrays have checksums; there is no pickle. A failed write never ends a
job, but a checkpoint of another job is rejected.
"""

from sagemaker_container.training.checkpoints.file import Checkpoint
from sagemaker_container.training.checkpoints.fingerprint import JobFingerprint, digest
from sagemaker_container.training.checkpoints.manager import CheckpointManager, Interval
from sagemaker_container.training.checkpoints.store import CheckpointStore

__all__ = [
    "Checkpoint",
    "CheckpointManager",
    "CheckpointStore",
    "Interval",
    "JobFingerprint",
    "digest",
]
