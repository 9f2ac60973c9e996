"""Checkpoints under /opt/ml/checkpoints, from which an interrupted job resumes.

They are `.npz` files, whose arrays have checksums; there is no pickle. A failed write never ends a
job, but a checkpoint of another job is rejected.
"""
