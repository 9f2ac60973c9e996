"""Mini-batches that hosts share: each computes gradients of its rows, all apply all of them.

Only touched rows travel. Every host adds up in the same order, so that all have the same bits; one
host with the whole batch has the same numbers, to the rounding of sums in another order.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from factorization_machines.batching import Batches, batches
from factorization_machines.config import Settings
from factorization_machines.engines.fused import NumbaEngine
from factorization_machines.engines.shares import Shares
from factorization_machines.errors import AlgorithmError
from factorization_machines.kernels import distributed
from factorization_machines.kernels.columns import COLUMNS
from factorization_machines.kernels.distributed import HEAD
from factorization_machines.metrics import Metrics
from factorization_machines.parameters import Float32, Parameters, aligned

_LINE = 16  # words: each message begins on a cache line of its own


class Peers(Protocol):
    """The hosts, as this one sees them."""

    rank: int
    size: int

    def all_gather_into(self, parts: Sequence[NDArray[Any]]) -> None:
        """Send part `rank`, and receive the others' parts into their memory."""

    def all_gather(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the values of all hosts, (size, …)."""


class HostsEngine(NumbaEngine):
    """The numba engine of one of several hosts, with one thread; see `Engine`."""

    def __init__(
        self,
        parameters: Parameters,
        settings: Settings,
        x: csr_array,
        y: Float32,
        shares: Shares,
        peers: Peers,
    ):
        super().__init__(parameters, settings, x, y)
        self._peers, self._division = peers, shares
        self._plan = batches(shares.rows, settings.mini_batch_size)
        own = self._own[0]
        mine = np.ascontiguousarray(shares.of(peers.rank, self._plan))
        counts = np.zeros(len(self._plan), np.int64)
        distributed.count(self._rows, mine, own, counts)
        # Epochs differ in nothing but the order of their batches: who sends how much is known.
        self._counts = np.ascontiguousarray(peers.all_gather(counts).T)  # (m, H)
        k = parameters.num_factors
        sizes = HEAD + self._counts * (3 + k)
        padded = -(-sizes // _LINE) * _LINE
        self._ends = np.cumsum(padded, axis=1)
        self._starts = np.ascontiguousarray(self._ends - padded)
        most = min(parameters.feature_dim, int(self._counts.sum(axis=1).max()))
        self._own[0] = own._replace(
            touched=aligned((most + 1,), np.uint32),
            g=aligned((most, k)),
            gw=aligned((most,)),
            c=aligned((most,)),
        )
        words = int(self._ends.max())
        self._floats = aligned((words,))
        self._words = self._floats.view(np.uint32)
        self._doubles = self._floats.view(np.float64)
        self._sums = np.zeros(COLUMNS)

    def run(self, batches: Batches, metrics: Metrics) -> int:
        """Train on mini-batches, see `Engine`; all hosts do so at once."""
        numbers = np.searchsorted(self._plan[:, 0], batches[:, 0]).tolist()
        mine = self._division.of(self._peers.rank, batches)
        totals = np.sum(
            [np.diff(self._division.of(rank, batches))[:, 0] for rank in range(self._peers.size)],
            axis=0,
        )
        done = 0
        for number, (start, stop), total in zip(
            numbers, mine.tolist(), totals.tolist(), strict=True
        ):
            self._step(number, start, stop, total)
            done += 1
            metrics.rows += self._task.batch_size
            metrics.sums += self._sums
            if not metrics.finite():
                break
        return done

    def _step(self, number: int, start: int, stop: int, total: int) -> None:
        starts, ends = self._starts[number], self._ends[number]
        begin, end = int(starts[self._peers.rank]), int(ends[self._peers.rank])
        found = distributed.gradients(
            self._rows,
            start,
            stop,
            self._task,
            self._model,
            self._shared.parts,
            self._own[0],
            self._words[begin:end],
            self._floats[begin:end],
            self._doubles[begin // 2 : end // 2],
        )
        if found != self._counts[number, self._peers.rank]:
            raise AlgorithmError(f"batch {number} has {found} features; it had others before")
        self._peers.all_gather_into([self._floats[a:b] for a, b in zip(starts, ends, strict=True)])
        self._steps += 1
        distributed.apply(
            self._words,
            self._floats,
            self._doubles,
            starts,
            self._counts[number],
            self._task,
            self._model,
            self._own[0],
            self._steps,
            self._task.batch_size - total,
            self._sums,
        )
