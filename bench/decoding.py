"""Measures decoding RecordIO into CSR arrays against the SDK's reader, and the memory used."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench import peers
from bench.data import ROOT, WORK, Options, lab, wide
from bench.records import write_records
from bench.timing import Contender, Table, repeated
from factorization_machines.recordio import decoder
from factorization_machines.recordio.decoder import Rows

WIDE_ROWS = 100_000
SDK_ROWS = 10_000  # the SDK is slow; its time per record does not depend on their number

# In its own process, because the peak is measured over the life of a process.
MEMORY = """
import pathlib, sys
from bench.machine import peak
from factorization_machines.recordio import decoder
path, small, feature_dim = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
decoder.read([small], feature_dim, small.parent)
before = peak()
rows = decoder.read([path], feature_dim, path.parent)
arrays = rows.x.data.nbytes + rows.x.indices.nbytes + rows.x.indptr.nbytes + rows.y.nbytes
print(peak() - before, arrays)
"""


def run(options: Options) -> None:
    with peers.Answers("sdk_read.py") as reader:
        _run(options, reader)


def _run(options: Options, reader: peers.Answers) -> None:
    for what, rows in (("lab file", lab(options.data)[0]), ("wide file", wide(WIDE_ROWS))):
        n, dim = len(rows), rows.x.shape[1]
        file = write_records(rows, WORK / "records.rec")
        few = write_records(Rows(rows.x[:SDK_ROWS], rows.y[:SDK_ROWS]), WORK / "few.rec")
        table = Table(
            f"Decoding RecordIO, {what}: {n:,} records of {rows.x.nnz // n} non-zeros, "
            f"{file.stat().st_size / 1e6:.0f} MB",
            _per_second,
            rate=True,
        )
        ours = "factorization_machines.recordio.decoder"
        contenders = [
            Contender(ours, partial(_per_record, repeated(partial(_reader, file, dim)), n)),
            Contender(
                f"SDK's read_records, {SDK_ROWS:,} of them", partial(_sdk, reader, few), ours
            ),
        ]
        table.measure(contenders, options.repeats)
        table.notes.append(_memory(file, few, dim))
        table.print()


def _per_second(seconds: float) -> str:
    rate = 1 / seconds
    return f"{rate / 1e6:.2f} M/s" if rate >= 1e6 else f"{rate / 1e3:.0f} k/s"


def _reader(file: Path, feature_dim: int) -> Callable[[], object]:
    return lambda: decoder.read([file], feature_dim, file.parent)


def _per_record(measure: Callable[[], float], records: int) -> float:
    return measure() / records


def _sdk(reader: peers.Answers, file: Path) -> float:
    return float(reader.ask(peers.sdk(), str(file))) / SDK_ROWS


def _memory(file: Path, small: Path, feature_dim: int) -> str:
    command = [sys.executable, "-c", MEMORY, str(file), str(small), str(feature_dim)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    grown, arrays = (int(number) / 1e6 for number in done.stdout.split())
    return (
        f"Memory: the peak grew by {grown:.0f} MB; the arrays are {arrays:.0f} MB and the mapped "
        f"file is {file.stat().st_size / 1e6:.0f} MB."
    )
