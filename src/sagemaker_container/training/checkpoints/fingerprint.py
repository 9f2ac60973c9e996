"""The fingerprint of a job: everything that decides the bits of the result."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from factorization_machines.errors import CheckpointError

# Hyperparameters that do not change what a step does: they may differ when a job is resumed.
FREE = frozenset(
    (
        *("epochs", "batch_metrics_publish_interval"),
        *("_kvstore", "_num_gpus", "_num_kv_servers", "_log_level", "_tuning_objective_metric"),
        *("_use_full_symbolic", "_num_threads", "_checkpoint_interval", "_host_timeout"),
        *("_engine", "_memory_budget_mb"),  # the kind of the chosen engine is compared instead
    )
)

STREAMED, PIPE = "streamed", "Pipe"


@dataclass(frozen=True)
class JobFingerprint:
    """The hyperparameters, an identification of each channel's data, the engine and the hosts."""

    hyperparameters: Mapping[str, Any]
    data: Mapping[str, str]
    """A digest of the rows if they are in memory; STREAMED and a digest of the files' names and
    sizes; or PIPE."""
    engine: str
    hosts: int

    def check(self, job: "JobFingerprint", where: object) -> None:
        """Check that a checkpoint at `where`, which has this fingerprint, belongs to a job.

        Raises: CheckpointError that names all differences.
        """
        pairs = [
            (name, self.hyperparameters.get(name), job.hyperparameters.get(name))
            for name in sorted({*self.hyperparameters, *job.hyperparameters} - FREE)
        ]
        pairs += [("the engine", self.engine, job.engine)]
        pairs += [("the number of hosts", self.hosts, job.hosts)]
        problems = [
            f"{name} must be {theirs!r}; got {got!r}"
            for name, theirs, got in pairs
            if theirs != got
        ]
        problems += [
            _difference(name, self.data.get(name, ""), job.data.get(name, ""))
            for name in sorted({*self.data, *job.data})
            if self.data.get(name) != job.data.get(name)
        ]
        if problems:
            raise CheckpointError(
                f"{where} is of another job: {'; '.join(problems)}. "
                "Run it as it was, or empty the folder to begin anew"
            )


def _difference(name: str, theirs: str, ours: str) -> str:
    how = {STREAMED: "streamed from its files", PIPE: "in Pipe mode"}
    was, now = (how.get(data.split(" ")[0], "in memory") for data in (theirs, ours))
    if theirs and ours and was != now:  # these cannot be compared
        return f"the channel {name!r} must be {was}; it is {now} (see _memory_budget_mb)"
    return f"the data of the channel {name!r} must be the same; it is not"


def digest(*arrays: NDArray[Any]) -> str:
    """Return the SHA-256 of arrays as hexadecimal digits.

    Integers are converted to int64, so that their width does not matter.
    """
    content = hashlib.sha256()
    for array in arrays:
        block = 1 << 22
        for at in range(0, array.shape[0], block):
            part = array[at : at + block]
            if part.dtype.kind == "i":
                part = part.astype(np.int64, copy=False)
            content.update(np.ascontiguousarray(part).data.cast("B") if part.size else b"")
        content.update(repr(array.shape).encode())
    return content.hexdigest()
