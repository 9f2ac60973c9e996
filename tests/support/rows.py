"""Conversion between the rows of requests and dense arrays."""

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from factorization_machines.instances import Instances


def dense(rows: Instances, feature_dim: int) -> Any:
    """Check the types and shapes of rows; return them as a dense (n, feature_dim) array."""
    assert (rows.indptr.dtype, rows.keys.dtype) == (np.int64, np.int64)
    assert rows.values.dtype == np.float32
    assert rows.keys.shape == rows.values.shape == (rows.indptr[-1],)
    whole = np.zeros((len(rows), feature_dim), np.float32)
    for row in range(len(rows)):
        keys, values = rows.row(row)
        assert np.unique(keys).size == keys.size
        whole[row, keys] = values
    return whole


def instances(x: Any) -> Instances:
    """Return the rows of a dense array or of a CSR array in canonical form."""
    sparse = csr_array(x)
    return Instances(sparse.indptr.astype(np.int64), sparse.indices.astype(np.int64), sparse.data)
