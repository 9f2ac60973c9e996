"""Hyperparameters of AdaGrad for the lab's rows, chosen on training rows that are held out.

    .venv/bin/python -m bench.choose --data ML-100K-FOLDER [--seconds 400] [--seed 0]

The test rows have no say. Held out are ten ratings of each user, as ua.test is made, three times
over: one such set is as uncertain as what is to be told apart. A random search, which later varies
the best ones so far. Best is a low loss soon: a second of training counts as so much loss.
"""

import argparse
import heapq
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.courses import Course, by_numba
from bench.data import config, lab
from factorization_machines.recordio.decoder import Rows

Given = dict[str, Any]

HELD_OUT, SPLITS = 10, 3
PATIENCE = 4
START: Given = {"num_factors": 64, "mini_batch_size": 50}
RANGES = {
    "factors_lr": (0.005, 0.03),
    "factors_wd": (0.005, 0.05),  # for a row: multiplied by the mini-batch size, as linear_wd
    "factors_init_sigma": (0.003, 0.06),
    "linear_lr": (0.03, 0.2),
    "linear_wd": (0.002, 0.02),
}
CHOICES = {"num_factors": (32, 64, 128), "mini_batch_size": (20, 30, 50, 100)}
CLOSE = 1.35  # largest factor of a variation
BEST = 5
SECOND = 0.004  # cross-entropy that a second of training costs


def split(rows: Rows, seed: int) -> tuple[Rows, Rows]:
    """Return shuffled training rows, and ten held out of each user, or a third of fewer than 30."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(rows))
    users = rows.x.indices[rows.x.indptr[:-1]][order]
    order = order[np.argsort(users, kind="stable")]
    counts = np.bincount(users)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    out = place < np.repeat(np.minimum(HELD_OUT, counts // 3), counts)
    kept = rng.permutation(order[~out])
    return Rows(rows.x[kept], rows.y[kept]), Rows(rows.x[order[out]], rows.y[order[out]])


def told(given: Given) -> dict[str, object]:
    """Return the hyperparameters of a choice."""
    batch = given["mini_batch_size"]
    values = {**given, **{name: given[name] / batch for name in ("factors_wd", "linear_wd")}}
    del values["num_factors"]
    return {"_optimizer": "adagrad", "_shuffle": True, "epochs": 40, "bias_wd": 0, **values}


def course(given: Given, train: Rows, held_out: Rows) -> Course:
    job = config(train, given["num_factors"], **told(given))
    return by_numba(train, held_out, job, 1, PATIENCE)


def drawn(rng: np.random.Generator, best: list[Given]) -> Given:
    """Return new hyperparameters, or a variation of some that were good."""
    if len(best) < BEST or rng.random() < 0.25:
        given = {name: _between(rng, *ends) for name, ends in RANGES.items()}
        return {**given, **{name: int(rng.choice(among)) for name, among in CHOICES.items()}}
    given = dict(best[rng.integers(len(best))])
    for name in RANGES:
        if rng.random() < 0.6:
            given[name] *= _between(rng, 1 / CLOSE, CLOSE)
    for name, among in CHOICES.items():
        if rng.random() < 0.25:
            given[name] = int(rng.choice(among))
    return given


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seconds", type=float, default=400)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    splits = [split(lab(arguments.data)[0], seed) for seed in range(SPLITS)]
    rng = np.random.default_rng(arguments.seed)
    found: list[tuple[float, int, Given, tuple[float, float, float]]] = []
    end, trials = time.monotonic() + arguments.seconds, 0
    while time.monotonic() < end:
        given = drawn(rng, [one for _, _, one, _ in heapq.nsmallest(BEST, found)])
        done = [course(given, *parts) for parts in splits]
        told_of = [(min(one.losses), one.best + 1.0, one.seconds[one.best]) for one in done]
        loss, epochs, seconds = (float(np.mean(column)) for column in zip(*told_of, strict=True))
        found.append((loss + SECOND * seconds, trials, given, (loss, epochs, seconds)))
        trials += 1
    print(
        f"{trials} trials; the best, by mean cross-entropy on {SPLITS} held-out sets and seconds:"
    )
    for _, _, given, (loss, epochs, seconds) in heapq.nsmallest(BEST, found):
        shown = {"num_factors": given["num_factors"], **told(given)}
        rounded = {
            name: float(f"{value:.2g}") if isinstance(value, float) else value
            for name, value in shown.items()
        }
        print(f"  {loss:.4f} after {epochs:.0f} epochs, {seconds:.3f} s  {rounded}")


if __name__ == "__main__":
    main()
