"""Small factorization machines: random rows, configurations, and a definition of the score."""

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from factorization_machines.config import Term, TrainingConfig
from factorization_machines.parameters import Parameters


def rows(
    seed: int, n: int, d: int, density: float = 0.3, scale: float = 1.0
) -> tuple[csr_array, Any]:
    """Return (n, d) float32 rows in canonical form, the second one empty, and labels 0 or 1."""
    random = np.random.default_rng(seed)
    dense = random.standard_normal((n, d)) * scale * (random.random((n, d)) < density)
    if n > 1:
        dense[1] = 0
    x = csr_array(dense.astype(np.float32))
    x.indptr = x.indptr.astype(np.int64)
    return x, random.integers(0, 2, n).astype(np.float32)


def parameters(seed: int, d: int, k: int, scale: float = 1.0) -> Parameters:
    """Return random parameters."""
    random = np.random.default_rng(seed)
    w0, w, v = (random.standard_normal(s, np.float32) for s in ((1,), (d,), (d, k)))
    return Parameters(w0, w * np.float32(scale), v * np.float32(scale))


def config(d: int, k: int, **changes: Any) -> TrainingConfig:
    """Return a configuration with a different learning rate and decay for each term."""
    values: dict[str, Any] = {
        "classifier": True,
        "bias": Term(lr=0.1, wd=0.01),
        "linear": Term(lr=0.03, wd=0.02, init_sigma=0.1),
        "factors": Term(lr=0.02, wd=0.03, init_sigma=0.1),
        "epochs": 2,
        "mini_batch_size": 8,
    }
    return TrainingConfig(feature_dim=d, num_factors=k, **{**values, **changes})


def score_of_pairs(x: csr_array, p: Parameters) -> Any:
    """Return the scores by Rendle's equation 1: a loop over all pairs of features, in float64."""
    dense = x.toarray().astype(np.float64)
    w0, w, v = (array.astype(np.float64) for array in (p.w0, p.w, p.v))
    scores = []
    for row in dense:
        total = w0[0] + sum(w[i] * row[i] for i in range(row.size))
        for i in range(row.size):
            for j in range(i + 1, row.size):
                total += (v[i] @ v[j]) * row[i] * row[j]
        scores.append(total)
    return np.array(scores)
