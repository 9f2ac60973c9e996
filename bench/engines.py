"""Epochs of the engines and of the C loop, as calls to be timed; and a check that they agree."""

from collections.abc import Callable

import numpy as np
import torch

from bench.native import CEngine
from factorization_machines.batching import batch_bounds
from factorization_machines.config import TrainingConfig
from factorization_machines.engines.autograd import TorchEngine
from factorization_machines.engines.base import Engine
from factorization_machines.engines.fused import NumbaEngine
from factorization_machines.initialization import initial_parameters
from factorization_machines.metrics import metrics_for
from factorization_machines.module import FactorizationMachine
from factorization_machines.parameters import Parameters
from factorization_machines.recordio.decoder import Rows

Call = Callable[[], object]


def numba_epoch(rows: Rows, config: TrainingConfig, threads: int) -> Call:
    return _epoch(numba_engine(rows, config, threads), rows, config)


def numba_engine(rows: Rows, config: TrainingConfig, threads: int) -> NumbaEngine:
    engine = NumbaEngine(FactorizationMachine(initial_parameters(config)), config, threads)
    engine.set_rows(rows.x, rows.y)
    return engine


def _epoch(engine: Engine, rows: Rows, config: TrainingConfig) -> Call:
    bounds = batch_bounds(len(rows), config.mini_batch_size)
    return lambda: engine.run(bounds, metrics_for(config.classifier))


def c_epoch(rows: Rows, config: TrainingConfig) -> Call:
    """Return an epoch of the C loop. Raises: Missing without a compiler."""
    engine = CEngine(initial_parameters(config), config, rows)
    plan = batch_bounds(len(rows), config.mini_batch_size)
    return lambda: engine.run(plan)


def torch_epoch(rows: Rows, config: TrainingConfig) -> Call:
    torch.set_num_threads(1)
    engine = TorchEngine(FactorizationMachine(initial_parameters(config)), config)
    engine.set_rows(rows.x, rows.y)
    return _epoch(engine, rows, config)


def trained(rows: Rows, config: TrainingConfig, threads: int) -> Parameters:
    """Return the parameters after one epoch by numba."""
    engine = numba_engine(rows, config, threads)
    _epoch(engine, rows, config)()
    return engine.model.arrays()


def difference_to_c(rows: Rows, config: TrainingConfig) -> str:
    """Return how far the parameters of C and numba differ after an epoch. Raises: Missing."""
    ours, theirs = trained(rows, config, 1), initial_parameters(config)
    start = theirs.copy()
    CEngine(theirs, config, rows).run(batch_bounds(len(rows), config.mini_batch_size))
    pairs = [(ours.w0, theirs.w0), (ours.w, theirs.w), (ours.v, theirs.v)]
    apart = max(float(np.abs(a - b).max()) for a, b in pairs)
    moved = float(np.abs(ours.v - start.v).max())
    return (
        f"C and numba after one epoch: no parameter further apart than {apart:.1g}; "
        f"the factors moved by up to {moved:.1g}."
    )
