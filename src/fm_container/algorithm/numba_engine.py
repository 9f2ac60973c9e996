"""Training steps by the compiled kernel, on the memory of the parameters, with several threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.sparse import csr_array

from fm_container.algorithm import kernel
from fm_container.algorithm.fit import Batches
from fm_container.algorithm.kernel_types import Model, Own, Rows, Shared, Task
from fm_container.algorithm.metrics import COLUMNS, Metrics
from fm_container.algorithm.parameters import Float32, Parameters
from fm_container.algorithm.settings import Settings
from fm_container.algorithm.updates import NUMBERS, STATE_PARTS
from fm_container.errors import AlgorithmError


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
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._rows = _rows(x, y, d)
        self._task = _task(settings)
        state = np.zeros((d, STATE_PARTS[self._task.optimizer] * (k + 1)), np.float32)
        bias_state = np.zeros(2, np.float32)
        self._model = Model(parameters.w0, parameters.w, parameters.v, bias_state, state)
        self._steps = 0

        size = min(settings.mini_batch_size, x.shape[0])
        self._shared = Shared(
            s=np.empty((size, k), np.float32),
            z=np.empty(size, np.float32),
            dz=np.empty(size, np.float32),
            blocks=np.empty((-(-size // kernel.BLOCK), kernel.BLOCK_COLUMNS)),
            slot=np.full(d, -1, np.int32),
            sums=np.zeros(COLUMNS),
            progress=np.zeros(2, np.int64),
            barrier=np.zeros(8, np.int64),
        )
        indptr = self._rows.indptr
        features = min(d, int((indptr[size:] - indptr[:-size]).max()))
        self._own = [_own(features, k) for _ in range(threads)]

    def run(self, batches: Batches, metrics: Metrics) -> int:
        """Train on mini-batches, see `Engine`."""
        shared = self._shared
        for array in (shared.sums, shared.progress, shared.barrier):
            array[:] = 0
        self._together(
            lambda thread: kernel.train(
                self._rows,
                batches,
                self._task,
                self._model,
                shared,
                self._own[thread],
                self._steps,
                thread,
                self._threads,
            )
        )
        done = int(shared.progress[kernel.DONE])
        self._steps += done
        metrics.rows += int((batches[:done, 1] - batches[:done, 0]).sum())
        metrics.sums += shared.sums
        return done

    def score(self, x: csr_array) -> Float32:
        """Return the scores of rows, (n,) float32."""
        n = x.shape[0]
        z = np.empty(n, np.float32)
        rows = _rows(x, z, self._model.v.shape[0])
        self._together(
            lambda thread: kernel.score(
                rows,
                self._model,
                np.empty(self._model.v.shape[1], np.float32),
                z,
                n * thread // self._threads,
                n * (thread + 1) // self._threads,
            )
        )
        return z

    def _together(self, work: Callable[[int], None]) -> None:
        """Call work(0), work(1) … in as many threads at once."""
        if self._pool is None:
            work(0)
            return
        for future in [self._pool.submit(work, thread) for thread in range(self._threads)]:
            future.result()


def _task(settings: Settings) -> Task:
    terms = (settings.bias, settings.linear, settings.factors)
    return Task(
        classifier=settings.classifier,
        use_bias=settings.use_bias,
        use_linear=settings.use_linear,
        optimizer=NUMBERS[settings.optimizer],
        lr=np.array([term.lr for term in terms], np.float32),
        wd=np.array([term.wd for term in terms], np.float32),
        clip=np.float32(settings.clip_gradient or 0),
        eps=np.float32(settings.eps),
        rescale=np.float32(settings.rescale_grad or 0),
    )


def _own(features: int, num_factors: int) -> Own:
    return Own(
        touched=np.empty(features, np.int32),
        g=np.empty((features, num_factors), np.float32),
        gw=np.empty(features, np.float32),
        c=np.empty(features, np.float32),
    )


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
    return rows
