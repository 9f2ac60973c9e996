"""The factorization machine as a PyTorch module."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn import Module, Parameter
from torch.nn.functional import embedding, embedding_bag

from factorization_machines.parameters import Parameters


@dataclass(frozen=True)
class Batch:
    """Rows of a CSR array, with keys relative to the features that occur in them.

    Attributes:
        columns: (u,) int64, the features that occur, ascending.
        local: (nnz,) int64, the index in `columns` of each non-zero's feature.
        offsets: (B + 1,) int64, the first non-zero of each row, and nnz at the end.
        values: (nnz,) float32.
    """

    columns: Tensor
    local: Tensor
    offsets: Tensor
    values: Tensor

    @classmethod
    def of(cls, x: csr_array, start: int, stop: int) -> "Batch":
        """Return the rows x[start:stop]."""
        first, last = x.indptr[start], x.indptr[stop]
        columns, local = np.unique(x.indices[first:last], return_inverse=True)
        return cls(
            torch.from_numpy(columns.astype(np.int64)),
            torch.from_numpy(local.astype(np.int64)),
            torch.from_numpy(x.indptr[start : stop + 1].astype(np.int64) - int(first)),
            torch.from_numpy(x.data[first:last]),
        )

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        tensors = (self.columns, self.local, self.offsets, self.values)
        return Batch(*(tensor.to(device) for tensor in tensors))


class FactorizationMachine(Module):
    """Second-order factorization machine over sparse rows (Rendle 2010, eq. 1, lemma 3.1).

    Its parameters are `w0` (1,), `w` (d, 1) and `v` (d, k), float32. They use the memory of the
    NumPy arrays that the module is made from, so that kernels can train them in place.
    """

    def __init__(self, parameters: Parameters):
        super().__init__()
        self.w0 = Parameter(torch.from_numpy(parameters.w0))
        self.w = Parameter(torch.from_numpy(parameters.w).unsqueeze(1))
        self.v = Parameter(torch.from_numpy(parameters.v))

    def forward(self, batch: Batch) -> Tensor:
        """Return the scores of the rows, (B,) float32; log-odds for a classifier.

        Gradients of `w` and `v` are sparse: they have the rows of the features in the batch.
        """
        v = embedding(batch.columns, self.v, sparse=True)  # (u, k)
        w = embedding(batch.columns, self.w, sparse=True)  # (u, 1)
        s = _weighted_sum(batch, v, batch.values)
        squares = _weighted_sum(batch, v * v, batch.values * batch.values)
        linear = _weighted_sum(batch, w, batch.values).squeeze(1)
        result: Tensor = self.w0 + linear + 0.5 * (s * s - squares).sum(dim=1)
        return result

    def arrays(self) -> Parameters:
        """Return the parameters as NumPy arrays: views on a CPU, copies from another device."""
        w0, w, v = (tensor.detach().cpu().numpy() for tensor in (self.w0, self.w, self.v))
        return Parameters(w0, w.reshape(-1), v)

    @torch.no_grad()
    def copy_from(self, parameters: Parameters) -> None:
        """Copy values of the same shapes into the parameters, in place."""
        self.w0.copy_(torch.from_numpy(parameters.w0))
        self.w.copy_(torch.from_numpy(parameters.w).unsqueeze(1))
        self.v.copy_(torch.from_numpy(parameters.v))


def _weighted_sum(batch: Batch, table: Tensor, weights: Tensor) -> Tensor:
    """Return the sum of the weighted table rows of each row's features: (B, k)."""
    return embedding_bag(
        batch.local,
        table,
        batch.offsets,
        mode="sum",
        per_sample_weights=weights,
        include_last_offset=True,
    )
