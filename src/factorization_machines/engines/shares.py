"""The division of mini-batches among the hosts of a job."""

import numpy as np

from factorization_machines.batching import Bounds


class Shares:
    """Which rows each host trains on; bounds of batches count the rows of all hosts together."""

    def __init__(self, counts: list[int], sharded: bool):
        """Divide rows among hosts.

        Args:
            counts: number of rows on each host.
            sharded: whether the hosts hold different rows; otherwise all hold the same rows.
        """
        self.counts = counts
        self.sharded = sharded
        self.rows = sum(counts) if sharded else counts[0]

    def of(self, rank: int, batches: Bounds) -> Bounds:
        """Return a host's part of each batch, as bounds of the host's own rows.

        Replicated rows are divided equally. Of sharded rows, a host contributes to each batch in
        proportion to its rows, so that every row is used once in an epoch.
        """
        if self.sharded:
            ends: Bounds = self.counts[rank] * batches // max(1, self.rows)
            return ends
        starts, sizes = batches[:, :1], batches[:, 1:] - batches[:, :1]
        hosts = len(self.counts)
        parts: Bounds = starts + sizes * np.array([[rank, rank + 1]]) // hosts
        return parts
