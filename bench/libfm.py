"""libFM's SGD, where LIBFM says that there is one."""

from pathlib import Path
from statistics import median

from bench import peers
from bench.data import WORK
from bench.timing import Missing


def epochs(
    train: Path, test: Path, num_factors: int, count: int, predictions: Path | None = None
) -> list[float]:
    """Return the seconds of each epoch by libFM's own log: training only. Raises: Missing."""
    log = WORK / "libfm.log"
    command = [str(peers.libfm()), "-task", "c", "-method", "sgd", "-dim", f"1,1,{num_factors}"]
    command += ["-train", str(train), "-test", str(test), "-iter", str(count), "-rlog", str(log)]
    command += ["-learn_rate", "0.01", "-regular", "0,0,0.01", "-init_stdev", "0.01"]
    if predictions:
        command += ["-out", str(predictions)]
    peers.run(command, threads=1)
    heads, *lines = (line.split("\t") for line in log.read_text().splitlines())
    if "time_learn" not in heads or len(lines) != count:
        raise Missing("libFM's log does not say its epochs")
    return [float(line[heads.index("time_learn")]) for line in lines]


def epoch_seconds(train: Path, test: Path, num_factors: int) -> float:
    return median(epochs(train, test, num_factors, 5))
