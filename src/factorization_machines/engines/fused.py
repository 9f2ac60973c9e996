"""Training steps by the compiled kernel, on the memory of the parameters, with several threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from factorization_machines.batching import Batches
from factorization_machines.config import Settings
from factorization_machines.errors import AlgorithmError
from factorization_machines.kernels import step
from factorization_machines.kernels.columns import COLUMNS
from factorization_machines.kernels.losses import BLOCK, BLOCK_COLUMNS
from factorization_machines.kernels.optimizers import NUMBERS
from factorization_machines.kernels.parts import DONE
from factorization_machines.kernels.types import Int64, Model, Own, Rows, Shared, Task
from factorization_machines.metrics import Metrics
from factorization_machines.parameters import Float32, Parameters, aligned
from factorization_machines.training_state import MOMENTS, Moments


class NumbaEngine:
    """Runs mini-batches with `threads` threads; the result is the same with any number of them."""

    def __init__(
        self,
        parameters: Parameters,
        settings: Settings,
        x: csr_array,
        y: Float32,
        threads: int = 1,
    ):
        d, k = parameters.v.shape
        self._bounds = step.pieces(k)
        pieces = len(self._bounds) - 1
        self._threads = min(threads, pieces) if pieces > 1 else threads
        self._pool = ThreadPoolExecutor(self._threads - 1) if self._threads > 1 else None
        self._parameters = parameters
        self._task = _task(settings)
        self._names = MOMENTS[settings.optimizer]
        n = len(self._names)
        self._model = Model(parameters.w0, parameters.w, aligned((2,)), aligned((d, n)))
        self._steps = 0
        self._most = settings.mini_batch_size
        self._size = self._nnz = 0  # of the largest batch that there is room for

        self._shared = Shared(parts=aligned((2, pieces, 0)), barrier=aligned((8,), np.int64))
        # By factors, a thread has its pieces in memory of its own: beside the others' they would be
        # fetched with those, and lost when those are written.
        self._columns = [slice(0, k)]
        self._own = [_own(parameters.v, self._bounds, 0, n)]
        if pieces > 1 and self._threads > 1:
            ends = [pieces * thread // self._threads for thread in range(self._threads + 1)]
            shares = [(first, self._bounds[first : last + 1]) for first, last in pairwise(ends)]
            self._columns = [slice(bounds[0], bounds[-1]) for _, bounds in shares]
            self._own = [
                _own(aligned((d, bounds[-1] - bounds[0])), bounds, first, n)
                for first, bounds in shares
            ]
            self._spread()
        for _ in range(len(self._own), self._threads):
            more = _own(self._own[0].v, self._bounds, 0, 0)
            self._own.append(more._replace(state=self._own[0].state))
        self.use(x, y)

    def use(self, x: csr_array, y: Float32) -> None:
        """Train on these rows from now on, see `Engine`."""
        self._rows = _rows(x, y, self._model.w.size)
        size = min(self._most, x.shape[0])
        indptr = self._rows.indptr.view(np.int64)
        nnz = int((indptr[size:] - indptr[:-size]).max()) if size else 0  # of a batch, at the most
        if size > self._size or nnz > self._nnz:
            # Blocks differ a little in their largest batch: a step more makes room for most.
            more = nnz + nnz // 8 if self._nnz else nnz
            self._size, self._nnz = max(size, self._size), max(more, self._nnz)
            self._make_room()

    def _make_room(self) -> None:
        """Make room for batches of the largest size and number of non-zeros so far."""
        size, nnz = self._size, self._nnz
        pieces = self._shared.parts.shape[1]
        self._shared = self._shared._replace(parts=aligned((2, pieces, size + 1)))
        for thread, own in enumerate(self._own):
            d, q = own.v.shape
            self._own[thread] = own._replace(**_room(d, q, size, nnz))
            if thread >= len(self._columns):
                one = self._own[0]
                self._own[thread] = self._own[thread]._replace(
                    s=one.s, z=one.z, dz=one.dz, blocks=one.blocks
                )

    def run(self, batches: Batches, metrics: Metrics) -> int:
        """Train on mini-batches, see `Engine`."""
        self._shared.barrier[:] = 0
        for own in self._own:
            # From what there is: in how many calls the batches are run changes no sum.
            own.sums[:], own.progress[:] = metrics.sums, 0

        def work(thread: int) -> None:
            own = self._own[thread]
            step.train(
                self._rows,
                batches,
                self._task,
                self._model,
                self._shared,
                own,
                self._steps,
                thread,
                self._threads,
            )
            if len(self._columns) > 1:
                self._parameters.v[:, self._columns[thread]] = own.v

        self._together(work)
        done = int(self._own[0].progress[DONE])
        self._steps += done
        metrics.rows += done * self._task.batch_size
        metrics.sums[:] = self._own[0].sums
        return done

    def score(self, x: csr_array) -> Float32:
        """Return the scores of rows, (n,) float32."""
        n = x.shape[0]
        z = np.empty(n, np.float32)
        v = self._parameters.v
        rows = _rows(x, z, v.shape[0])
        self._together(
            lambda thread: step.score(
                rows,
                self._model,
                v,
                self._bounds,
                np.empty((1, v.shape[1]), np.float32),
                z,
                n * thread // self._threads,
                n * (thread + 1) // self._threads,
            )
        )
        return z

    def moments(self) -> Moments:
        """Return a copy of the optimiser's state, see `Engine`."""
        arrays = {}
        for part, name in enumerate(self._names):
            arrays[f"bias.{name}"] = self._model.state0[part : part + 1].copy()
            arrays[f"linear.{name}"] = self._model.state[:, part].copy()
            arrays[f"factors.{name}"] = np.hstack([share[:, part] for share in self._shares()])
        return Moments(self._steps, arrays)

    def restore(self, moments: Moments) -> None:
        """Go on from the parameters as they are now, see `Engine`."""
        self._steps = moments.steps
        for part, name in enumerate(self._names):
            self._model.state0[part] = moments.arrays[f"bias.{name}"][0]
            self._model.state[:, part] = moments.arrays[f"linear.{name}"]
            factors = moments.arrays[f"factors.{name}"]
            for share, columns in zip(self._shares(), self._columns, strict=True):
                share[:, part] = factors[:, columns]
        if len(self._columns) > 1:
            self._spread()

    def _spread(self) -> None:
        """Give each thread its factors as they are in the parameters."""
        for own, columns in zip(self._own, self._columns, strict=True):
            own.v[:] = self._parameters.v[:, columns]

    def _shares(self) -> list[Float32]:
        """Return the factors' state in each thread's memory, as (d, moments, q)."""
        owns = self._own[: len(self._columns)]
        return [own.state.reshape(own.v.shape[0], -1, own.v.shape[1]) for own in owns]

    def _together(self, work: Callable[[int], None]) -> None:
        """Call work(0), work(1) … in as many threads at once, of which this is one.

        A thread that only waited would be on a core when the others are woken: two of them then
        may share the other core for milliseconds.
        """
        others = range(1, self._threads)
        futures = [self._pool.submit(work, thread) for thread in others] if self._pool else []
        work(0)
        for future in futures:
            future.result()


def _task(settings: Settings) -> Task:
    terms = (settings.bias, settings.linear, settings.factors)
    return Task(
        classifier=settings.classifier,
        use_bias=settings.use_bias,
        use_linear=settings.use_linear,
        optimizer=NUMBERS[settings.optimizer],
        batch_size=settings.mini_batch_size,
        lr=np.array([term.lr for term in terms], np.float32),
        wd=np.array([term.wd for term in terms], np.float32),
        clip=np.float32(settings.clip_gradient or 0),
        eps=np.float32(settings.eps),
        scale=np.float32(settings.rescale_grad or 1 / settings.mini_batch_size),
    )


def _own(v: Float32, bounds: Int64, piece: int, n: int) -> Own:
    """Return what a thread has, with no room for a batch yet."""
    d, q = v.shape
    slot = aligned((d,), np.int32)
    slot[:] = -1
    return Own(
        bounds=bounds - bounds[0],
        piece=piece,
        v=v,
        state=aligned((d, n * q)),
        sums=aligned((COLUMNS,), np.float64),
        progress=aligned((2,), np.int64),
        slot=slot,
        **_room(d, q, 0, 0),
    )


def _room(d: int, q: int, size: int, nnz: int) -> dict[str, Any]:
    """Return the arrays that a batch of `size` rows and `nnz` non-zeros is worked on in."""
    features = min(d, nnz)
    return {
        "s": aligned((size, q)),
        "z": aligned((size,)),
        "dz": aligned((size,)),
        "blocks": aligned((-(-size // BLOCK), BLOCK_COLUMNS), np.float64),
        "touched": aligned((features + 1,), np.uint32),
        "nonzeros": aligned((nnz, 3), np.uint32),
        "g": aligned((features, q)),
        "gw": aligned((features,)),
        "c": aligned((features,)),
    }


def _rows(x: csr_array, y: Float32, feature_dim: int) -> Rows:
    """Return rows as the kernel takes them, checked once: it checks nothing itself.

    Raises: AlgorithmError if they would lead out of the arrays.
    """
    rows = Rows(
        np.ascontiguousarray(x.indptr, np.int64),
        np.ascontiguousarray(x.indices, np.int32),
        np.ascontiguousarray(x.data, np.float32),
        np.ascontiguousarray(y, np.float32),
    )
    keys = rows.keys
    fits = (
        rows.indptr[0] == 0
        and bool((rows.indptr[1:] >= rows.indptr[:-1]).all())
        and rows.indptr[-1] <= keys.size == rows.values.size
        and rows.y.size == rows.indptr.size - 1
        and (keys.size == 0 or (keys.min() >= 0 and keys.max() < feature_dim))
    )
    if not fits:
        raise AlgorithmError("rows are not a CSR array of the parameters' feature_dim")
    return rows._replace(indptr=rows.indptr.view(np.uint64), keys=keys.view(np.uint32))
