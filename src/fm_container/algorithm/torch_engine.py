"""Training steps as torch operations: the oracle, and the way to devices that are no CPU."""

from typing import Any

import torch
from scipy.sparse import csr_array
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from fm_container.algorithm.model import Batch, FactorizationMachine
from fm_container.algorithm.optimizer import LazyAdam
from fm_container.algorithm.parameters import Float32, Parameters
from fm_container.algorithm.settings import Settings

_SCORING_ROWS = 8192  # a batch without gradients: large enough to hide the cost of a call


class TorchEngine:
    """Runs mini-batch steps and scores on the memory of the given parameters."""

    def __init__(self, parameters: Parameters, settings: Settings):
        self.model = FactorizationMachine(parameters)
        self._classifier = settings.classifier
        self._rescale = settings.rescale_grad
        self._batch_size = settings.mini_batch_size
        groups: list[dict[str, Any]] = [_group(self.model.v, settings.factors)]
        # A term that is switched off gets no gradient and no step: it stays zero.
        self.model.w.requires_grad_(settings.use_linear)
        self.model.w0.requires_grad_(settings.use_bias)
        if settings.use_linear:
            groups.append(_group(self.model.w, settings.linear))
        if settings.use_bias:
            groups.append(_group(self.model.w0, settings.bias))
        self._optimizer = LazyAdam(groups, settings.eps, settings.clip_gradient)

    def step(self, x: csr_array, y: Float32, start: int, stop: int) -> Float32:
        """Train on the rows [start, stop); return their scores before the update, (B,) float32."""
        self._optimizer.zero_grad()
        z = self.model(Batch.of(x, start, stop))
        target = torch.from_numpy(y[start:stop])
        if self._classifier:
            loss = binary_cross_entropy_with_logits(z, target, reduction="sum")
        else:
            loss = 0.5 * mse_loss(z, target, reduction="sum")
        scale = self._rescale or 1 / min(self._batch_size, stop - start)
        (loss * scale).backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        scores: Float32 = z.detach().numpy()
        return scores

    def score(self, x: csr_array) -> Float32:
        """Return the scores of all rows, (n,) float32."""
        parts = []
        with torch.no_grad():
            for start in range(0, x.shape[0], _SCORING_ROWS):
                stop = min(start + _SCORING_ROWS, x.shape[0])
                parts.append(self.model(Batch.of(x, start, stop)))
        scores: Float32 = torch.cat(parts).numpy()
        return scores


def _group(parameter: torch.nn.Parameter, term: Any) -> dict[str, Any]:
    return {"params": [parameter], "lr": term.lr, "weight_decay": term.wd}
