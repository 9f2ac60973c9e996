"""What a checkpoint is of: everything that decides the bits of the result."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from factorization_machines.errors import CheckpointError

# These decide how a job runs and how long, and not what a step does: they may differ.
FREE = frozenset(
    (
        *("epochs", "batch_metrics_publish_interval"),
        *("_kvstore", "_num_gpus", "_num_kv_servers", "_log_level", "_tuning_objective_metric"),
        *("_use_full_symbolic", "_num_threads", "_checkpoint_interval", "_host_timeout"),
        *("_engine", "_memory_budget_mb"),  # the engine that was chosen counts, by its kind
    )
)

STREAMED, PIPE = "streamed", "Pipe"


@dataclass(frozen=True)
class Identity:
    """The hyperparameters that decide, by name; the data, by what holds it; engine and hosts."""

    hyperparameters: Mapping[str, Any]
    data: Mapping[str, str]
    """Of each channel that training works on: the digest of its rows where they are in memory;
    STREAMED and a digest of its files' names and sizes; or PIPE, of which nothing is known."""
    engine: str
    hosts: int

    def check(self, ours: "Identity", where: object) -> None:
        """Refuse to go on from a checkpoint of this identity in a job of `ours`.

        Raises: CheckpointError that names everything in which they differ.
        """
        pairs = [
            (name, self.hyperparameters.get(name), ours.hyperparameters.get(name))
            for name in sorted({*self.hyperparameters, *ours.hyperparameters} - FREE)
        ]
        pairs += [("the engine", self.engine, ours.engine)]
        pairs += [("the number of hosts", self.hosts, ours.hosts)]
        problems = [
            f"{name} must be {theirs!r}; got {got!r}"
            for name, theirs, got in pairs
            if theirs != got
        ]
        problems += [
            _difference(name, self.data.get(name, ""), ours.data.get(name, ""))
            for name in sorted({*self.data, *ours.data})
            if self.data.get(name) != ours.data.get(name)
        ]
        if problems:
            raise CheckpointError(
                f"{where} is of another job: {'; '.join(problems)}. "
                "Run it as it was, or empty the folder to begin anew"
            )


def _difference(name: str, theirs: str, ours: str) -> str:
    how = {STREAMED: "streamed from its files", PIPE: "in Pipe mode"}
    was, now = (how.get(data.split(" ")[0], "in memory") for data in (theirs, ours))
    if theirs and ours and was != now:  # what cannot be compared is not taken for the same
        return f"the channel {name!r} must be {was}; it is {now} (see _memory_budget_mb)"
    return f"the data of the channel {name!r} must be the same; it is not"


def digest(*arrays: NDArray[Any]) -> str:
    """Return a SHA-256 over the bytes of arrays, as hexadecimal digits.

    Whole numbers count as int64, so that it does not matter how wide they are held.
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
