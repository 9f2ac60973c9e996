"""The score in a few lines of NumPy; faster implementations are tested against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from factorization_machines.parameters import Float32, Parameters

if TYPE_CHECKING:  # serving imports `sigmoid` and must not load scipy
    from scipy.sparse import csr_array


def score(x: csr_array, parameters: Parameters) -> Float32:
    """Return the second-order factorization-machine score of each row, in O(nnz(x) * k) time.

    Args:
        x: (B, d) float32 features, finite, in canonical form.
        parameters: of the same feature_dim d.

    Returns: (B,) float32. Regressor: in units of the label. Classifier: log-odds, before the
        sigmoid.

    ChannelDataset: Rendle, "Factorization Machines", ICDM 2010, eq. (1), rewritten by lemma 3.1.
    """
    w0, w, v = parameters.w0, parameters.w, parameters.v
    s = x @ v  # (B, k); the pair sum is 0.5 * sum_f(s_f**2 - sum_i (x_i v_if)**2)
    pairs = (s * s - (x * x) @ (v * v)).sum(axis=1)
    result: Any = w0 + x @ w + np.float32(0.5) * pairs
    return np.asarray(result, np.float32)


def sigmoid(z: Float32) -> Float32:
    """Return 1 / (1 + exp(-z)) element by element, without overflow, in float32."""
    # exp(-|z|) cannot overflow.
    small = np.exp(-np.abs(z))
    scores: Float32 = np.maximum(small, z >= 0) / (1 + small)
    return scores
