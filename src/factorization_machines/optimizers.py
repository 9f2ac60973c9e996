"""The optimisers as the built-in applies its own: lazily, to the features in the batch."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

BETA1, BETA2 = 0.9, 0.999
# Differences of float32 numbers, as the built-in has them: 0.10000002 and 0.00099998713.
REST1, REST2 = (float(np.float32(1) - np.float32(beta)) for beta in (BETA1, BETA2))


class LazyOptimizer(Optimizer):
    """Updates a row of a parameter only in the steps that have a gradient for it.

    Decay is added to the gradient, then both are clipped: `g = clip(g + wd * p)`. A dense gradient
    touches all rows. Groups take `lr` and `weight_decay`.
    """

    state_names: tuple[str, ...] = ()

    def __init__(self, groups: Iterable[dict[str, Any]], eps: float, clip_gradient: float | None):
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0})
        self.eps = eps
        self.clip_gradient = clip_gradient
        self.steps = 0

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; `closure` is not used."""
        self.steps += 1
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group["lr"], group["weight_decay"])

    def _update(self, parameter: Tensor, grad: Tensor, lr: float, decay: float) -> None:
        state = self.state[parameter]
        if not state:
            state.update({name: torch.zeros_like(parameter) for name in self.state_names})
        rows: Any = slice(None)
        if grad.is_sparse:
            # The module looks each feature up once, so the rows do not repeat.
            rows, grad = grad._indices()[0], grad._values()
        old = parameter[rows]
        grad = grad.add(old, alpha=decay)
        if self.clip_gradient is not None:
            grad = grad.clamp(-self.clip_gradient, self.clip_gradient)
        # Never in place: where `rows` is a slice, what it gives is the state itself, not a copy.
        change, new = self._change(grad, lr, *(state[name][rows] for name in self.state_names))
        for name, values in zip(self.state_names, new, strict=True):
            state[name][rows] = values
        parameter[rows] = old - change

    def _change(self, grad: Tensor, lr: float, *state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return what is taken off the parameter, and the new state."""
        return lr * grad, ()


class LazySgd(LazyOptimizer):
    """Stochastic gradient descent: `p -= lr * g`."""


class LazyAdam(LazyOptimizer):
    """Adam whose moments do not decay between the steps that touch a row.

    The bias correction counts all steps: `p -= lr * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(s) +
    eps)`. Source: Kingma and Ba, "Adam", ICLR 2015, section 2, last paragraph.
    """

    state_names = ("m", "s")

    def _change(self, grad: Tensor, lr: float, *state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        m = state[0].mul(BETA1).add_(grad, alpha=REST1)
        s = state[1].mul(BETA2).addcmul_(grad, grad, value=REST2)
        size = lr * math.sqrt(1 - BETA2**self.steps) / (1 - BETA1**self.steps)
        return size * m / (s.sqrt() + self.eps), (m, s)


class LazyAdagrad(LazyOptimizer):
    """AdaGrad: `s += g^2`, `p -= lr * g / (sqrt(s) + eps)`.

    Source: Duchi, Hazan and Singer, JMLR 12 (2011), figure 1, diagonal.
    """

    state_names = ("s",)

    def _change(self, grad: Tensor, lr: float, *state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        s = state[0].addcmul(grad, grad)
        return lr * grad / (s.sqrt() + self.eps), (s,)


OPTIMIZERS: dict[str, type[LazyOptimizer]] = {
    "adam": LazyAdam,
    "adagrad": LazyAdagrad,
    "sgd": LazySgd,
}
