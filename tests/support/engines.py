"""Each engine behind one face, so that one test holds for all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from factorization_machines.config import Settings
from factorization_machines.engines.autograd import TorchEngine
from factorization_machines.engines.fused import NumbaEngine
from factorization_machines.parameters import Parameters
from factorization_machines.trainer import Engine


@dataclass(frozen=True)
class Trained:
    """An engine, the parameters it works on, and a look at its optimiser's state."""

    engine: Engine
    parameters: Parameters
    state: Callable[[str, str], Any]
    """Of bias, linear or factors, the state "m" or "s", in the shape of the parameter."""


def _torch(parameters: Parameters, settings: Settings, x: csr_array, y: Any) -> Trained:
    engine = TorchEngine(parameters, settings, x, y)
    tensors = dict(
        zip(
            ("bias", "linear", "factors"),
            (engine.model.w0, engine.model.w, engine.model.v),
            strict=True,
        )
    )

    def state(name: str, moment: str) -> Any:
        kept = engine._optimizer.state[tensors[name]]
        zeros = np.zeros(tuple(tensors[name].shape), np.float32)  # a term that is switched off
        array = kept[moment].numpy() if kept else zeros
        return array[:, 0] if name == "linear" else array

    return Trained(engine, parameters, state)


def _numba(threads: int) -> Callable[[Parameters, Settings, csr_array, Any], Trained]:
    def make(parameters: Parameters, settings: Settings, x: csr_array, y: Any) -> Trained:
        engine = NumbaEngine(parameters, settings, x, y, threads)

        def state(name: str, moment: str) -> Any:
            parts = {"adam": "ms", "adagrad": "s"}[settings.optimizer]
            part = parts.index(moment)
            if name == "bias":
                return engine._model.state0[part : part + 1]
            if name == "linear":
                return engine._model.state[:, part]
            each = [own.state.reshape(own.v.shape[0], -1, own.v.shape[1]) for own in engine._own]
            return np.hstack([one[:, part] for one in each[: len(engine._columns)]])

        return Trained(engine, parameters, state)

    return make


ENGINES = {"torch": _torch, "numba": _numba(1), "numba, two threads": _numba(2)}
