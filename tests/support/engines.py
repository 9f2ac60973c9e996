"""Engines as test parameters, with a common interface."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scipy.sparse import csr_array

from factorization_machines.config import TrainingConfig
from factorization_machines.engines.autograd import TorchEngine
from factorization_machines.engines.base import Engine
from factorization_machines.engines.fused import NumbaEngine
from factorization_machines.module import FactorizationMachine
from factorization_machines.parameters import Parameters


@dataclass(frozen=True)
class Trained:
    """An engine, and the arrays that its model uses as memory."""

    engine: Engine
    parameters: Parameters

    def state(self, term: str, name: str) -> Any:
        """Return the optimizer state of a term, in the shape of the parameter."""
        return self.engine.state_dict().arrays[f"{term}.{name}"]


def numba_engine(
    parameters: Parameters, config: TrainingConfig, x: csr_array, y: Any, threads: int = 1
) -> NumbaEngine:
    engine = NumbaEngine(FactorizationMachine(parameters), config, threads)
    engine.set_rows(x, y)
    return engine


def _torch(parameters: Parameters, config: TrainingConfig, x: csr_array, y: Any) -> Trained:
    engine = TorchEngine(FactorizationMachine(parameters), config)
    engine.set_rows(x, y)
    return Trained(engine, parameters)


def _numba(threads: int) -> Callable[[Parameters, TrainingConfig, csr_array, Any], Trained]:
    def make(parameters: Parameters, config: TrainingConfig, x: csr_array, y: Any) -> Trained:
        return Trained(numba_engine(parameters, config, x, y, threads), parameters)

    return make


ENGINES = {"torch": _torch, "numba": _numba(1), "numba, two threads": _numba(2)}
