"""Real runs of the service, replayed: its printed numbers beside those that `train` prints.

    FM_TEST_DATA=FOLDER ./build.sh bench --only evidence

The folder has `ml-100k` (ua.base and ua.test of MovieLens-100k) and `online-retail` (train.npz and
test.npz: CSR arrays `indptr`, `indices`, `data` and `shape`, and labels `y`). `service-runs.json`
says how the rows are made, and has the numbers of the service's public logs.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from local_sagemaker.jobs.layout import lay_out
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bench.data import Options
from bench.records import write_records
from factorization_machines import artifact
from factorization_machines.parameters import score, sigmoid
from factorization_machines.recordio.decoder import Rows

RUNS: dict[str, Any] = json.loads(Path(__file__).with_name("service-runs.json").read_text())
DATA = "FM_TEST_DATA"
TRAIN = "from sagemaker_container.cli import train; train()"  # what bin/train is
EXACT = ("binary_classification_accuracy", "binary_f_1.000")

_QUALITY = re.compile(
    r"#quality_metric: host=\S+, (?:epoch=(\d+), )?(?:batch=(\d+) )?(train|test) (\S+) <\w+>=(\S+)"
)


@dataclass
class Printed:
    """What a job printed: of each metric the epochs' values, their batch 0's, and the test's."""

    epochs: dict[str, list[float]] = field(default_factory=dict)
    batch0: dict[str, list[float]] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, log: str) -> "Printed":
        """Return what stands in a log."""
        printed = cls()
        for epoch, batch, channel, name, value in _QUALITY.findall(log):
            if channel == "test" and not epoch:
                printed.test[name] = float(value)
            elif batch == "0":
                printed.batch0.setdefault(name, []).append(float(value))
            elif epoch and not batch:
                printed.epochs.setdefault(name, []).append(float(value))
        return printed


def rows_of(name: str, folder: Path) -> tuple[Rows, Rows]:
    """Return the training and test rows of a run of RUNS."""
    if name == "movielens_2021":
        return _movielens(folder / "ml-100k")
    train, test = (_arrays(folder / "online-retail" / f"{part}.npz") for part in ("train", "test"))
    return train, test


def _movielens(folder: Path) -> tuple[Rows, Rows]:
    base, test = (np.loadtxt(folder / name, np.int64)[:, :3] for name in ("ua.base", "ua.test"))
    movies = np.unique(base[:, 1])
    users = int(base[:, 0].max())

    def rows(ratings: NDArray[np.int64]) -> Rows:
        known = ratings[np.isin(ratings[:, 1], movies)]
        columns = np.column_stack([known[:, 0] - 1, users + np.searchsorted(movies, known[:, 1])])
        shape = (len(known), users + len(movies))
        ones = np.ones(columns.size, np.float32)
        x = csr_array((ones, columns.ravel(), np.arange(0, columns.size + 1, 2)), shape=shape)
        return Rows(x, (known[:, 2] >= 4).astype(np.float32))

    return rows(base), rows(test)


def _arrays(file: Path) -> Rows:
    with np.load(file) as arrays:
        csr = (arrays["data"], arrays["indices"], arrays["indptr"])
        return Rows(csr_array(csr, shape=tuple(arrays["shape"])), arrays["y"])


def hyperparameters(name: str) -> dict[str, str]:
    """Return the hyperparameters of a run, with the order in which its container drew the start."""
    run = RUNS[name]
    return {**run["hyperparameters"], "_draw_order": ",".join(run["draw_order"])}


def largest_differences(name: str, printed: Printed) -> dict[str, tuple[float, float, int, int]]:
    """Return of each series the largest absolute and relative difference, the equal ones, all."""
    found = {}
    for metric, expected in RUNS[name].items():
        if not isinstance(expected, Mapping) or "batch0" not in expected:
            continue
        for kind, seen in (("epochs", printed.epochs), ("batch0", printed.batch0)):
            a, b = np.array(expected[kind]), np.array(seen[metric])
            found[f"{metric}, {kind}"] = (
                float(np.abs(b - a).max()),
                float(np.abs(b / a - 1).max()),
                int((a == b).sum()),
                len(a),
            )
    return found


def run(options: Options) -> None:
    folder = os.environ.get(DATA)
    if not folder:
        print(f"\nLeft out: the service's runs; {DATA} names the folder of their data")
        return
    for name in RUNS:
        train, test = rows_of(name, Path(folder))
        with tempfile.TemporaryDirectory() as base:
            printed, model, seconds = _train(Path(base), name, train, test)
        _print(name, printed, seconds)
        if expected := RUNS[name].get("first20_scores"):
            scores = sigmoid(score(test.x[: len(expected)], model.parameters))
            apart = np.abs(scores - np.array(expected)).max()
            print(f"\nThe first {len(expected)} scores of the endpoint: at most {apart:.1e} apart.")


def _train(base: Path, name: str, train: Rows, test: Rows) -> tuple[Printed, artifact.Model, float]:
    job = lay_out(base, hyperparameters(name), {"train": {}, "test": {}})
    for channel, rows in (("train", train), ("test", test)):
        write_records(rows, job.channel(channel) / "data.rec")
    began = perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", TRAIN],
        env={**os.environ, "SAGEMAKER_BASE_DIR": str(base)},
        capture_output=True,
        text=True,
        check=True,
    )
    return Printed.of(done.stdout), artifact.read(job.model), perf_counter() - began


def _print(name: str, printed: Printed, seconds: float) -> None:
    title = RUNS[name]["hyperparameters"]
    print(f"\n### {name}: {title['predictor_type']}, {title['epochs']} epochs, {seconds:.1f} s\n")
    print("| printed by | metric | service | here | difference |")
    print("|---|---|---|---|---|")
    last = int(title["epochs"]) - 1
    for metric in printed.epochs:
        for epoch in (0, last // 2, last):
            for kind, seen in (("", printed.epochs), (", batch 0", printed.batch0)):
                expected = RUNS[name][metric]["batch0" if kind else "epochs"][epoch]
                _row(f"epoch {epoch}{kind}", metric, expected, seen[metric][epoch])
    for metric, expected in RUNS[name]["test"].items():
        _row("test", metric, expected, printed.test[metric])
    print("\n| series | largest difference | relative | equal digits |")
    print("|---|---|---|---|")
    for series, (absolute, relative, equal, count) in largest_differences(name, printed).items():
        print(f"| {series} | {absolute:.1e} | {relative:.1e} | {equal} of {count} |")


def _row(where: str, metric: str, expected: float, seen: float) -> None:
    apart = "equal" if expected == seen else f"{seen - expected:+.1e}"
    print(f"| {where} | {metric} | {expected} | {seen} | {apart} |")
