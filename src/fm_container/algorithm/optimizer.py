"""Adam as the built-in applies it: lazily, to the rows of the features in the batch."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

BETA1, BETA2 = 0.9, 0.999


class LazyAdam(Optimizer):
    """Adam whose moments and decay touch a row only in the steps that have a gradient for it.

    The bias correction counts all steps. The gradient is clipped, then decay is added (coupled),
    then the moments take it: `g = clip(g) + wd * p`, `p -= lr * sqrt(1 - b2^t) / (1 - b1^t) * m /
    (sqrt(v) + eps)`. A dense gradient touches all rows. Groups take `lr` and `weight_decay`.

    Source: Kingma and Ba, "Adam", ICLR 2015, section 2, last paragraph, for the step size.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], eps: float, clip_gradient: float | None):
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0})
        self.eps = eps
        self.clip_gradient = clip_gradient
        self.steps = 0

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; `closure` is not used."""
        self.steps += 1
        correction = math.sqrt(1 - BETA2**self.steps) / (1 - BETA1**self.steps)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    size = group["lr"] * correction
                    self._update(parameter, parameter.grad, size, group["weight_decay"])

    def _update(self, parameter: Tensor, grad: Tensor, size: float, decay: float) -> None:
        state = self.state[parameter]
        if not state:
            state["m"] = torch.zeros_like(parameter)
            state["v"] = torch.zeros_like(parameter)
        rows: Any = slice(None)
        if grad.is_sparse:
            # The module looks each feature up once, so the rows do not repeat.
            rows, grad = grad._indices()[0], grad._values()
        if self.clip_gradient is not None:
            grad = grad.clamp(-self.clip_gradient, self.clip_gradient)
        old = parameter[rows]
        grad = grad.add(old, alpha=decay)
        # Not in place: where `rows` is a slice, what it gives is the state itself, not a copy.
        m = state["m"][rows].mul(BETA1).add_(grad, alpha=1 - BETA1)
        v = state["v"][rows].mul(BETA2).addcmul_(grad, grad, value=1 - BETA2)
        state["m"][rows] = m
        state["v"][rows] = v
        parameter[rows] = old.addcdiv(m, v.sqrt_().add_(self.eps), value=-size)
