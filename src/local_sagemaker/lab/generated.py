"""Generated ratings of MovieLens-100k's shape, for a machine that cannot download MovieLens.

Few users give many ratings, and few movies get many. A user likes a movie by the sum of an offset
of each, the inner product of a vector of each, and noise. This sum is cut into stars at the
quantiles of MovieLens, so that 55 % of the ratings are 4 or 5.
"""

import numpy as np
from numpy.typing import NDArray

from local_sagemaker.lab.ratings import MOVIES, TEST_ROWS, TRAIN_ROWS, USERS, Ratings

TEST_PER_USER = TEST_ROWS // USERS
MIN_PER_USER, MAX_PER_USER = 20, 737  # ratings
SHARES = (0.061, 0.114, 0.272, 0.341)  # of 1 to 4 stars; the other ratings have 5
RANK = 6
SEED = 100_000


def generate(seed: int = SEED) -> Ratings:
    """Return 90,570 and 9,430 ratings, sorted by user and movie, with ten test ratings per user.

    A seed gives the same ratings on every machine.
    """
    rng = np.random.default_rng(seed)
    counts = _ratings_per_user(rng)
    popularity = rng.normal(0.0, 1.5, MOVIES)
    # The counts[u] largest values of popularity plus Gumbel noise are a draw without replacement.
    appeal = popularity + rng.gumbel(size=(USERS, MOVIES))
    chosen = np.argsort(-appeal, axis=1, kind="stable")
    users = np.repeat(np.arange(USERS), counts)
    movies = np.concatenate([chosen[user, :count] for user, count in enumerate(counts)])

    liking = (
        rng.normal(0.0, 0.45, USERS)[users]
        + (0.25 * popularity + rng.normal(0.0, 0.4, MOVIES))[movies]
        + _taste(rng)[users, movies]
        + rng.normal(0.0, 0.65, users.size)
    )
    stars = 1 + np.searchsorted(np.quantile(liking, np.cumsum(SHARES)), liking)

    # The test ratings are ten ratings of each user, drawn at random.
    draw = rng.random(users.size)
    order = np.lexsort((draw, users))
    first = np.cumsum(counts) - counts
    tested = np.zeros(users.size, dtype=bool)
    tested[order[np.add.outer(first, np.arange(TEST_PER_USER))]] = True

    seconds = 875_000_000 + rng.integers(0, 18_000_000, users.size)
    rows = np.stack([users + 1, movies + 1, stars, seconds], axis=1).astype(np.int64)
    rows = rows[np.lexsort((movies, users))]
    tested = tested[np.lexsort((movies, users))]
    return Ratings(rows[~tested], rows[tested])


def _ratings_per_user(rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the number of ratings per user: log-normal, bounded, with the sum of MovieLens."""
    draws = np.exp(rng.normal(4.2, 0.95, USERS))
    counts = np.clip(draws, MIN_PER_USER, MAX_PER_USER).astype(np.int64)
    missing = TRAIN_ROWS + TEST_ROWS - int(counts.sum())
    step = 1 if missing > 0 else -1
    while missing:
        user = rng.integers(USERS)
        if MIN_PER_USER <= counts[user] + step <= MAX_PER_USER:
            counts[user] += step
            missing -= step
    return counts


def _taste(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (users, movies) inner products of RANK-dimensional vectors, with deviation 0.45."""
    scale = np.sqrt(0.45 / np.sqrt(RANK))
    user, movie = (rng.normal(0.0, scale, (n, RANK)) for n in (USERS, MOVIES))
    return np.asarray(user @ movie.T)
