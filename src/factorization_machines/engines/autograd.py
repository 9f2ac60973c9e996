"""Training steps as torch operations: the oracle, and the way to devices that are no CPU."""

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from factorization_machines.batching import Batches
from factorization_machines.config import Settings
from factorization_machines.metrics import Metrics
from factorization_machines.module import Batch, FactorizationMachine
from factorization_machines.optimizers import OPTIMIZERS
from factorization_machines.parameters import Float32, Parameters
from factorization_machines.training_state import TERMS, Moments

_SCORING_ROWS = 8192  # a batch without gradients: large enough to hide the cost of a call


class TorchEngine:
    """Runs mini-batches and scores on a device; the given parameters follow after each call.

    On the CPU the module works on their memory; what is on another device is copied back.
    """

    def __init__(
        self,
        parameters: Parameters,
        settings: Settings,
        x: csr_array,
        y: Float32,
        device: str = "cpu",
    ):
        self._parameters, self._device = parameters, device
        self.model = FactorizationMachine(parameters).to(device)
        self.use(x, y)
        self._classifier = settings.classifier
        self._batch_size = settings.mini_batch_size
        self._scale = settings.rescale_grad or 1 / settings.mini_batch_size
        # A term that is switched off gets no gradient and no step: it stays zero.
        self.model.w.requires_grad_(settings.use_linear)
        self.model.w0.requires_grad_(settings.use_bias)
        terms = [(self.model.v, settings.factors)]
        terms += [(self.model.w, settings.linear)] if settings.use_linear else []
        terms += [(self.model.w0, settings.bias)] if settings.use_bias else []
        groups = [
            {"params": [parameter], "lr": term.lr, "weight_decay": term.wd}
            for parameter, term in terms
        ]
        kind = OPTIMIZERS[settings.optimizer]
        self._optimizer = kind(groups, settings.eps, settings.clip_gradient)

    def use(self, x: csr_array, y: Float32) -> None:
        """Train on these rows from now on, see `Engine`."""
        self._x, self._y = x, y

    def run(self, batches: Batches, metrics: Metrics) -> int:
        """Train on mini-batches, see `Engine`."""
        done = 0
        for start, stop in batches.tolist():
            done += 1
            padding = self._batch_size - (stop - start)
            bias = self.model.w0.item() if padding else 0.0
            metrics.add(self.step(start, stop), self._y[start:stop])
            if padding:
                metrics.add_empty_rows(bias, padding)
            if not metrics.finite():
                break
        self._copy_back()
        return done

    def step(self, start: int, stop: int) -> Float32:
        """Train on the rows [start, stop); return their scores before the update, (n,) float32.

        Empty rows of label 0 fill up the batch: each has the bias as its score.
        """
        self._optimizer.zero_grad()
        z = self.model(Batch.of(self._x, start, stop).to(self._device))
        target = torch.from_numpy(self._y[start:stop]).to(self._device)
        loss = self._loss(z, target)
        if padding := self._batch_size - (stop - start):
            loss = loss + padding * self._loss(self.model.w0, torch.zeros_like(self.model.w0))
        (loss * self._scale).backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        scores: Float32 = z.detach().cpu().numpy()
        return scores

    def _loss(self, z: Tensor, target: Tensor) -> Tensor:
        """Return the sum of the losses of scores."""
        if self._classifier:
            return binary_cross_entropy_with_logits(z, target, reduction="sum")
        return 0.5 * mse_loss(z, target, reduction="sum")

    def score(self, x: csr_array) -> Float32:
        """Return the scores of rows, (n,) float32."""
        parts = []
        with torch.no_grad():
            for start in range(0, x.shape[0], _SCORING_ROWS):
                stop = min(start + _SCORING_ROWS, x.shape[0])
                parts.append(self.model(Batch.of(x, start, stop).to(self._device)))
        scores: Float32 = torch.cat(parts).cpu().numpy()
        return scores

    def moments(self) -> Moments:
        """Return a copy of the optimiser's state, see `Engine`."""
        arrays = {}
        for term, parameter, shape in self._terms():
            state = self._optimizer.state[parameter]
            for name in self._optimizer.state_names:
                zeros = np.zeros(shape, np.float32)  # until the term's first step
                kept = state[name].cpu().numpy().reshape(shape).copy() if state else zeros
                arrays[f"{term}.{name}"] = kept
        return Moments(self._optimizer.steps, arrays)

    def restore(self, moments: Moments) -> None:
        """Go on from the parameters as they are now, see `Engine`."""
        self._optimizer.steps = moments.steps
        given = self._parameters
        for (term, parameter, _), values in zip(
            self._terms(), (given.w0, given.w, given.v), strict=True
        ):
            with torch.no_grad():  # on a device the parameters are a copy
                parameter.copy_(torch.from_numpy(values).reshape(parameter.shape))
            if parameter.requires_grad:
                self._optimizer.state[parameter] = {
                    name: torch.tensor(
                        moments.arrays[f"{term}.{name}"], device=parameter.device
                    ).reshape(parameter.shape)
                    for name in self._optimizer.state_names
                }

    def _terms(self) -> list[tuple[str, Tensor, tuple[int, ...]]]:
        """Return of each term its name, its parameter, and the shape that others know it by."""
        d = self._parameters.feature_dim
        model = self.model
        shapes = ((1,), (d,), tuple(model.v.shape))
        return list(zip(TERMS, (model.w0, model.w, model.v), shapes, strict=True))

    def _copy_back(self) -> None:
        if self._device != "cpu":
            w0, w, v = (
                p.detach().cpu().numpy() for p in (self.model.w0, self.model.w, self.model.v)
            )
            self._parameters.take(Parameters(w0, w[:, 0], v))
