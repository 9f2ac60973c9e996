"""Training with plain PyTorch operations: the reference for the kernels, and for other devices."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss
from torch.optim import Optimizer

from factorization_machines.batching import Bounds
from factorization_machines.config import TrainingConfig
from factorization_machines.engines.base import TERMS, OptimizerState
from factorization_machines.metrics import Metrics
from factorization_machines.module import Batch, FactorizationMachine
from factorization_machines.optimizers import OPTIMIZERS, Step
from factorization_machines.parameters import Float32

_SCORING_ROWS = 8192  # enough to hide the overhead of a call


class LazyOptimizer(Optimizer):
    """Updates a row of a parameter only in the steps that have a gradient for it.

    Decay is added to the gradient before clipping: `g = clip(g + wd * p)`. A dense gradient updates
    all rows. State does not decay between the steps that update a row, but the number of the step
    counts all of them.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], config: TrainingConfig):
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0})
        self.rule = OPTIMIZERS[config.optimizer]
        self.steps = 0
        self._eps, self._clip_gradient = config.eps, config.clip_gradient

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; `closure` is not used."""
        self.steps += 1
        for group in self.param_groups:
            step = Step(group["lr"], self._eps, self.steps)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, step, group["weight_decay"])

    def _update(self, parameter: Tensor, grad: Tensor, step: Step, decay: float) -> None:
        state = self.state[parameter]
        names = self.rule.state_names
        if not state:
            state.update({name: torch.zeros_like(parameter) for name in names})
        rows: Any = slice(None)
        if grad.is_sparse:
            # The module looks up each feature once, so the rows do not repeat.
            rows, grad = grad._indices()[0], grad._values()
        old = parameter[rows]
        grad = grad.add(old, alpha=decay)
        if self._clip_gradient is not None:
            grad = grad.clamp(-self._clip_gradient, self._clip_gradient)
        change, new = self.rule.update(grad, tuple(state[name][rows] for name in names), step)
        for name, values in zip(names, new, strict=True):
            state[name][rows] = values
        parameter[rows] = old - change


class TorchEngine:
    """Trains a model on the device that it is on; see `base.Engine`."""

    def __init__(self, model: FactorizationMachine, config: TrainingConfig):
        self.model = model
        self._device = model.v.device
        self._classifier = config.classifier
        self._batch_size = config.mini_batch_size if config.fill_batches else 0
        self._scale = config.rescale_grad or 1 / config.mini_batch_size
        # A term that is switched off gets no gradient and no update: it stays zero.
        model.w.requires_grad_(config.use_linear)
        model.w0.requires_grad_(config.use_bias)
        terms = [(model.v, config.factors), (model.w, config.linear), (model.w0, config.bias)]
        groups = [
            {"params": [parameter], "lr": term.lr, "weight_decay": term.wd}
            for parameter, term in terms
            if parameter.requires_grad
        ]
        self._optimizer = LazyOptimizer(groups, config)

    def set_rows(self, x: csr_array, y: Float32, weights: Float32 | None = None) -> None:
        """Replace the rows, see `base.Engine`."""
        self._x, self._y = x, y
        self._weights = np.ones_like(y) if weights is None else weights

    def run(self, batches: Bounds, metrics: Metrics) -> int:
        """Train on mini-batches, see `base.Engine`."""
        done = 0
        for start, stop in batches.tolist():
            done += 1
            padding = max(0, self._batch_size - (stop - start))
            bias = self.model.w0.item() if padding else 0.0
            metrics.add(self.step(start, stop), self._y[start:stop])
            if padding:
                metrics.add_empty_rows(bias, padding)
            if not metrics.finite():
                break
        return done

    def step(self, start: int, stop: int) -> Float32:
        """Train on the rows [start, stop); return their scores before the update, (n,) float32.

        Empty rows of label 0 fill up the batch; their score is the bias.
        """
        self._optimizer.zero_grad()
        z = self.model(Batch.of(self._x, start, stop).to(self._device))
        target = torch.from_numpy(self._y[start:stop]).to(self._device)
        loss = self._loss(z, target, torch.from_numpy(self._weights[start:stop]).to(self._device))
        padding = self._batch_size - (stop - start)
        if padding > 0:
            w0 = self.model.w0
            loss = loss + padding * self._loss(w0, torch.zeros_like(w0), torch.ones_like(w0))
        (loss * self._scale).backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        scores: Float32 = z.detach().cpu().numpy()
        return scores

    def _loss(self, z: Tensor, target: Tensor, weights: Tensor) -> Tensor:
        """Return the weighted sum of the losses of scores."""
        if self._classifier:
            return binary_cross_entropy_with_logits(z, target, weights, reduction="sum")
        return 0.5 * weights @ mse_loss(z, target, reduction="none")

    def score(self, x: csr_array) -> Float32:
        """Return the scores of rows, (n,) float32."""
        parts = []
        with torch.no_grad():
            for start in range(0, x.shape[0], _SCORING_ROWS):
                stop = min(start + _SCORING_ROWS, x.shape[0])
                parts.append(self.model(Batch.of(x, start, stop).to(self._device)))
        scores: Float32 = torch.cat(parts).cpu().numpy()
        return scores

    def state_dict(self) -> OptimizerState:
        """Return a copy of the optimizer's state, see `base.Engine`."""
        arrays = {}
        for term, parameter, shape in self._terms():
            state = self._optimizer.state[parameter]
            for name in self._optimizer.rule.state_names:
                values = state[name].cpu().numpy() if state else np.zeros(shape, np.float32)
                arrays[f"{term}.{name}"] = values.reshape(shape).copy()
        return OptimizerState(self._optimizer.steps, arrays)

    def load_state_dict(self, state: OptimizerState) -> None:
        """Continue with this optimizer state, see `base.Engine`."""
        self._optimizer.steps = state.steps
        for term, parameter, _ in self._terms():
            if parameter.requires_grad:
                self._optimizer.state[parameter] = {
                    name: torch.tensor(state.arrays[f"{term}.{name}"], device=self._device).reshape(
                        parameter.shape
                    )
                    for name in self._optimizer.rule.state_names
                }

    def _terms(self) -> list[tuple[str, Tensor, tuple[int, ...]]]:
        """Return each term's name, its parameter, and the shape of its state in OptimizerState."""
        w0, w, v = self.model.w0, self.model.w, self.model.v
        shapes = ((1,), (len(w),), tuple(v.shape))
        return list(zip(TERMS, (w0, w, v), shapes, strict=True))
