"""The best features of a range for each instance, for example the best items for a user.

With one more feature j of value 1 the score of a row x with the factor sums s = sum_i x_i v_i is

    z(x + e_j) = z(x) + w_j + <v_j, s> - x_j |v_j|^2,

which follows from lemma 3.1 of Rendle, "Factorization Machines" (ICDM 2010). One matrix product
ranks the whole range, in O(range * k) for a row with any number of non-zeros.
"""

import math
from typing import NamedTuple

import numpy as np

from factorization_machines.errors import DataError
from factorization_machines.instances import Float32, Instances, Int64
from factorization_machines.scoring import Predictor

# Largest number of scores in a request, which a worker computes in about a second.
MAX_SCORES = 50_000_000
# Largest number of results in a response: 6 MB of JSON, which a worker has as 36 MB of objects.
MAX_RESULTS = 100_000
_CHUNK = 2_000_000  # scores in memory at a time
_ROWS = 8  # of the table whose columns' maxima bound the k-th best score


class TopK(NamedTuple):
    """The `k` best features from `first` to `last` inclusive, without `excluded`.

    `excluded` (e,) int64 are distinct offsets from `first`.
    """

    k: int
    first: int
    last: int
    excluded: Int64

    @property
    def size(self) -> int:
        """Return the number of features to choose from."""
        return self.last - self.first + 1 - self.excluded.size


@np.errstate(over="ignore", invalid="ignore")
def rank(
    predictor: Predictor, rows: Instances, top: TopK
) -> list[dict[str, list[dict[str, float]]]]:
    """Return `{"top_k": [{"key": …, "score": …, "predicted_label": …}, …]}` for each row.

    The best feature comes first, among equals the one with the smaller key.

    Raises: DataError if a score is beyond float32, or the request asks for too many scores or
        results.
    """
    count = len(rows) * top.size
    if count > MAX_SCORES:
        raise DataError(
            f"top_k: {len(rows)} instances and {top.size} features are {count} scores; "
            f"at most {MAX_SCORES} in a request"
        )
    results = len(rows) * min(top.k, top.size)
    if results > MAX_RESULTS:
        raise DataError(
            f"top_k: {len(rows)} instances with {min(top.k, top.size)} features each are {results} "
            f"results; at most {MAX_RESULTS} in a response"
        )
    if not count:
        return [{"top_k": []} for _ in range(len(rows))]
    chosen = slice(top.first, top.last + 1)
    v, w = predictor.v[chosen], predictor.w[chosen]
    # Usually rows are users and the range is items, so that no row has a feature of the range.
    disjoint = max(rows.keys.tolist(), default=-1) < top.first
    rankings = []
    step = max(1, _CHUNK // w.size)
    z, sums = predictor.score_and_sums(rows)
    for start in range(0, len(rows), step):
        for row, scores in enumerate(sums[start : start + step].dot(v.T), start):
            scores += w
            scores += z[row]
            if not disjoint:
                _correct(scores, *rows.row(row), top, v)
            rankings.append({"top_k": _best(predictor, scores, top, row)})
    return rankings


def _correct(scores: Float32, keys: Int64, values: Float32, top: TopK, v: Float32) -> None:
    """Correct the scores of candidates that the row already has."""
    present = ((keys >= top.first) & (keys <= top.last)).nonzero()[0]
    if present.size:
        places = keys[present] - top.first
        scores[places] -= values[present] * np.einsum("nf,nf->n", v[places], v[places])


def _best(predictor: Predictor, scores: Float32, top: TopK, row: int) -> list[dict[str, float]]:
    if top.excluded.size:
        scores[top.excluded] = 0  # may have been infinite
    # The sum of squares is one pass; it may be infinite although every score is finite.
    if not math.isfinite(scores.dot(scores)) and not np.isfinite(scores).all():
        raise DataError(f"instance {row} (the first is 0): one of its scores is beyond float32")
    if top.excluded.size:
        scores[top.excluded] = -np.inf
    k = min(top.k, top.size)
    # This keeps all equal scores; sorting then decides by the key.
    places = (scores >= _kth_best_bound(scores, k)).nonzero()[0]
    places = places[(-scores[places]).argsort(kind="stable")[:k]]
    best, labels = predictor.scores_and_labels(scores[places])
    places += top.first
    if labels is None:
        pairs = zip(places.tolist(), best.tolist(), strict=True)
        return [{"key": key, "score": score} for key, score in pairs]
    triples = zip(places.tolist(), best.tolist(), labels.tolist(), strict=True)
    return [{"key": key, "score": z, "predicted_label": label} for key, z, label in triples]


def _kth_best_bound(scores: Float32, k: int) -> np.float32:
    """Return a lower bound of the k-th best score, which few more than k scores reach."""
    columns = scores.size // _ROWS
    if columns >= 2 * k:
        # The maximum of each column: at least k scores reach the k-th best maximum.
        best = np.maximum.reduce(scores[: columns * _ROWS].reshape(_ROWS, columns))
    else:
        best = scores.copy()
    best.partition(best.size - k)
    bound: np.float32 = best[best.size - k]
    return bound
