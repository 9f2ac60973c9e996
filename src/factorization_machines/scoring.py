"""Scores of sparse rows by a model, in numpy alone: without torch, numba or scipy."""

from collections.abc import Iterator

import numpy as np

from factorization_machines.artifact import Model
from factorization_machines.errors import DataError
from factorization_machines.instances import Float32, Instances, Int64
from factorization_machines.reference import sigmoid

# Non-zeros that are scored at a time: their factors, and the products of these, stay in the cache.
_BLOCK = 2048
# Rows up to this long are summed position by position, which is faster than numpy's own sum.
_SHORT = 8
# What the lengths of rows are filled up to: 0, 1, 2, 3, 4, 6, 8, 12, 16, 24, …
_LENGTHS = np.array([0, 1, *(part << power for power in range(30) for part in (2, 3))])
_ONE = np.float32(1).tobytes()
_EXACT = frozenset(_LENGTHS[1:].tolist())


class Predictor:
    """Holds a model in the form that scoring needs; safe to share between threads.

    The parameters are used where they are, be it memory that a file is mapped to.
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

        It is the same bytes whatever other rows are there; infinite or NaN beyond float32.
        """
        return self.score_and_sums(rows, wanted=False)[0]

    def score_and_sums(self, rows: Instances, *, wanted: bool = True) -> tuple[Float32, Float32]:
        """Return what `score` does, and the sums of x * v over each row, (n, k), where `wanted`.

        To be called where numpy says nothing of what is beyond float32.
        """
        if len(rows) == 1 and rows.keys.size in _EXACT:  # mostly: a user and an item
            return self._rectangle(rows.keys[None], rows.values[None])
        z = np.full(len(rows), self.w0, np.float32)
        sums = np.zeros((len(rows) if wanted else 0, self.num_factors), np.float32)
        for which, keys, values in _rectangles(rows):
            z[which], s = self._rectangle(keys, values)
            if wanted:
                sums[which] = s
        return z, sums

    def finish(self, z: Float32) -> tuple[Float32, Float32 | None]:
        """Return what `answers` does. Raises: DataError if one of them is not finite."""
        finite = np.isfinite(z)
        if not finite.all():
            row = int(np.flatnonzero(~finite)[0])
            raise DataError(f"instance {row} (the first is 0): its score is beyond float32")
        return self.answers(z)

    def answers(self, z: Float32) -> tuple[Float32, Float32 | None]:
        """Return score and label for log-odds, or for a regressor's scores as they are."""
        if not self.classifier:
            return z, None
        scores = sigmoid(z)
        return scores, (scores > 0.5).astype(np.float32)

    def _rectangle(self, keys: Int64, values: Float32) -> tuple[Float32, Float32]:
        """Return the scores of n rows of one length, (n,), and the sums of x * v, (n, k)."""
        weights, part = self.w.take(keys), self.v.take(keys, axis=0)
        # Mostly one-hot: there is nothing to multiply. For a few values bytes are compared faster.
        if values.tobytes() != _ONE * values.size:
            weights *= values
            part *= values[:, :, None]
        if keys.shape[1] > _SHORT:
            # The square of the sum less the squares, which float32 has no digits for where one
            # feature is far larger than the others.
            total = part.sum(axis=1, dtype=np.float64)
            squares = np.einsum("nmf,nmf->n", part, part, dtype=np.float64)
            pairs = 0.5 * (np.einsum("nf,nf->n", total, total) - squares)
            z = weights.sum(axis=1) + pairs.astype(np.float32)
            return self.w0 + z, total.astype(np.float32)
        # Each part times the sum of those before it, as in training: nothing cancels.
        z, s = weights[:, 0], part[:, 0]
        for place in range(1, keys.shape[1]):
            z += np.einsum("nf,nf->n", part[:, place], s)
            z += weights[:, place]
            s += part[:, place]
        return self.w0 + z, s


def _rectangles(rows: Instances) -> Iterator[tuple[Int64, Int64, Float32]]:
    """Yield rows of one length, _BLOCK non-zeros of them: which (n,), keys and values (n, m).

    Rows are filled up to a few lengths with values of zero. What a row is filled up to depends on
    nothing but itself, so that its sums have one order.
    """
    kinds = np.searchsorted(_LENGTHS, rows.indptr[1:] - rows.indptr[:-1])
    for kind in np.bincount(kinds).nonzero()[0].tolist():
        length = int(_LENGTHS[kind])
        if length == 0:
            continue
        which = (kinds == kind).nonzero()[0]
        if which.size == len(rows) and rows.keys.size == which.size * length:  # none is filled up
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
