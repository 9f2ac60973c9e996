"""Epochs of our engines and of the C loop, as calls to be timed; and whether they agree."""

from collections.abc import Callable

import numpy as np

from bench.native import CEngine
from factorization_machines.batching import batches
from factorization_machines.config import Settings
from factorization_machines.engines.fused import NumbaEngine
from factorization_machines.initialization import initial
from factorization_machines.metrics import metrics_for
from factorization_machines.parameters import Parameters
from factorization_machines.recordio.decoder import Rows

Call = Callable[[], object]


def numba_epoch(rows: Rows, settings: Settings, threads: int) -> Call:
    return _numba(initial(settings), rows, settings, threads)


def _numba(parameters: Parameters, rows: Rows, settings: Settings, threads: int) -> Call:
    engine = NumbaEngine(parameters, settings, rows.x, rows.y, threads)
    plan = batches(len(rows), settings.mini_batch_size)
    return lambda: engine.run(plan, metrics_for(settings.classifier))


def c_epoch(rows: Rows, settings: Settings) -> Call:
    """Return an epoch of the C loop. Raises: Missing without a compiler."""
    engine = CEngine(initial(settings), settings, rows)
    plan = batches(len(rows), settings.mini_batch_size)
    return lambda: engine.run(plan)


def torch_epoch(rows: Rows, settings: Settings) -> Call:
    import torch

    from factorization_machines.engines.autograd import TorchEngine

    torch.set_num_threads(1)
    engine = TorchEngine(initial(settings), settings, rows.x, rows.y)
    plan = batches(len(rows), settings.mini_batch_size)
    return lambda: engine.run(plan, metrics_for(settings.classifier))


def trained(rows: Rows, settings: Settings, threads: int) -> Parameters:
    """Return the parameters after one epoch by numba."""
    parameters = initial(settings)
    _numba(parameters, rows, settings, threads)()
    return parameters


def difference_to_c(rows: Rows, settings: Settings) -> str:
    """Say how far the parameters of C and numba are apart after an epoch. Raises: Missing."""
    ours, theirs = trained(rows, settings, 1), initial(settings)
    start = theirs.copy()
    CEngine(theirs, settings, rows).run(batches(len(rows), settings.mini_batch_size))
    pairs = [(ours.w0, theirs.w0), (ours.w, theirs.w), (ours.v, theirs.v)]
    apart = max(float(np.abs(a - b).max()) for a, b in pairs)
    moved = float(np.abs(ours.v - start.v).max())
    return (
        f"C and numba after one epoch: no parameter further apart than {apart:.1g}; "
        f"the factors moved by up to {moved:.1g}."
    )
