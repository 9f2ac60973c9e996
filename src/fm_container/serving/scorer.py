"""Scores of sparse rows by a model, without torch."""

import numpy as np
from scipy.sparse import csr_array

from fm_container.algorithm.reference import sigmoid
from fm_container.artifact import Model
from fm_container.data.formats import Float32
from fm_container.errors import DataError


class Scorer:
    """Holds a model in the form that scoring needs; safe to share between threads."""

    def __init__(self, model: Model):
        parameters = model.parameters
        self.classifier = model.classifier
        self.feature_dim = parameters.feature_dim
        self.num_factors = parameters.num_factors
        self._w0 = parameters.w0
        self._w = parameters.w
        self._v = parameters.v
        # (d,): of each feature the sum of its squared factors, which every row with it needs.
        self._norms = np.einsum("df,df->d", parameters.v, parameters.v)

    def predict(self, x: csr_array) -> tuple[Float32, Float32 | None]:
        """Return score and predicted label of each row; a regressor has no label.

        Args:
            x: (n, feature_dim) float32 in canonical form.

        Raises: DataError if the score of a row is beyond float32.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            s = x @ self._v
            pairs = np.einsum("nf,nf->n", s, s) - (x * x) @ self._norms
            z = np.asarray(self._w0 + x @ self._w + np.float32(0.5) * pairs, np.float32)
        if not np.isfinite(z).all():
            row = int(np.flatnonzero(~np.isfinite(z))[0])
            raise DataError(f"instance {row} (the first is 0): its score is beyond float32")
        if not self.classifier:
            return z, None
        scores = sigmoid(z)
        return scores, (scores > 0.5).astype(np.float32)
