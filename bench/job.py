"""`train` as a whole process and through the service, the lab's setting; and its peak memory."""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from bench import service_jobs
from bench.data import Options, lab, shuffled
from bench.machine import peak
from bench.records import write_records
from bench.timing import Contender, Table
from local_sagemaker.backends.layout import lay_out

JOB = {**service_jobs.JOB, "epochs": "100"}
TRAIN = "from sagemaker_container.cli import train; train()"  # what bin/train is

# A line of the log ends each part: the first that holds this, or the last.
MARKS = (
    ("start of Python, and imports", "Reading default configuration", False),
    ("data read, engine made", "Training with the engine", False),
    ("100 epochs and their log lines", "#throughput_metric", True),
    ("test scores", "#test_score", False),
    ("artifact written and read back", '"totaltime"', False),
)
LAST = "end of Python"


def run(options: Options) -> None:
    train, test = lab(options.data)
    table = Table("`train`, lab setting, 100 epochs: the whole process")
    whole, torch = "train", "python -c 'import torch'"
    parts: dict[str, list[float]] = {}
    peaks: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        channels = {"train": shuffled(train), "test": test}
        job = lay_out(Path(folder), JOB, {name: {} for name in channels})
        for name, rows in channels.items():
            write_records(rows, job.channel(name) / "data.rec")

        def measure() -> float:
            seconds, most = _train(Path(folder))
            for name, spent in seconds.items():
                parts.setdefault(name, []).append(spent)
            peaks.append(most)
            return sum(seconds.values())

        measure()  # what was compiled lies in the cache from here on
        parts.clear()
        table.measure(
            [Contender(whole, measure), Contender(torch, _import_torch, whole)], options.repeats
        )
    for name, values in parts.items():
        table.add(f"train: {name}", values, whole)
    table.notes.append(f"Peak memory of train: {statistics.median(peaks) / 1e6:.0f} MB.")
    table.print()
    service_jobs.run(options)


def _import_torch() -> float:
    began = perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return perf_counter() - began


def _train(base: Path) -> tuple[dict[str, float], float]:
    """Return the seconds of each part of a job, by the moments of its log lines; and its peak."""
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(base)}
    began = perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN], env=environment, stdout=subprocess.PIPE, text=True
    )
    moments: dict[str, float] = {}
    most = float("nan")
    assert process.stdout is not None
    for line in process.stdout:
        for name, text, last in MARKS:
            if text in line and (last or name not in moments):
                moments[name] = perf_counter()
        if MARKS[-1][1] in line:  # its last line, while it still has all that it had
            most = peak(str(process.pid))
    process.wait()
    moments[LAST] = perf_counter()
    if process.returncode or len(moments) != len(MARKS) + 1:
        raise RuntimeError(f"train ended with exit code {process.returncode}")
    seconds = {}
    for name in (*(name for name, *_ in MARKS), LAST):
        seconds[name] = moments[name] - began
        began = moments[name]
    return seconds, most
