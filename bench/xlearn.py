"""xLearn, with its AdaGrad, and what its own log says of the epochs."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from bench import peers
from bench.data import WORK
from bench.timing import Missing

# "[  25% ]  1  0.595201  0.566654  0.713043  0.04", the middle ones where there is a validation.
_EPOCH = re.compile(r"%.*?\]\s+(\d+)\s+([\d.\s]+)$", re.MULTILINE)
_COLOURS = re.compile(r"\x1b\[\d+m")


@dataclass(frozen=True)
class Fit:
    """Seconds of the whole call, and the numbers of each epoch: losses, accuracy, seconds."""

    seconds: float
    epochs: list[list[float]]


def fit(
    train: Path,
    num_factors: int,
    epochs: int,
    threads: int,
    validate: Path | None = None,
    rate: float = 0.2,
    decay: float = 2e-5,
) -> Fit:
    """Train on text files; the defaults are xLearn's own. Raises: Missing."""
    job = {
        "train": str(train),
        "validate": str(validate) if validate else None,
        "model": str(WORK / "xlearn.model"),
        "parameters": {
            "task": "binary",
            "metric": "acc",
            "k": num_factors,
            "lr": rate,
            "lambda": decay,
            "epoch": epochs,
            "nthread": threads,
        },
    }
    python = peers.environment("xlearn")
    said = peers.script(python, "xlearn_fit.py", json.dumps(job), threads=threads)
    lines = _EPOCH.findall(_COLOURS.sub("", said))
    took = re.search(r"^fit took (\S+)$", said, re.MULTILINE)
    if took is None or len(lines) != epochs:
        raise Missing("xLearn printed nothing that says its epochs")
    return Fit(float(took[1]), [[float(cell) for cell in line[1].split()] for line in lines])


def epoch_seconds(train: Path, num_factors: int, threads: int, few: int, many: int) -> float:
    """Return the seconds of one epoch: the difference of two runs, so that reading is out of it."""
    short, long = (fit(train, num_factors, n, threads).seconds for n in (few, many))
    return (long - short) / (many - few)
