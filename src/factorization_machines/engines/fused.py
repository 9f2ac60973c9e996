"""Training by compiled kernels, on the memory of the model's parameters, with several threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from factorization_machines.batching import Bounds
from factorization_machines.config import TrainingConfig
from factorization_machines.engines.base import Model as TrainedModel
from factorization_machines.engines.base import OptimizerState
from factorization_machines.errors import AlgorithmError
from factorization_machines.kernels import step
from factorization_machines.kernels.columns import COLUMNS
from factorization_machines.kernels.losses import BLOCK, BLOCK_COLUMNS
from factorization_machines.kernels.parts import DONE
from factorization_machines.kernels.types import (
    Int64,
    Model,
    Rows,
    SharedState,
    StepConfig,
    ThreadState,
)
from factorization_machines.metrics import Metrics
from factorization_machines.optimizers import OPTIMIZERS
from factorization_machines.parameters import Float32, aligned


class NumbaEngine:
    """Trains a model on a CPU; the result does not depend on the number of threads.

    See `base.Engine`.
    """

    def __init__(self, model: TrainedModel, config: TrainingConfig, threads: int = 1):
        self.model = model
        self._parameters = parameters = model.arrays()
        d, k = parameters.v.shape
        self._bounds = step.pieces(k)
        pieces = len(self._bounds) - 1
        self._threads = min(threads, pieces) if pieces > 1 else threads
        self._pool = ThreadPoolExecutor(self._threads - 1) if self._threads > 1 else None
        self._config = _step_config(config)
        self._names = OPTIMIZERS[config.optimizer].state_names
        n = len(self._names)
        self._weights = Model(parameters.w0, parameters.w, aligned((n,)), aligned((d, n)))
        self._steps = 0
        self._max_rows = config.mini_batch_size
        self._capacity = (0, 0)  # rows and non-zeros of a batch that the memory is enough for

        self._shared = SharedState(parts=aligned((2, pieces, 0)), barrier=aligned((8,), np.int64))
        # Threads that train pieces of the factors copy them to memory of their own. In shared
        # memory, prefetching the neighbouring pieces would evict cache lines of other cores.
        self._columns = [slice(0, k)]
        self._states = [_thread_state(parameters.v, self._bounds, 0, n)]
        if pieces > 1 and self._threads > 1:
            ends = [pieces * thread // self._threads for thread in range(self._threads + 1)]
            shares = [(first, self._bounds[first : last + 1]) for first, last in pairwise(ends)]
            self._columns = [slice(bounds[0], bounds[-1]) for _, bounds in shares]
            self._states = [
                _thread_state(aligned((d, bounds[-1] - bounds[0])), bounds, first, n)
                for first, bounds in shares
            ]
            self._copy_factors()
        for _ in range(len(self._states), self._threads):
            other = _thread_state(self._states[0].v, self._bounds, 0, 0)
            self._states.append(other._replace(state=self._states[0].state))

    def set_rows(self, x: csr_array, y: Float32, weights: Float32 | None = None) -> None:
        """Replace the rows, see `base.Engine`."""
        self._rows = _rows(x, y, self._weights.w.size, weights)
        size = min(self._max_rows, x.shape[0])
        indptr = self._rows.indptr.view(np.int64)
        nnz = int((indptr[size:] - indptr[:-size]).max()) if size else 0  # of the largest batch
        max_size, max_nnz = self._capacity
        if size > max_size or nnz > max_nnz:
            # The largest batch differs a little between chunks: allocate an eighth more.
            grown = nnz + nnz // 8 if max_nnz else nnz
            self._capacity = (max(size, max_size), max(grown, max_nnz))
            self._allocate(*self._capacity)

    def _allocate(self, size: int, nnz: int) -> None:
        """Allocate scratch memory for batches of up to `size` rows and `nnz` non-zeros."""
        pieces = self._shared.parts.shape[1]
        self._shared = self._shared._replace(parts=aligned((2, pieces, size + 1)))
        for thread, state in enumerate(self._states):
            d, q = state.v.shape
            self._states[thread] = state._replace(**_batch_arrays(d, q, size, nnz))
            if thread >= len(self._columns):
                first = self._states[0]
                self._states[thread] = self._states[thread]._replace(
                    s=first.s, z=first.z, dz=first.dz, blocks=first.blocks
                )

    def run(self, batches: Bounds, metrics: Metrics) -> int:
        """Train on mini-batches, see `base.Engine`."""
        self._shared.barrier[:] = 0
        for state in self._states:
            # The sums continue, so their bits do not depend on the number of calls.
            state.sums[:], state.progress[:] = metrics.sums, 0

        def work(thread: int) -> None:
            state = self._states[thread]
            step.train(
                self._rows,
                batches,
                self._config,
                self._weights,
                self._shared,
                state,
                self._steps,
                thread,
                self._threads,
            )
            if len(self._columns) > 1:
                self._parameters.v[:, self._columns[thread]] = state.v

        self._run_threads(work)
        done = int(self._states[0].progress[DONE])
        self._steps += done
        sizes = batches[:done, 1] - batches[:done, 0]
        metrics.rows += int(np.maximum(sizes, self._config.batch_size).sum())
        metrics.sums[:] = self._states[0].sums
        return done

    def score(self, x: csr_array) -> Float32:
        """Return the scores of rows, (n,) float32."""
        n = x.shape[0]
        z = np.empty(n, np.float32)
        v = self._parameters.v
        rows = _rows(x, z, v.shape[0])
        self._run_threads(
            lambda thread: step.score(
                rows,
                self._weights,
                v,
                self._bounds,
                np.empty((1, v.shape[1]), np.float32),
                z,
                n * thread // self._threads,
                n * (thread + 1) // self._threads,
            )
        )
        return z

    def state_dict(self) -> OptimizerState:
        """Return a copy of the optimizer's state, see `base.Engine`."""
        arrays = {}
        for part, name in enumerate(self._names):
            arrays[f"bias.{name}"] = self._weights.state0[part : part + 1].copy()
            arrays[f"linear.{name}"] = self._weights.state[:, part].copy()
            factors = [share[:, part] for share in self._factor_states()]
            arrays[f"factors.{name}"] = np.hstack(factors)
        return OptimizerState(self._steps, arrays)

    def load_state_dict(self, state: OptimizerState) -> None:
        """Continue with this optimizer state, see `base.Engine`."""
        self._steps = state.steps
        for part, name in enumerate(self._names):
            self._weights.state0[part] = state.arrays[f"bias.{name}"][0]
            self._weights.state[:, part] = state.arrays[f"linear.{name}"]
            factors = state.arrays[f"factors.{name}"]
            for share, columns in zip(self._factor_states(), self._columns, strict=True):
                share[:, part] = factors[:, columns]
        if len(self._columns) > 1:
            self._copy_factors()

    def _copy_factors(self) -> None:
        """Copy the factors of the model to the threads that train pieces of them."""
        for state, columns in zip(self._states, self._columns, strict=True):
            state.v[:] = self._parameters.v[:, columns]

    def _factor_states(self) -> list[Float32]:
        """Return views of the factors' optimizer state, (d, names, q) for each memory."""
        states = self._states[: len(self._columns)]
        return [state.state.reshape(state.v.shape[0], -1, state.v.shape[1]) for state in states]

    def _run_threads(self, work: Callable[[int], None]) -> None:
        """Call work(0), work(1), ... concurrently, work(0) in the calling thread.

        A calling thread that only waits occupies a core when the others start, and two of them may
        then share another core for milliseconds.
        """
        others = range(1, self._threads)
        futures = [self._pool.submit(work, thread) for thread in others] if self._pool else []
        work(0)
        for future in futures:
            future.result()


def _step_config(config: TrainingConfig) -> StepConfig:
    terms = (config.bias, config.linear, config.factors)
    return StepConfig(
        classifier=config.classifier,
        use_bias=config.use_bias,
        use_linear=config.use_linear,
        optimizer=OPTIMIZERS[config.optimizer].kernel,
        batch_size=config.mini_batch_size if config.fill_batches else 0,
        lr=np.array([term.lr for term in terms], np.float32),
        wd=np.array([term.wd for term in terms], np.float32),
        clip=np.float32(config.clip_gradient or 0),
        eps=np.float32(config.eps),
        scale=np.float32(config.rescale_grad or 1 / config.mini_batch_size),
    )


def _thread_state(v: Float32, bounds: Int64, piece: int, n: int) -> ThreadState:
    """Return the memory of a thread for n optimizer states, without memory for batches."""
    d, q = v.shape
    slot = aligned((d,), np.int32)
    slot[:] = -1
    return ThreadState(
        bounds=bounds - bounds[0],
        piece=piece,
        v=v,
        state=aligned((d, n * q)),
        sums=aligned((COLUMNS,), np.float64),
        progress=aligned((2,), np.int64),
        slot=slot,
        **_batch_arrays(d, q, 0, 0),
    )


def _batch_arrays(d: int, q: int, size: int, nnz: int) -> dict[str, Any]:
    """Return the arrays of a ThreadState that depend on the size of a batch."""
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


def _rows(x: csr_array, y: Float32, feature_dim: int, weights: Float32 | None = None) -> Rows:
    """Return rows as the kernels take them, after the checks that the kernels do not make.

    Raises: AlgorithmError if an index would be out of range.
    """
    rows = Rows(
        np.ascontiguousarray(x.indptr, np.int64),
        np.ascontiguousarray(x.indices, np.int32),
        np.ascontiguousarray(x.data, np.float32),
        np.ascontiguousarray(y, np.float32),
        np.ascontiguousarray(() if weights is None else weights, np.float32),
    )
    keys = rows.keys
    valid = (
        rows.indptr[0] == 0
        and bool((rows.indptr[1:] >= rows.indptr[:-1]).all())
        and rows.indptr[-1] <= keys.size == rows.values.size
        and rows.y.size == rows.indptr.size - 1
        and rows.weights.size in (0, rows.y.size)
        and (keys.size == 0 or (keys.min() >= 0 and keys.max() < feature_dim))
    )
    if not valid:
        raise AlgorithmError("rows are not a CSR array of the parameters' feature_dim")
    return rows._replace(indptr=rows.indptr.view(np.uint64), keys=keys.view(np.uint32))
