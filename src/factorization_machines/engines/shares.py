"""Which rows of a mini-batch are whose, where several hosts train together."""

import numpy as np

from factorization_machines.batching import Batches


class Shares:
    """Which rows are whose. Row numbers of a batch are those of the data of all hosts together."""

    def __init__(self, counts: list[int], sharded: bool):
        """Take how many rows each host holds; `sharded`, or else all hold the same ones."""
        self.counts = counts
        self.sharded = sharded
        self.rows = sum(counts) if sharded else counts[0]

    def of(self, rank: int, batches: Batches) -> Batches:
        """Return a host's part of batches (m, 2), in its own row numbers.

        Of rows that all hold it is an equal share. Of rows that are its own it is as much as it has
        of all the data: after an epoch each row was in a batch, whatever the others hold.
        """
        if self.sharded:
            ends: Batches = self.counts[rank] * batches // max(1, self.rows)
            return ends
        starts, sizes = batches[:, :1], batches[:, 1:] - batches[:, :1]
        hosts = len(self.counts)
        parts: Batches = starts + sizes * np.array([[rank, rank + 1]]) // hosts
        return parts
