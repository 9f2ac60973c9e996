"""The best features of a block for each instance: what recommending items to a user is.

With one more feature j of value 1 the score of a row x with the factor sums s = sum_i x_i v_i is

    z(x + e_j) = z(x) + w_j + <v_j, s> - x_j |v_j|^2,

which follows from lemma 3.1 of Rendle, "Factorization Machines" (ICDM 2010). So a whole block is
ranked by one matrix product, in O(block * k) for a row, however many non-zeros the row has.
"""

import math
from typing import NamedTuple

import numpy as np

from factorization_machines.errors import DataError
from factorization_machines.instances import Float32, Instances, Int64
from factorization_machines.scoring import Predictor

# Scores that one request may ask for: what a worker does in about a second.
MOST_SCORES = 50_000_000
_CHUNK = 2_000_000  # scores in memory at a time
_ROWS = 8  # of the table in whose columns the best scores are looked for


class TopK(NamedTuple):
    """How many of which features: `first` to `last`, both in it, but none of `excluded`.

    `excluded` (e,) int64 are distinct places in the range, the first of which is 0.
    """

    k: int
    first: int
    last: int
    excluded: Int64

    @property
    def size(self) -> int:
        """How many features there are to choose from."""
        return self.last - self.first + 1 - self.excluded.size


@np.errstate(over="ignore", invalid="ignore")
def rank(
    predictor: Predictor, rows: Instances, top: TopK
) -> list[dict[str, list[dict[str, float]]]]:
    """Return `{"top_k": [{"key": …, "score": …, "predicted_label": …}, …]}` for each row.

    The best comes first, of equal ones the smaller key. An excluded feature is not there.

    Raises: DataError if a score is beyond float32, or the request asks for too many of them.
    """
    count = len(rows) * top.size
    if count > MOST_SCORES:
        raise DataError(
            f"top_k: {len(rows)} instances and {top.size} features are {count} scores; "
            f"at most {MOST_SCORES} in a request"
        )
    if not count:
        return [{"top_k": []} for _ in range(len(rows))]
    chosen = slice(top.first, top.last + 1)
    v, w = predictor.v[chosen], predictor.w[chosen]
    # Mostly the rows are of users and the block is of items, so that no row has any of it.
    apart = max(rows.keys.tolist(), default=-1) < top.first
    answers = []
    step = max(1, _CHUNK // w.size)
    z, sums = predictor.score_and_sums(rows)
    for start in range(0, len(rows), step):
        for row, found in enumerate(sums[start : start + step].dot(v.T), start):
            found += w
            found += z[row]
            if not apart:
                _correct(found, *rows.row(row), top, v)
            answers.append({"top_k": _best(predictor, found, top, row)})
    return answers


def _correct(scores: Float32, keys: Int64, values: Float32, top: TopK, v: Float32) -> None:
    """Take into account that a row may have a candidate already."""
    there = ((keys >= top.first) & (keys <= top.last)).nonzero()[0]
    if there.size:
        places = keys[there] - top.first
        scores[places] -= values[there] * np.einsum("nf,nf->n", v[places], v[places])


def _best(predictor: Predictor, scores: Float32, top: TopK, row: int) -> list[dict[str, float]]:
    if top.excluded.size:
        scores[top.excluded] = 0  # finite, whatever it was
    # One pass for the sum of the squares, which may be infinite where no score is.
    if not math.isfinite(scores.dot(scores)) and not np.isfinite(scores).all():
        raise DataError(f"instance {row} (the first is 0): one of its scores is beyond float32")
    if top.excluded.size:
        scores[top.excluded] = -np.inf
    k = min(top.k, top.size)
    # Of equal ones all, until the order is known.
    places = (scores >= _reached(scores, k)).nonzero()[0]
    places = places[(-scores[places]).argsort(kind="stable")[:k]]
    best, labels = predictor.answers(scores[places])
    places += top.first
    if labels is None:
        pairs = zip(places.tolist(), best.tolist(), strict=True)
        return [{"key": key, "score": score} for key, score in pairs]
    triples = zip(places.tolist(), best.tolist(), labels.tolist(), strict=True)
    return [{"key": key, "score": z, "predicted_label": label} for key, z, label in triples]


def _reached(scores: Float32, k: int) -> np.float32:
    """Return what k of the scores reach, and few others do."""
    columns = scores.size // _ROWS
    if columns >= 2 * k:
        # Each column's best, an eighth of the scores: k of these reach the k-th best of these.
        best = np.maximum.reduce(scores[: columns * _ROWS].reshape(_ROWS, columns))
    else:
        best = scores.copy()
    best.partition(best.size - k)
    reached: np.float32 = best[best.size - k]
    return reached
