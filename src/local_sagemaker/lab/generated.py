"""Ratings of MovieLens-100k's shape, made up, for a machine that cannot download MovieLens.

A few users rate much and a few movies are rated by many; the rest follows from taste: each user
and each movie has an offset and a place in a space of few dimensions. Stars are cut at
MovieLens' own shares, so that 55 % of the ratings are 4 or 5.
"""

import numpy as np
from numpy.typing import NDArray

from local_sagemaker.lab.ratings import MOVIES, TEST_ROWS, TRAIN_ROWS, USERS, Ratings

TEST_PER_USER = TEST_ROWS // USERS
FEWEST, MOST = 20, 737  # ratings of one user
SHARES = (0.061, 0.114, 0.272, 0.341)  # of 1 to 4 stars; the rest are 5
RANK = 6
SEED = 100_000


def generate(seed: int = SEED) -> Ratings:
    """Return 90,570 and 9,430 ratings, sorted by user and movie, ten test ratings a user.

    One seed gives the same ratings on every machine.
    """
    rng = np.random.default_rng(seed)
    counts = _ratings_per_user(rng)
    popularity = rng.normal(0.0, 1.5, MOVIES)
    # The counts[u] largest of popularity plus Gumbel noise: a draw without replacement.
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

    # Test ratings are ten of each user's, drawn at random.
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
    """Return how many ratings each user gives: log-normal, bounded, with the sum of MovieLens."""
    counts = np.clip(np.exp(rng.normal(4.2, 0.95, USERS)), FEWEST, MOST).astype(np.int64)
    missing = TRAIN_ROWS + TEST_ROWS - int(counts.sum())
    step = 1 if missing > 0 else -1
    while missing:
        user = rng.integers(USERS)
        if FEWEST <= counts[user] + step <= MOST:
            counts[user] += step
            missing -= step
    return counts


def _taste(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (users, movies) inner products of places in RANK dimensions, deviation 0.45."""
    scale = np.sqrt(0.45 / np.sqrt(RANK))
    user, movie = (rng.normal(0.0, scale, (n, RANK)) for n in (USERS, MOVIES))
    return np.asarray(user @ movie.T)
