"""Scores sparse rows with NumPy alone, so that serving needs no torch, Numba or SciPy."""

from collections.abc import Iterator

import numpy as np

from factorization_machines.artifact import Model
from factorization_machines.errors import DataError
from factorization_machines.instances import Float32, Instances, Int64
from factorization_machines.parameters import sigmoid

# Non-zeros scored at a time, so that their factors and products stay in the CPU's cache.
_BLOCK = 2048
# Rows up to this length are summed position by position, which is faster than NumPy's sum.
_SHORT = 8
# The lengths that rows are padded to: 0, 1, 2, 3, 4, 6, 8, 12, 16, 24, …
_LENGTHS = np.array([0, 1, *(part << power for power in range(30) for part in (2, 3))])
_ONE = np.float32(1).tobytes()
_EXACT = frozenset(_LENGTHS[1:].tolist())


class Predictor:
    """Scores rows by a model; threads may share it.

    The parameters are not copied: they may be memory that a file is mapped to.
    """

    def __init__(self, model: Model):
        parameters = model.parameters
        self.classifier = model.classifier
        self.feature_dim = parameters.feature_dim
        self.num_factors = parameters.num_factors
        self.w0 = np.float32(parameters.w0[0])
        self.w = parameters.w
        self.v = parameters.v

    def predict(self, rows: Instances) -> tuple[Float32, Float32 | None]:
        """Return score and predicted label of each row; a regressor has no label.

        Raises: DataError if the score of a row is beyond float32.
        """
        return self.finish(self.score(rows))

    @np.errstate(over="ignore", invalid="ignore")
    def score(self, rows: Instances) -> Float32:
        """Return the score of each row before the sigmoid, (n,) float32.

        The bytes of a score do not depend on the other rows. It is infinite or NaN beyond float32.
        """
        return self.score_and_sums(rows, with_sums=False)[0]

    def score_and_sums(self, rows: Instances, *, with_sums: bool = True) -> tuple[Float32, Float32]:
        """Return the scores, and if `with_sums` the sums of x * v over each row, (n, k).

        The caller must suppress NumPy's warnings of values beyond float32.
        """
        if len(rows) == 1 and rows.keys.size in _EXACT:  # the usual request: a user and an item
            return self._rectangle(rows.keys[None], rows.values[None])
        z = np.full(len(rows), self.w0, np.float32)
        sums = np.zeros((len(rows) if with_sums else 0, self.num_factors), np.float32)
        for which, keys, values in _rectangles(rows):
            z[which], s = self._rectangle(keys, values)
            if with_sums:
                sums[which] = s
        return z, sums

    def finish(self, z: Float32) -> tuple[Float32, Float32 | None]:
        """Return score and label of each row. Raises: DataError if a score is not finite."""
        finite = np.isfinite(z)
        if not finite.all():
            row = int(np.flatnonzero(~finite)[0])
            raise DataError(f"instance {row} (the first is 0): its score is beyond float32")
        return self.scores_and_labels(z)

    def scores_and_labels(self, z: Float32) -> tuple[Float32, Float32 | None]:
        """Return score and label for the values of `score`; a regressor has no label."""
        if not self.classifier:
            return z, None
        scores = sigmoid(z)
        return scores, (scores > 0.5).astype(np.float32)

    def _rectangle(self, keys: Int64, values: Float32) -> tuple[Float32, Float32]:
        """Return the scores of n rows of one length, (n,), and the sums of x * v, (n, k)."""
        weights, part = self.w.take(keys), self.v.take(keys, axis=0)
        # Rows are usually one-hot, with nothing to multiply. Comparing bytes is the fastest test.
        if values.tobytes() != _ONE * values.size:
            weights *= values
            part *= values[:, :, None]
        if keys.shape[1] > _SHORT:
            # The square of the sum minus the sum of squares cancels in float32 where one feature is
            # far larger than the others, so it is computed in float64.
            total = part.sum(axis=1, dtype=np.float64)
            squares = np.einsum("nmf,nmf->n", part, part, dtype=np.float64)
            pairs = 0.5 * (np.einsum("nf,nf->n", total, total) - squares)
            z = weights.sum(axis=1) + pairs.astype(np.float32)
            return self.w0 + z, total.astype(np.float32)
        # Each term times the sum of the terms before it, as in training: nothing cancels.
        z, s = weights[:, 0], part[:, 0]
        for place in range(1, keys.shape[1]):
            z += np.einsum("nf,nf->n", part[:, place], s)
            z += weights[:, place]
            s += part[:, place]
        return self.w0 + z, s


def _rectangles(rows: Instances) -> Iterator[tuple[Int64, Int64, Float32]]:
    """Yield rows of equal length, up to _BLOCK non-zeros: row numbers (n,), keys, values (n, m).

    Rows are padded with zeros to one of a few lengths. The padded length depends on the row alone,
    so its terms are always summed in the same order.
    """
    kinds = np.searchsorted(_LENGTHS, rows.indptr[1:] - rows.indptr[:-1])
    for kind in np.bincount(kinds).nonzero()[0].tolist():
        length = int(_LENGTHS[kind])
        if length == 0:
            continue
        which = (kinds == kind).nonzero()[0]
        if which.size == len(rows) and rows.keys.size == which.size * length:  # without padding
            keys, values = rows.keys.reshape(-1, length), rows.values.reshape(-1, length)
        else:
            place = rows.indptr[which, None] + np.arange(length)
            there = place < rows.indptr[which + 1, None]
            place[~there] = 0
            keys, values = rows.keys[place], np.where(there, rows.values[place], np.float32(0))
        step = max(1, _BLOCK // length)
        for start in range(0, which.size, step):
            part = slice(start, start + step)
            yield which[part], keys[part], values[part]
