"""The registry of optimizers; loads neither torch nor Numba.

To add an optimizer, add a row to `OPTIMIZERS` and its kernel to `kernels/optimizers.py`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Tensor = Any  # torch.Tensor
State = tuple[Tensor, ...]

BETA1, BETA2 = 0.9, 0.999
# The built-in algorithm subtracts in float32: 0.10000002 and 0.00099998713.
REST1, REST2 = (float(np.float32(1) - np.float32(beta)) for beta in (BETA1, BETA2))


@dataclass(frozen=True)
class Step:
    """Constants of one step: learning rate, epsilon, and the number of the step from 1."""

    lr: float
    eps: float
    number: int


@dataclass(frozen=True)
class OptimizerRule:
    """An update rule, for both engines."""

    state_names: tuple[str, ...]
    """Arrays of the parameter's shape that it keeps, zero before the first step."""
    kernel: int
    """The number of its branch in `kernels.optimizers`."""
    update: Callable[[Tensor, State, Step], tuple[Tensor, State]]
    """Returns what to subtract from the parameter, and the new state; changes nothing in place."""


def _adam(grad: Tensor, state: State, step: Step) -> tuple[Tensor, State]:
    """Adam (Kingma and Ba, ICLR 2015), with the faster form at the end of section 2."""
    m = state[0].mul(BETA1).add_(grad, alpha=REST1)
    s = state[1].mul(BETA2).addcmul_(grad, grad, value=REST2)
    size = step.lr * math.sqrt(1 - BETA2**step.number) / (1 - BETA1**step.number)
    return size * m / (s.sqrt() + step.eps), (m, s)


def _adagrad(grad: Tensor, state: State, step: Step) -> tuple[Tensor, State]:
    """Diagonal AdaGrad (Duchi, Hazan and Singer, JMLR 12, 2011, figure 1)."""
    s = state[0].addcmul(grad, grad)
    return step.lr * grad / (s.sqrt() + step.eps), (s,)


def _sgd(grad: Tensor, state: State, step: Step) -> tuple[Tensor, State]:
    """Stochastic gradient descent."""
    return step.lr * grad, ()


OPTIMIZERS: Mapping[str, OptimizerRule] = {
    "adam": OptimizerRule(("m", "s"), kernel=0, update=_adam),
    "adagrad": OptimizerRule(("s",), kernel=1, update=_adagrad),
    "sgd": OptimizerRule((), kernel=2, update=_sgd),
}
