"""The best features of a block for each instance: what recommending items to a user is.

With one more feature j of value 1 the score of a row x with the factor sums s = sum_i x_i v_i is

    z(x + e_j) = z(x) + w_j + <v_j, s> - x_j |v_j|^2,

which follows from lemma 3.1 of Rendle, "Factorization Machines" (ICDM 2010). So a whole block is
ranked by one matrix product, in O(block * k) for a row, however many non-zeros the row has.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fm_container.data.formats.instances import Float32, Instances, Int64
from fm_container.data.formats.json_body import keys_below, shown, whole_numbers
from fm_container.errors import DataError
from fm_container.serving.scorer import Scorer

# Scores that one request may ask for: what a worker does in about a second.
MOST_SCORES = 50_000_000
_CHUNK = 2_000_000  # scores in memory at a time


@dataclass(frozen=True)
class TopK:
    """How many of which features: `candidates` (b,) int64, ascending."""

    k: int
    candidates: Int64


def parse(content: Any, feature_dim: int) -> TopK:
    """Return what `{"from": [first, last], "k": 10, "exclude": [keys]}` asks for.

    `from` is a range of features, both ends in it; `exclude` may be left out. There may be fewer
    than k features in the range.

    Raises: DataError that names what is wrong.
    """
    try:
        if not isinstance(content, dict):
            raise ValueError(f"it must be an object; got {shown(content)}")
        unknown = sorted(set(content) - {"from", "k", "exclude"})
        if unknown:
            raise ValueError(f'it has "from", "k" and "exclude"; got {shown(unknown[0])}')
        block = content.get("from")
        if not isinstance(block, list) or list(map(type, block)) != [int, int]:
            raise ValueError(f'"from" must be [first, last], two keys; got {shown(block)}')
        first, last = block
        if not 0 <= first <= last < feature_dim:
            raise ValueError(
                f'"from" must be [first, last] with 0 <= first <= last < {feature_dim}; '
                f"got {shown(block)}"
            )
        k = content.get("k")
        if type(k) is not int or k < 1:
            raise ValueError(f'"k" must be a whole number >= 1; got {shown(k)}')
        excluded = whole_numbers(content.get("exclude", []), '"exclude"')
        keys = keys_below(excluded, feature_dim)
    except ValueError as error:
        raise DataError(f"top_k: {error}") from None
    candidates = np.arange(first, last + 1)
    if keys.size:
        left = np.ones(candidates.size, bool)
        left[keys[(first <= keys) & (keys <= last)] - first] = False
        candidates = candidates[left]
    return TopK(k, candidates)


def rank(scorer: Scorer, rows: Instances, top: TopK) -> list[dict[str, list[dict[str, float]]]]:
    """Return `{"top_k": [{"key": …, "score": …, "predicted_label": …}, …]}` for each row.

    The best comes first, of equal ones the smaller key. An excluded feature is not there.

    Raises: DataError if a score is beyond float32, or the request asks for too many of them.
    """
    count = len(rows) * top.candidates.size
    if count > MOST_SCORES:
        raise DataError(
            f"top_k: {len(rows)} instances and {top.candidates.size} features are {count} scores; "
            f"at most {MOST_SCORES} in a request"
        )
    if not count:
        return [{"top_k": []} for _ in range(len(rows))]
    sums = np.zeros((len(rows), scorer.num_factors), np.float32)
    z = scorer.score(rows, sums)
    # A range without a gap is a view of the parameters, not a copy.
    first, last = int(top.candidates[0]), int(top.candidates[-1])
    whole = last - first + 1 == top.candidates.size
    chosen = slice(first, last + 1) if whole else top.candidates
    v, w = scorer.v[chosen], scorer.w[chosen]
    answers = []
    step = max(1, _CHUNK // top.candidates.size)
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        with np.errstate(over="ignore", invalid="ignore"):
            scores = sums[part] @ v.T
            scores += w
            scores += z[part, None]
            for place, row in enumerate(range(start, min(start + step, len(rows)))):
                _correct(scores[place], *rows.row(row), top.candidates, v)
                answers.append(_best(scorer, scores[place], top, row))
    return answers


def _correct(scores: Float32, keys: Int64, values: Float32, candidates: Int64, v: Float32) -> None:
    """Take into account that a row may have a candidate already."""
    places = np.searchsorted(candidates, keys)
    there = places < candidates.size
    there[there] = candidates[places[there]] == keys[there]
    places = places[there]
    if places.size:
        scores[places] -= values[there] * np.einsum("nf,nf->n", v[places], v[places])


def _best(
    scorer: Scorer, scores: Float32, top: TopK, row: int
) -> dict[str, list[dict[str, float]]]:
    if not np.isfinite(scores).all():
        raise DataError(f"instance {row} (the first is 0): one of its scores is beyond float32")
    places = np.arange(scores.size)
    if top.k < scores.size:
        least = np.partition(scores, scores.size - top.k)[scores.size - top.k]
        places = np.flatnonzero(scores >= least)  # of equal ones all, until the order is known
    places = places[np.argsort(-scores[places], kind="stable")[: top.k]]
    found, labels = scorer.finish(scores[places])
    names, columns = ["key", "score"], [top.candidates[places].tolist(), found.tolist()]
    if labels is not None:
        names.append("predicted_label")
        columns.append(labels.tolist())
    return {"top_k": [dict(zip(names, one, strict=True)) for one in zip(*columns, strict=True)]}
