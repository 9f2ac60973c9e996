"""Mini-batches shared by hosts: each computes gradients of its rows, and all apply their sum.

Only the gradients of features that occur are sent. Every host sums in the same order and gets the
same bits; they differ from those of a single host by the rounding of sums in another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from factorization_machines.batching import Bounds, Chunk, batch_bounds
from factorization_machines.config import TrainingConfig
from factorization_machines.engines.fused import NumbaEngine
from factorization_machines.engines.shares import Shares
from factorization_machines.errors import AlgorithmError
from factorization_machines.kernels import distributed
from factorization_machines.kernels.columns import COLUMNS
from factorization_machines.kernels.distributed import HEAD
from factorization_machines.metrics import Metrics
from factorization_machines.parameters import aligned

if TYPE_CHECKING:  # torch takes seconds to import
    from factorization_machines.module import FactorizationMachine

_LINE = 16  # words: each message begins at a cache line


class Peers(Protocol):
    """The process group of the job's hosts."""

    rank: int
    size: int

    def all_gather_into(self, parts: Sequence[NDArray[Any]]) -> None:
        """Send part `rank`, and receive the others' parts into their memory."""

    def all_gather(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the values of all hosts, (size, …)."""


class HostsEngine(NumbaEngine):
    """The fused engine of one of several hosts, with one thread; see `base.Engine`."""

    def __init__(
        self,
        model: FactorizationMachine,
        config: TrainingConfig,
        rows: Chunk,
        shares: Shares,
        peers: Peers,
    ):
        super().__init__(model, config)
        self.set_rows(rows.x, rows.y)
        self._peers, self._division = peers, shares
        self._plan = batch_bounds(shares.rows, config.mini_batch_size)
        state = self._states[0]
        local_bounds = np.ascontiguousarray(shares.of(peers.rank, self._plan))
        counts = np.zeros(len(self._plan), np.int64)
        distributed.count(self._rows, local_bounds, state, counts)
        # Epochs differ only in the order of the batches, so the sizes of messages are constant.
        self._counts = np.ascontiguousarray(peers.all_gather(counts).T)  # (m, H)
        k = config.num_factors
        sizes = HEAD + self._counts * (3 + k)
        padded = -(-sizes // _LINE) * _LINE
        self._ends = np.cumsum(padded, axis=1)
        self._starts = np.ascontiguousarray(self._ends - padded)
        max_features = min(config.feature_dim, int(self._counts.sum(axis=1).max()))
        self._states[0] = state._replace(
            touched=aligned((max_features + 1,), np.uint32),
            g=aligned((max_features, k)),
            gw=aligned((max_features,)),
            c=aligned((max_features,)),
        )
        words = int(self._ends.max())
        self._floats = aligned((words,))
        self._words = self._floats.view(np.uint32)
        self._doubles = self._floats.view(np.float64)
        self._sums = np.zeros(COLUMNS)

    def run(self, batches: Bounds, metrics: Metrics) -> int:
        """Train on mini-batches, see `base.Engine`; all hosts have to call it."""
        numbers = np.searchsorted(self._plan[:, 0], batches[:, 0]).tolist()
        local_bounds = self._division.of(self._peers.rank, batches)
        totals = np.sum(
            [np.diff(self._division.of(rank, batches))[:, 0] for rank in range(self._peers.size)],
            axis=0,
        )
        done = 0
        for number, (start, stop), total in zip(
            numbers, local_bounds.tolist(), totals.tolist(), strict=True
        ):
            self._step(number, start, stop, total)
            done += 1
            metrics.rows += max(total, self._config.batch_size)
            metrics.sums += self._sums
            if not metrics.finite():
                break
        return done

    def _step(self, number: int, start: int, stop: int, total: int) -> None:
        """Train on batch `number`, which has `total` rows, of which [start, stop) are local."""
        starts, ends = self._starts[number], self._ends[number]
        begin, end = int(starts[self._peers.rank]), int(ends[self._peers.rank])
        features = distributed.gradients(
            self._rows,
            start,
            stop,
            self._config,
            self._weights,
            self._shared.parts,
            self._states[0],
            self._words[begin:end],
            self._floats[begin:end],
            self._doubles[begin // 2 : end // 2],
        )
        if features != self._counts[number, self._peers.rank]:
            raise AlgorithmError(
                f"batch {number} has {features} features; it had others in an earlier epoch"
            )
        self._peers.all_gather_into([self._floats[a:b] for a, b in zip(starts, ends, strict=True)])
        self._steps += 1
        distributed.apply(
            self._words,
            self._floats,
            self._doubles,
            starts,
            self._counts[number],
            self._config,
            self._weights,
            self._states[0],
            self._steps,
            self._config.batch_size - total,
            self._sums,
        )
